"""`serfiq calibrate --manifest --target`, from photographs to an answer or a refusal."""

import csv
import json
import shutil
from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest
import skimage.data
from PIL import Image
from typer.testing import CliRunner

from app.cli import cli
from app.commands.quality_threshold import Found, summary
from serfiq_core import loading
from serfiq_core.evaluation.targets import Target, find_quality_threshold
from serfiq_core.preparation.photographs import skip_silently
from serfiq_core.testing import FAKE_INFO, FakePipeline
from tests.evidence import made_up
from tests.http.service import random_capture
from tests.small_packs import write_small_pack


@pytest.fixture(autouse=True)
def _own_packs(tmp_path, monkeypatch):
    monkeypatch.setenv("SERFIQ_PACKS_DIR", str(tmp_path / "packs"))
    monkeypatch.setenv("SERFIQ_DEVICE", "cpu")


def run(*arguments):
    return CliRunner().invoke(cli, ["calibrate", *map(str, arguments)])


def words(result) -> str:
    """What the user reads, error included, on one line."""
    return " ".join(f"{result.output} {result.exception}".replace("│", " ").split())


def write_manifest(folder, rows):
    path = folder / "the manifest.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([("path", "subject"), *rows])
    return path


@pytest.fixture
def portraits(tmp_path):
    """Three photographs of one face, called by names that are not plain."""
    folder = tmp_path / "Fotos von Zoë"
    folder.mkdir()
    portrait = Image.fromarray(skimage.data.astronaut()).crop((100, 0, 356, 256))
    for number, name in enumerate(("李 小龙.jpg", "b, c.jpg", "d.jpg")):
        portrait.save(folder / name, quality=75 - number)
    return folder


@pytest.fixture(scope="module")
def lfw_manifest(shared_data, tmp_path_factory):
    """200 photographs of 50 subjects of LFW, copied beside a manifest."""
    by_subject = defaultdict(list)
    with (shared_data / "lfw" / "manifest.csv").open(encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            by_subject[row["subject"]].append(row["path"])
    folder, rows = tmp_path_factory.mktemp("photographs with spaces"), []
    chosen = [subject for subject, paths in by_subject.items() if len(paths) >= 4][:50]
    for subject in chosen:
        for path in by_subject[subject][:4]:
            name = f"é {subject}/{path.rsplit('/', 1)[1]}"
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copy(shared_data / "lfw" / "images" / path, folder / name)
            rows.append((name, subject))
    return write_manifest(folder, rows)


def test_photographs_of_lfw_give_an_answer(lfw_manifest):
    arguments = ["--manifest", lfw_manifest, "--target", "fnmr=0.1", "--at-fmr", "0.01"]
    result = run(*arguments, "--json")
    assert result.exit_code == 0, words(result)
    answer = json.loads(result.stdout)
    assert answer["pack"] == "compact"
    assert answer["photographs"] + answer["left_out"] == 200
    assert answer["subjects"] == 50
    assert answer["target"] == {"kind": "fnmr", "rate": 0.1, "fmr": 0.01}
    rates = answer["error_rates"]
    assert rates["fnmr_after"]["value"] <= 0.1
    assert 0 <= rates["fnmr_after_one_gated"]["value"] <= 1
    assert rates["non_mated_pairs"] > 18_000
    ends = answer["quality_threshold"]["interval"]
    assert 0 <= ends["low"] <= answer["quality_threshold"]["value"] <= ends["high"] <= 100


def test_photographs_of_lfw_are_too_few_for_a_stricter_target(lfw_manifest):
    result = run("--manifest", lfw_manifest, "--target", "fnmr=0.1", "--at-fmr", "0.0001")
    assert result.exit_code != 0
    assert "an FMR of 0.0001 needs 300,000 non-mated pairs" in words(result)
    assert "more subjects are needed" in words(result)


def test_the_summary_says_what_to_write_into_the_profile():
    evidence = made_up(400, 4)
    answer = find_quality_threshold(evidence, Target("fnmr", 0.03, 0.001), count=100)
    text = "\n".join(summary(Found(answer, FAKE_INFO, left_out=7)))
    assert "1,600 photographs of 400 subjects; 7 more could not be used" in text
    assert "2,400 mated pairs (0.2% of one subject), 1,276,800 non-mated pairs" in text
    assert f"accept_at = {answer.quality_threshold.value:g}" in text
    assert f"safe side: accept_at = {answer.quality_threshold.high:g}" in " ".join(text.split())
    assert "at FMR 0.001" in text
    assert answer.error_rates is not None
    one_gated = answer.error_rates.fnmr_after_one_gated
    assert f"only one gated      {one_gated.value:.4f} [{one_gated.low:.4f}, " in text


def test_the_safe_side_of_rejections_is_the_lower_one():
    answer = find_quality_threshold(made_up(700, 1), Target("reject", 0.05, None), count=100)
    lines = list(summary(Found(answer, FAKE_INFO, left_out=0)))
    assert lines[-1].endswith(f"accept_at = {answer.quality_threshold.low:g}")
    assert not any("FNMR" in line for line in lines)


def test_a_threshold_is_told_with_all_its_digits():
    """Rounded to six it would be 100, and reject every photograph."""
    scores = 99.9999 + np.linspace(0, 9e-5, 700)
    evidence = replace(made_up(700, 1), quality_scores=scores)
    answer = find_quality_threshold(evidence, Target("reject", 0.95, None), count=100)
    lines = [*summary(Found(answer, FAKE_INFO, left_out=0))]
    [written] = [line for line in lines if line.startswith("Write into the profile")]
    told = float(written.rsplit("accept_at = ")[1])
    assert told == answer.quality_threshold.value < 100
    assert (scores < told).mean() <= 0.95
    [ends] = [line for line in lines if line.startswith("quality_threshold")]
    assert f"[{answer.quality_threshold.low!r}, {answer.quality_threshold.high!r}]" in ends


def test_names_with_spaces_commas_and_other_scripts_are_read(portraits):
    """All three are found: what is missing is subjects."""
    rows = [("李 小龙.jpg", "李 小龙"), ("b, c.jpg", "李 小龙"), ("d.jpg", "Zoë")]
    result = run(
        "--manifest", write_manifest(portraits, rows), "--target", "fnmr=0.1", "--at-fmr", "0.1"
    )
    assert "30 subjects with a usable photograph, and there are at most 2: 28 too few" in words(
        result
    )


def test_the_folder_of_the_photographs_may_be_another_one(portraits, tmp_path):
    manifest = write_manifest(tmp_path, [("d.jpg", "a"), ("b, c.jpg", "b")])
    arguments = ["--manifest", manifest, "--target", "reject=0.1"]
    assert "line 2: there is no file" in words(run(*arguments))
    assert "and there are at most 2: 28 too few" in words(run(portraits, *arguments))


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ([("absent.jpg", "a"), ("d.jpg", "b")], "line 2: there is no file"),
        ([("d.jpg", "a"), ("b, c.jpg", "a")], "has one subject only"),
        ([("d.jpg", "a"), ("b, c.jpg", "b")], "there is no mated pair"),
        ([("d.jpg", "")], "line 2: subject is empty"),
        ([], "names no photograph"),
    ],
)
def test_a_manifest_without_an_answer_is_refused(portraits, rows, complaint):
    manifest = write_manifest(portraits, rows)
    result = run("--manifest", manifest, "--target", "fnmr=0.1", "--at-fmr", "0.1")
    assert result.exit_code != 0
    assert complaint in words(result)


def manifest_of_sixty(folder):
    """Enough to reject half of; none is a photograph, but the first, of nobody."""
    Image.new("RGB", (64, 64)).save(folder / "nobody.png")
    rows = [("nobody.png", "a"), *((f"{number}.png", f"subject {number}") for number in range(59))]
    for name, _ in rows[1:]:
        (folder / name).touch()
    return write_manifest(folder, rows)


def test_photographs_that_cannot_be_used_are_named(portraits):
    result = run("--manifest", manifest_of_sixty(portraits), "--target", "reject=0.5")
    assert "nobody.png: no face was found" in words(result)
    assert "none of the photographs could be assessed" in words(result)


def test_a_pack_without_calibration_has_no_quality_to_ask_for(portraits, tmp_path):
    write_small_pack(tmp_path / "packs", "small")
    manifest = manifest_of_sixty(portraits)
    result = run("--manifest", manifest, "--target", "reject=0.5", "--pack", "small")
    assert "small is not calibrated" in words(result)


@pytest.mark.parametrize(
    ("target", "complaint"),
    [
        (["reject=0.1"], "which takes 300; there are at most 60 usable ones"),
        (["fnmr=0.1", "--at-fmr", "0.1"], "photographs or more, and there are at most 1: 29"),
        (["fnmr=0.1", "--at-fmr", "0.001"], "needs 30,000 non-mated pairs"),
    ],
)
def test_what_the_labels_alone_cannot_answer_is_refused_before_the_work(
    portraits, monkeypatch, target, complaint
):
    monkeypatch.setattr("app.commands.quality_threshold.load_in_process", None)
    manifest = manifest_of_sixty(portraits)
    text = manifest.read_text(encoding="utf-8").replace("subject 58", "subject 57")
    manifest.write_text(text, encoding="utf-8")
    result = run("--manifest", manifest, "--target", *target)
    assert complaint in words(result)
    assert "skipped" not in words(result)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--target", "fnmr=0.1"], "go together"),
        (["--manifest", "M"], "go together"),
        (["--manifest", "M", "--target", "fnmr=0.1"], "an FNMR is counted at an FMR"),
        (["--manifest", "M", "--target", "fnmr=2", "--at-fmr", "0.1"], "between 0 and 1, not at 2"),
        (["--manifest", "M", "--target", "fnmr=x", "--at-fmr", "0.1"], "not 'fnmr=x'"),
        (["--manifest", "M", "--target", "eer=0.1"], "a target is fnmr=RATE or reject=RATE"),
        (["--manifest", "M", "--target", "reject=0.1", "--id", "x"], "nothing is installed"),
        (["--manifest", "absent.csv", "--target", "reject=0.1"], "absent.csv"),
        ([".", "--json"], "go with --target"),
        ([".", "--at-fmr", "0.1"], "go with --target"),
    ],
)
def test_wrong_calls_say_what_is_wrong(portraits, arguments, complaint):
    manifest = write_manifest(portraits, [("d.jpg", "a"), ("b, c.jpg", "b")])
    result = run(*[manifest if each == "M" else each for each in arguments])
    assert result.exit_code == 2
    assert complaint in words(result)


class TwoMinds(FakePipeline):
    """Its closed form thinks less of every face than its sampled score."""

    def score(self, faces):
        return [
            replace(
                each, closed_form=replace(each.closed_form, raw_score=each.sampled.raw_score**2)
            )
            for each in super().score(faces)
        ]


def test_the_threshold_is_that_of_the_estimator_asked_for(tmp_path, monkeypatch):
    from serfiq_core.calibrating import gather_evidence
    from serfiq_core.evaluation.subjects import read_photographs

    def two_minds(*_, estimator, **__):
        return TwoMinds(replace(FAKE_INFO, estimator=estimator))

    monkeypatch.setattr(loading, "load_pipeline", two_minds)
    rows = [(f"{number}.png", f"subject {number}") for number in range(120)]
    for number, (name, _) in enumerate(rows):
        (tmp_path / name).write_bytes(random_capture(number, 40, 40))
    manifest = write_manifest(tmp_path, rows)
    photographs = read_photographs(manifest, compared=False)

    def threshold(estimator):
        pipeline = two_minds(estimator=estimator)
        evidence = gather_evidence(pipeline, photographs, skipped=skip_silently)
        return find_quality_threshold(evidence, Target("reject", 0.3, None)).quality_threshold.value

    arguments = ["--manifest", manifest, "--target", "reject=0.3", "--json"]
    for options in ([], ["--estimator", "closed_form"]):
        result = run(*arguments, *options)
        assert result.exit_code == 0, words(result)
        answer = json.loads(result.stdout)
        assert answer["estimator"] == (options or ["sampled"])[-1]
        assert answer["quality_threshold"]["value"] == threshold(answer["estimator"])
    assert threshold("sampled") != threshold("closed_form")


def test_the_quality_is_the_one_that_the_service_decides_by(portraits):
    """The evidence of a pipeline holds what its assessments say."""
    from serfiq_core.calibrating import gather_evidence
    from serfiq_core.evaluation.subjects import read_photographs
    from serfiq_core.loading import load_pipeline
    from serfiq_core.packs.registry import embedded_pack

    rows = [("d.jpg", "b"), ("b, c.jpg", "a")]
    photographs = read_photographs(write_manifest(portraits, rows), compared=False)
    pipeline = load_pipeline(embedded_pack(), device="cpu")
    evidence = gather_evidence(pipeline, photographs, skipped=skip_silently)
    [assessment] = pipeline.assess([(portraits / "d.jpg").read_bytes()])
    assert evidence.subjects.tolist() == [1, 0]
    assert evidence.quality_scores[0] == pytest.approx(assessment.quality_score, abs=1e-3)
    assert np.linalg.norm(evidence.embeddings[0]) == pytest.approx(1, abs=1e-5)
