"""Measuring photographs, keeping what was measured, and the command that does it all."""

import errno
import importlib.util
import io
import json
import shutil
import stat
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pyarrow.parquet
import pytest
import skimage.data
import torch
from PIL import Image
from torch import nn
from typer.testing import CliRunner

from app.cli import cli
from app.commands import evaluate
from app.commands.evaluate import Question
from app.commands.measuring import Measuring
from app.loading import pack_of
from app.settings import Settings
from serfiq_core import measuring
from serfiq_core.errors import (
    DeadlineExceededError,
    EvaluationError,
    PreparationFailedError,
    UndecodableImageError,
)
from serfiq_core.evaluating import METHODS, evaluate_measured, faces_as_jpeg
from serfiq_core.evaluation import files
from serfiq_core.evaluation.measurements import Cache, FaceMeasurement
from serfiq_core.evaluation.pair_list import read_pairs
from serfiq_core.evaluation.subject_split import is_test_subject
from serfiq_core.evaluation.subjects import Photograph, read_photographs
from serfiq_core.measuring import laplacian_variance, measure
from serfiq_core.packs.manifest import write_manifest
from serfiq_core.packs.registry import embedded_pack
from serfiq_core.recognition.head import AffineHead
from serfiq_core.recognition.recogniser import Preprocessing, Recogniser
from serfiq_core.types import Face, PreparedCapture

SUBJECTS, EACH = 15, 3


class CountingPreparer:
    """The photograph's bytes are the seed of its face."""

    def __init__(self):
        self.prepared = []

    def prepare(self, data, *, aligned=False):
        self.prepared.append(data)
        if data == b"broken":
            raise UndecodableImageError("the image ends early")
        if data == b"nobody":
            return PreparedCapture(0, None, None)
        pixels = np.random.default_rng(list(data)).integers(0, 256, (112, 112, 3), np.uint8)
        landmarks = np.array([(0, 0), (30, 0), (15, 10), (5, 20), (25, 20)], np.float32)
        return PreparedCapture(1, Face((0, 0, 9, 9), 0.9, landmarks), pixels)


def score(faces):
    found = []
    for face in faces:
        values = face.reshape(-1)[:8].astype(np.float32)
        scores = {
            "sampled": float(values[0]),
            "closed_form": 1.0,
            "embedding_norm": float(values[1]),
        }
        found.append(FaceMeasurement(values / np.linalg.norm(values), scores))
    return found


@pytest.fixture
def photographs(tmp_path):
    for subject in range(SUBJECTS):
        folder = tmp_path / "photographs" / f"Zoë {subject}"
        folder.mkdir(parents=True)
        for place in range(EACH):
            (folder / f"{place}.jpg").write_bytes(f"{subject} {place}".encode())
    (folder / "3.jpg").write_bytes(b"broken")
    (folder / "4.jpg").write_bytes(b"nobody")
    return read_photographs(tmp_path / "photographs")


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch):
    monkeypatch.setattr(measuring, "CHUNK", 10)
    monkeypatch.setattr(measuring, "BATCH", 4)


def same(first, second):
    return all(
        a == b
        if isinstance(a, str)
        else a.scores == b.scores and (a.embedding == b.embedding).all()
        for a, b in zip(first, second, strict=True)
    )


def test_every_photograph_is_measured_or_says_why_not(photographs):
    done = []
    found = measure(photographs, CountingPreparer(), score, workers=2, advance=done.append)
    assert sum(done) == len(found) == len(photographs) == SUBJECTS * EACH + 2
    assert [m for m in found if isinstance(m, str)] == ["the image ends early", "no face was found"]
    face = found[0]
    pixels = CountingPreparer().prepare(b"0 0").aligned
    assert face.scores["sampled"] == pixels[0, 0, 0]
    assert face.scores["inter_eye_distance"] == 30
    assert face.scores["detection_score"] == 0.9
    assert face.scores["sharpness"] == laplacian_variance(pixels)


def test_a_face_that_stirs_no_feature_has_no_score_and_is_left_out(photographs):
    """Every pass gives the head's bias: without the test its score would be the best there is."""
    torch.manual_seed(0)
    backbone = nn.Sequential(nn.AvgPool2d(16), nn.Flatten())  # 3 × 7 × 7
    head = AffineHead(nn.Sequential(nn.Flatten(), nn.Linear(147, 8)), 147, (3, 7, 7))
    recogniser = Recogniser(backbone, head, Preprocessing("rgb", (0.0,) * 3, (255.0,) * 3), 0.3)
    scorer = measuring.Scorer(recogniser, [10, 5], "paper", 0)
    seen = np.full((112, 112, 3), 99, np.uint8)
    black, grey = scorer([np.zeros_like(seen), seen])
    for name in ("sampled", "sampled_5", "closed_form"):
        assert np.isnan(black.scores[name])
        assert 0 < grey.scores[name] < 1

    class Black(CountingPreparer):
        def prepare(self, data, *, aligned=False):
            prepared = super().prepare(data)
            return replace(prepared, aligned=np.zeros_like(seen)) if data == b"1 1" else prepared

    found = measure(photographs[:9], Black(), scorer, workers=1)
    why = "the recogniser answers with nothing"
    assert [each for each in found if isinstance(each, str)] == [why]


def test_a_photograph_that_cannot_be_read_is_left_out(photographs):
    photographs[3].path.unlink()
    found = measure(photographs, CountingPreparer(), score, workers=2)
    assert found[3] == "cannot be read: No such file or directory"
    assert isinstance(found[4], FaceMeasurement)


def test_a_face_that_is_there_twice_is_compared_once_and_under_two_subjects_not_at_all(
    photographs, tmp_path
):
    cache = Cache(tmp_path / "cache", {})
    for place, same in ((1, 0), (EACH, 40)):
        photographs[place].path.write_bytes(photographs[same].path.read_bytes())
    photographs[5].path.write_bytes(b"broken")  # as another is: neither is compared
    for _ in range(2):  # the second time from the cache
        found = measure(photographs, CountingPreparer(), score, workers=1, cache=cache)
        names = [photograph.name for photograph in photographs]
        assert {
            name: why for name, why in zip(names, found, strict=True) if isinstance(why, str)
        } == {
            names[1]: f"the same photograph as {names[0]}",
            names[EACH]: f"the same photograph as {names[40]}, under another subject",
            names[40]: f"the same photograph as {names[EACH]}, under another subject",
            names[5]: "the image ends early",
            "Zoë 14/3.jpg": "the image ends early",
            "Zoë 14/4.jpg": "no face was found",
        }


def test_a_photograph_whose_worker_dies_once_is_tried_again(photographs):
    class DyingOnce(CountingPreparer):
        def prepare(self, data, *, aligned=False):
            prepared = super().prepare(data)
            if data == b"1 1" and self.prepared.count(data) == 1:
                raise DeadlineExceededError("The capture took too long to prepare.")
            return prepared

    whole = measure(photographs, CountingPreparer(), score, workers=1)
    assert same(measure(photographs, DyingOnce(), score, workers=2), whole)


def test_a_photograph_whose_workers_die_ends_the_run_and_keeps_what_was_stored(
    photographs, tmp_path
):
    class Dying(CountingPreparer):
        def prepare(self, data, *, aligned=False):
            if data == photographs[25].path.read_bytes():
                raise PreparationFailedError("The process that prepared the capture died.")
            return super().prepare(data)

    cache = tmp_path / "cache"
    with pytest.raises(PreparationFailedError, match="in two attempts: The process that prepared"):
        measure(photographs, Dying(), score, workers=2, cache=Cache(cache, {}))
    after = CountingPreparer()
    found = measure(photographs, after, score, workers=2, cache=Cache(cache, {}))
    assert same(found, measure(photographs, CountingPreparer(), score, workers=1))
    assert len(after.prepared) == len(photographs) - 20


def test_an_interrupted_run_goes_on_where_it_was(photographs, tmp_path):
    whole = measure(photographs, CountingPreparer(), score, workers=1)
    calls = []

    def interrupted(faces):
        calls.append(faces)
        if len(calls) > 6:  # three batches make a chunk: in the third
            raise KeyboardInterrupt
        return score(faces)

    with pytest.raises(KeyboardInterrupt):
        measure(
            photographs,
            CountingPreparer(),
            interrupted,
            workers=1,
            cache=Cache(tmp_path / "cache", {"m": 1}),
        )
    second = CountingPreparer()
    found = measure(
        photographs, second, score, workers=1, cache=Cache(tmp_path / "cache", {"m": 1})
    )
    assert same(found, whole)
    assert len(second.prepared) == len(photographs) - 20
    third = CountingPreparer()
    measure(photographs, third, score, workers=1, cache=Cache(tmp_path / "cache", {"m": 1}))
    assert third.prepared == []
    measure(photographs, third, score, workers=1, cache=Cache(tmp_path / "cache", {"m": 2}))
    assert len(third.prepared) == len(photographs)


def test_the_cache_is_for_its_owner_alone_and_damage_is_named(photographs, tmp_path):
    folder = tmp_path / "cache"
    measure(photographs, CountingPreparer(), score, workers=1, cache=Cache(folder, {}))
    files = list(folder.rglob("*.npz"))
    assert len(files) == 5
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert stat.S_IMODE(files[0].parent.stat().st_mode) == 0o700
    files[0].write_bytes(files[0].read_bytes()[:100])
    with pytest.raises(EvaluationError, match=r"\.npz is damaged: remove it"):
        Cache(folder, {})


def test_two_runs_share_a_cache(tmp_path, monkeypatch):
    """One stores the same batch between the other's writing of it and its putting it in place."""
    measured = {"a" * 64: FaceMeasurement(np.ones(8, np.float32), {"sampled": 1.0})}
    one, other = Cache(tmp_path, {}), Cache(tmp_path, {})
    replace = Path.replace

    def late(staged, target):
        monkeypatch.setattr(Path, "replace", replace)
        other.store(measured)
        return replace(staged, target)

    monkeypatch.setattr(Path, "replace", late)
    one.store(measured)
    assert same([Cache(tmp_path, {}).get("a" * 64)], measured.values())


def test_a_batch_that_cannot_be_stored_leaves_nothing(tmp_path, monkeypatch):
    cache = Cache(tmp_path, {})
    monkeypatch.setattr(np, "savez", lambda *_, **__: read_only())
    with pytest.raises(EvaluationError, match=r"the cache cannot be written to.*Read-only"):
        cache.store({"a" * 64: "no face was found"})
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_photograph_without_a_score_of_another_method_is_left_out_for_all(photographs):
    measured = measure(photographs, CountingPreparer(), score, workers=1)
    other = np.arange(len(photographs), dtype=float)
    other[5] = np.nan
    result = evaluate_measured(photographs, measured, [0.01, 1e-3], columns={"other": other})
    assert result.evaluation.photographs == SUBJECTS * EACH - 1
    assert result.left_out[photographs[5].name] == "no other score"
    assert {len(scores) for scores in result.methods.values()} == {SUBJECTS * EACH - 1}
    assert set(result.methods) == {*METHODS, "other"}
    assert list(result.evaluation.refused) == [1e-3]  # 945 non-mated pairs are too few


def test_every_column_goes_with_the_photographs_it_is_of(tmp_path):
    """Whoever is left out: those without a face, and those without a score of another method."""
    count = 24
    photographs = [
        Photograph(tmp_path / f"{n}.jpg", f"{n}.jpg", f"s{n // 3}", f"c{n % 2}")
        for n in range(count)
    ]
    rng = np.random.default_rng(0)
    measured = [
        FaceMeasurement(
            np.eye(8, dtype=np.float32)[n // 3],
            {name: place + n / 100 for place, name in enumerate(METHODS) if name != "random"},
        )
        for n in range(count)
    ]
    measured[4] = measured[17] = "no face was found"
    other = np.where(np.isin(np.arange(count), (0, 11)), np.nan, rng.random(count))
    result = evaluate_measured(photographs, measured, [0.1], columns={"other": other}, seed=3)
    kept = [n for n in range(count) if n not in (0, 4, 11, 17)]
    assert [photograph.name for photograph in result.photographs] == [f"{n}.jpg" for n in kept]
    for place, name in enumerate(METHODS):
        if name != "random":
            assert result.methods[name].tolist() == [place + n / 100 for n in kept]
    assert result.methods["other"].tolist() == other[kept].tolist()
    # Subjects are told apart without an error: their embeddings went with them.
    assert result.evaluation.points[0].fnmr.value == 0
    assert result.evaluation.points[0].fmr_reached == 0
    cohorts = {each.cohort: (each.photographs, each.left_out) for each in result.evaluation.cohorts}
    assert cohorts == {"c0": (10, 2), "c1": (10, 2)}


def test_a_seed_is_of_all_that_is_drawn(photographs):
    measured = measure(photographs, CountingPreparer(), score, workers=1)

    def drawn(seed):
        result = evaluate_measured(photographs, measured, [0.1], non_mated_sample=200, seed=seed)
        area = result.evaluation.figures[0].areas[0].area
        return (
            result.methods["random"].tolist(),
            result.evaluation.non_mated_histogram.tolist(),
            [each.halving for each in result.evaluation.figures],
            (area.low, area.high),
        )

    first, again, other = drawn(1), drawn(1), drawn(2)
    assert first == again
    assert [a == b for a, b in zip(first, other, strict=True)] == [False] * 4


def test_a_list_of_pairs_is_what_is_compared(photographs, tmp_path):
    measured = measure(photographs, CountingPreparer(), score, workers=1)
    names = [photograph.name for photograph in photographs]
    rows = [f"{names[0]},{names[1]},1", "Zoë 14/3.jpg,Zoë 14/0.jpg,1"]
    rows += [f"{names[0]},{name},0" for name in names[3:]]
    path = tmp_path / "pairs.csv"
    path.write_text("reference,probe,mated\n" + "\n".join(rows), encoding="utf-8")
    listed = read_pairs(path, photographs)
    result = evaluate_measured(photographs, measured, [0.1], pair_list=listed)
    # The photograph that is broken and the one without a face take their pairs with them.
    assert result.evaluation.mated_pairs == 1
    assert result.evaluation.non_mated_pairs == len(names) - 3 - 2


def test_non_mated_pairs_can_be_drawn_instead_of_all(photographs):
    measured = measure(photographs, CountingPreparer(), score, workers=1)
    every = evaluate_measured(photographs, measured, [0.1])
    drawn = evaluate_measured(photographs, measured, [0.1], non_mated_sample=200)
    assert every.evaluation.non_mated_pairs == 945
    assert drawn.evaluation.non_mated_pairs == 200
    assert drawn.evaluation.mated_pairs == every.evaluation.mated_pairs


def test_intervals_are_over_subjects_and_not_over_pairs(photographs):
    """One subject of fifteen holds every error: some draws have none of them, others several."""
    rng = np.random.default_rng(0)
    measured = []
    for photograph in photographs:
        subject = int(photograph.subject.split()[1])
        values = rng.standard_normal(64) if subject == 0 else np.eye(64)[subject]
        scores = {name: float(rng.random()) for name in METHODS if name != "random"}
        measured.append(FaceMeasurement(values / np.linalg.norm(values), scores))
    point = evaluate_measured(photographs, measured, [0.1]).evaluation.points[0]
    assert point.fnmr.value > 0
    assert point.fnmr.low == 0
    assert point.fnmr.high >= 2 * point.fnmr.value


def test_nothing_left_to_compare_is_said(photographs):
    with pytest.raises(EvaluationError, match=r"no photograph is left.*Zoë 0/0\.jpg: no face"):
        evaluate_measured(photographs, ["no face"] * len(photographs), [0.1])


@pytest.mark.parametrize(
    ("left", "complaint"),
    [("Zoë 1/", "needs at least 10 non-mated pairs, and there are 0"), ("/0.jpg", "no mated pair")],
    ids=["one subject", "one photograph of each"],
)
def test_too_few_that_show_a_face_are_refused(photographs, left, complaint):
    measured = [
        found if left in photograph.name else "no face"
        for photograph, found in zip(
            photographs, measure(photographs, CountingPreparer(), score, workers=1), strict=True
        )
    ]
    with pytest.raises(EvaluationError, match=complaint):
        evaluate_measured(photographs, measured, [0.1])


def test_faces_are_shown_worst_first_and_best_first(photographs):
    measured = measure(photographs, CountingPreparer(), score, workers=1)
    result = evaluate_measured(photographs, measured, [0.1])
    shown = faces_as_jpeg(result, CountingPreparer())
    worst, best = shown["Worst faces"], shown["Best faces"]
    assert len(worst) == len(best) == 24
    ordered = np.sort(result.methods["sampled"])
    assert [face.score for face in worst] == ordered[:24].tolist()
    assert [face.score for face in best] == ordered[::-1][:24].tolist()
    assert worst[0].jpeg.startswith(b"\xff\xd8")


def test_a_face_is_shown_in_its_own_colours(photographs):
    skin = (200, 120, 90)

    class OfOneColour(CountingPreparer):
        def prepare(self, data, *, aligned=False):
            return replace(super().prepare(data), aligned=np.full((112, 112, 3), skin, np.uint8))

    measured = measure(photographs, CountingPreparer(), score, workers=1)
    result = evaluate_measured(photographs, measured, [0.1])
    [worst, *_] = faces_as_jpeg(result, OfOneColour())["Worst faces"]
    with Image.open(io.BytesIO(worst.jpeg)) as image:
        assert np.asarray(image).mean((0, 1)) == pytest.approx(skin, abs=2)


def test_faces_whose_photograph_has_gone_are_not_shown(photographs):
    measured = measure(photographs, CountingPreparer(), score, workers=1)
    result = evaluate_measured(photographs, measured, [0.1])
    worst = photographs[int(np.argmin(result.methods["sampled"]))]
    worst.path.unlink()
    shown = faces_as_jpeg(result, CountingPreparer())
    assert worst.name not in {face.name for faces in shown.values() for face in faces}
    assert len(shown["Worst faces"]) == 23


# --- the command, with the embedded pack


@pytest.fixture(scope="module")
def portraits(tmp_path_factory):
    """Two subjects: the astronaut, and the astronaut upside up in other colours."""
    folder = tmp_path_factory.mktemp("portraits")
    portrait = np.asarray(Image.fromarray(skimage.data.astronaut()).crop((100, 0, 356, 256)))
    rng = np.random.default_rng(0)
    for subject, pixels in (("a", portrait), ("b", portrait[:, ::-1, ::-1])):
        (folder / subject).mkdir()
        for place in range(4):
            noisy = np.clip(pixels + rng.normal(0, 8 * place, pixels.shape), 0, 255)
            Image.fromarray(noisy.astype(np.uint8)).save(folder / subject / f"{place}.jpg")
    return folder


def run(*arguments):
    return CliRunner().invoke(cli, ["evaluate", *map(str, arguments)])


@pytest.fixture(autouse=True)
def _here(monkeypatch, tmp_path):
    monkeypatch.setenv("SERFIQ_DEVICE", "cpu")
    monkeypatch.setenv("SERFIQ_PACKS_DIR", str(tmp_path / "packs"))
    monkeypatch.setenv("SERFIQ_PREPARE_WORKERS", "1")


def test_the_command_writes_everything_and_a_gate_is_status_3(portraits, tmp_path):
    options = ["--fmr", "0.1", "--fmr", "0.01", "--passes", "10", "--passes", "5"]
    cache = tmp_path / "cache"
    out = tmp_path / "out"
    result = run(portraits, out, *options, "--cache", cache, "--fail-if", "fnmr(random, 0.2) > 2")
    assert result.exit_code == 0, result.output
    assert "FMR of 0.01 needs at least 100 non-mated pairs, and there are 16" in result.output
    assert sorted(path.name for path in out.iterdir()) == [
        "edc.csv",
        "report.html",
        "scores.parquet",
        "summary.json",
    ]
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert (summary["mated_pairs"], summary["non_mated_pairs"]) == (12, 16)
    assert "sampled_5" in summary["spearman"]
    assert "<img" not in (out / "report.html").read_text(encoding="utf-8")
    for_anybody = stat.S_IMODE((out / "edc.csv").stat().st_mode)
    assert stat.S_IMODE((out / "report.html").stat().st_mode) == for_anybody

    true = "fnmr(sampled, 0.2) >= 0"
    result = run(portraits, out, *options, "--cache", cache, "--thumbnails", "--fail-if", true)
    assert result.exit_code == 3
    assert f"--fail-if is true: {true}" in result.output
    assert "<img" in (out / "report.html").read_text(encoding="utf-8")
    assert stat.S_IMODE((out / "report.html").stat().st_mode) == 0o600


@pytest.fixture
def faces_scored(photographs, tmp_path, monkeypatch):
    """Measures four photographs into one cache, and tells how many faces were scored for it."""
    scored = []
    features = Recogniser.features

    def counting(recogniser, aligned):
        scored.append(len(aligned))
        return features(recogniser, aligned)

    monkeypatch.setattr(Recogniser, "features", counting)
    preparer = nullcontext(CountingPreparer())
    monkeypatch.setattr("app.commands.measuring.preparing", lambda *_: preparer)

    def measured(passes=(10, 5), choice="largest", **settings):
        scored.clear()
        asked = Settings(**{"precision": "float32", **settings})
        by = Measuring(asked, pack_of(asked), passes, choice)
        assert len(by.measure(photographs[:4], tmp_path / "cache")) == 4
        return sum(scored)

    return measured


def write_other_pack(folder, version):
    """The embedded pack under another name."""
    embedded = embedded_pack()
    shutil.copytree(embedded.folder, folder, dirs_exist_ok=True)
    manifest = replace(embedded.manifest, name=folder.name, version=version)
    write_manifest(manifest, folder)


def test_what_was_measured_in_another_way_is_measured_again(faces_scored, tmp_path):
    profiles = tmp_path / "profiles.toml"
    profiles.write_text(
        '[near]\nversion = "1"\naccept_at = 20\nreview_at = 5\nmultiple_faces = "reject"\n'
        "native_value.InterEyeDistance.reject_below = 90\n",
        encoding="utf-8",
    )
    write_other_pack(tmp_path / "packs" / "ours", version="1")
    ways = [
        {},
        {"passes": (10,)},
        {"passes": (5, 10)},
        {"choice": "central"},
        {"convention": "mean"},
        {"seed": 1},
        {"precision": "bfloat16"},
        {"profiles_path": profiles},  # and with it the smallest face that is looked for
        {"pack": "ours"},
    ]
    for way in ways:
        assert (way, faces_scored(**way)) == (way, 4)
    for way in ways:
        assert (way, faces_scored(**way)) == (way, 0)
    write_other_pack(tmp_path / "packs" / "ours", version="2")
    assert faces_scored(pack="ours") == 4


def test_the_central_face_is_the_subject_where_that_is_asked_for(portraits, tmp_path):
    small = np.asarray(Image.fromarray(skimage.data.astronaut()).crop((120, 0, 330, 210)))
    for path in portraits.rglob("*.jpg"):
        scene = np.full((420, 640, 3), 200, np.uint8)
        scene[:, :215] = np.asarray(Image.open(path).resize((430, 430)))[:420, 90:305]
        scene[130:340, 240:450] = small
        (tmp_path / "scenes" / path.parent.name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(scene).save(tmp_path / "scenes" / path.relative_to(portraits))
    eyes = {}
    options = ["--fmr", "0.1", "--passes", "3", "--cache", tmp_path / "cache", "--thumbnails"]
    for choice in ("largest", "central"):
        out = tmp_path / choice
        result = run(tmp_path / "scenes", out, *options, "--face", choice)
        assert result.exit_code == 0, result.output
        summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
        assert summary["about"]["face"] == choice
        eyes[choice] = pyarrow.parquet.read_table(out / "scores.parquet")["inter_eye_distance"]
    assert min(eyes["largest"].to_pylist()) > 60
    assert max(eyes["central"].to_pylist()) < 50


def test_the_files_of_an_earlier_run_stay_until_all_of_the_next_are_there(
    portraits, tmp_path, monkeypatch
):
    out = tmp_path / "out"
    out.mkdir()
    for name in ("report.html", "summary.json", "of_mine.html"):
        (out / name).write_text("earlier")
    full = Mock(side_effect=OSError(errno.ENOSPC, "No space left"))
    monkeypatch.setattr(files, "write_summary", full)
    result = run(portraits, out, "--fmr", "0.1")
    assert result.exit_code == 4
    assert "cannot be written to: No space left" in result.output
    assert full.called
    assert {path.name: path.read_text() for path in out.iterdir()} == dict.fromkeys(
        ("report.html", "summary.json", "of_mine.html"), "earlier"
    )


def test_what_cannot_be_evaluated_is_status_4_before_any_work(portraits, tmp_path, monkeypatch):
    alone = tmp_path / "alone"
    shutil.copytree(portraits / "a", alone / "a")
    result = run(alone, tmp_path / "out")
    assert result.exit_code == 4
    assert "one subject only" in result.output
    result = run(portraits, tmp_path / "out", "--fail-if", "1 >")
    assert result.exit_code == 4
    assert "cannot be parsed" in result.output
    result = run(portraits, tmp_path / "out", "--fail-if", "pauc20(best) > 1")
    assert result.exit_code == 4
    assert "there is no method best" in result.output
    (tmp_path / "scores.csv").write_text("path,sampled_10\na/0.jpg,1\n", encoding="utf-8")
    options = ("--passes", "100", "--passes", "10", "--scores", tmp_path / "scores.csv")
    result = run(portraits, tmp_path / "out", *options)
    assert result.exit_code == 4
    assert "there is a method sampled_10 already" in result.output
    assert not (tmp_path / "out").exists()
    with monkeypatch.context() as patched:
        patched.setattr(evaluate, "TemporaryFile", read_only)
        result = run(portraits, tmp_path / "out", "--fmr", "0.1")
    assert result.exit_code == 4
    assert "out cannot be written to: Read-only file system" in result.output
    monkeypatch.setenv("SERFIQ_PROFILES_PATH", str(tmp_path / "nowhere.toml"))
    result = run(portraits, tmp_path / "away", "--fmr", "0.1", "--cache", tmp_path / "cache")
    assert result.exit_code == 4
    assert "nowhere.toml" in result.output


def test_what_the_labels_alone_cannot_tell_is_status_4_before_any_work(
    portraits, tmp_path, monkeypatch
):
    monkeypatch.setattr(Measuring, "measure", None)
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("reference,probe,mated\na/0.jpg,a/1.jpg,1\na/0.jpg,b/1.jpg,0\n")
    for options, complaint in (
        ((), "an FMR of 0.01 needs at least 100 non-mated pairs, and there are 16"),
        (("--non-mated", 5_000_000), "5,000,000 non-mated pairs was asked for, and there are 16"),
        (("--pairs", pairs, "--fmr", 0.1), "needs at least 10 non-mated pairs, and there are 1"),
    ):
        result = run(portraits, tmp_path / "out", *options)
        assert result.exit_code == 4
        assert complaint in result.output
        assert not (tmp_path / "out").exists()


def read_only(**_):
    raise OSError(errno.EROFS, "Read-only file system")


@pytest.mark.parametrize("fmr", ["nan", "inf", "-0.1", "0", "1"])
def test_what_is_no_rate_is_refused(portraits, tmp_path, fmr):
    result = run(portraits, tmp_path / "out", "--fmr", fmr)
    assert result.exit_code == 2
    assert "must lie between 0 and 1" in result.output


def test_a_condition_that_cannot_be_decided_loses_no_figures(portraits, tmp_path):
    out = tmp_path / "out"
    refused = "fnmr(sampled, 0.2) > 1"  # 16 non-mated pairs are too few for an FMR of 1e-3
    options = ("--fmr", "0.1", "--fmr", "0.1", "--fmr", "0.001", "--passes", "3")
    conditions = (refused, "1 > 2", "2 > 1")
    result = run(portraits, out, *options, *(o for c in conditions for o in ("--fail-if", c)))
    assert result.exit_code == 4
    assert f"--fail-if is not decided: {refused}: an FMR of 0.001 needs" in result.output
    assert "--fail-if is true: 2 > 1" in result.output
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert [each["true"] for each in summary["gates"]] == [None, False, True]
    assert {each["fmr"] for each in summary["gates"]} == {0.001}
    assert "needs at least 1,000" in summary["gates"][0]["why"]
    assert [point["fmr"] for point in summary["points"]] == [0.1]


def test_the_command_compares_listed_pairs_and_cohorts(portraits, tmp_path):
    rows = [
        f"{subject}/{place}.jpg,{subject},{'dim' if place else 'bright'}\n"
        for subject in "ab"
        for place in range(4)
    ]
    manifest, pairs, out = (tmp_path / name for name in ("all.csv", "pairs.csv", "out"))
    manifest.write_text("path,subject,cohort\n" + "".join(rows), encoding="utf-8")
    listed = ["a/0.jpg,a/1.jpg,1", "a/1.jpg,a/2.jpg,1", "b/2.jpg,b/3.jpg,1"]
    listed += [f"a/{first}.jpg,b/{second}.jpg,0" for first in range(4) for second in range(3)]
    pairs.write_text("reference,probe,mated\n" + "\n".join(listed), encoding="utf-8")
    options = ("--root", portraits, "--pairs", pairs, "--fmr", "0.1", "--passes", "3")
    result = run(manifest, out, *options)
    assert result.exit_code == 0, result.output
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert (summary["mated_pairs"], summary["non_mated_pairs"]) == (3, 12)
    cohorts = {each["cohort"]: each for each in summary["cohorts"]}
    assert {name: each["photographs"] for name, each in cohorts.items()} == {"bright": 2, "dim": 6}
    assert {name: each["mated_pairs"] for name, each in cohorts.items()} == {"bright": 0, "dim": 2}
    assert {name: each["non_mated_pairs"] for name, each in cohorts.items()} == {
        "bright": 1,
        "dim": 6,
    }


def test_without_the_extra_it_says_what_to_install(portraits, tmp_path, monkeypatch):
    find_spec = importlib.util.find_spec

    def without_matplotlib(name, *more):
        return None if name == "matplotlib" else find_spec(name, *more)

    monkeypatch.setattr(importlib.util, "find_spec", without_matplotlib)
    result = run(portraits, tmp_path / "out")
    assert result.exit_code == 4
    assert "this needs matplotlib: run `make evaluate`" in result.output


def test_only_the_subjects_kept_out_of_training_are_compared(tmp_path):
    names = [f"{subject}/{each}.jpg" for subject in "abcdefghijkl" for each in range(2)]
    for name in names:
        (tmp_path / "p" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "p" / name).write_bytes(b"")
    rows = [f"{name},{number}\n" for number, name in enumerate(names)]
    expected = [name for name in names if is_test_subject(name[0])]
    assert 2 < len(expected) < len(names)
    theirs = [row for row in rows if is_test_subject(row[0])]
    (tmp_path / "all.csv").write_text("path,other\n" + "".join(rows), encoding="utf-8")
    (tmp_path / "tested.csv").write_text("path,theirs\n" + "".join(theirs), encoding="utf-8")

    def ask(*scores, test_subjects):
        question = Question(tmp_path / "p", None, None, scores, (), None, 0, test_subjects)
        return question.read([])

    everyone = ask(tmp_path / "all.csv", test_subjects=False)
    tested = ask(tmp_path / "all.csv", tmp_path / "tested.csv", test_subjects=True)
    assert [each.name for each in everyone.photographs] == names
    assert [each.name for each in tested.photographs] == expected
    for column in ("other", "theirs"):
        assert tested.columns[column].tolist() == [names.index(name) for name in expected]


def test_only_listed_photographs_and_of_those_the_subjects_asked_for_are_compared(tmp_path):
    names = [f"{subject}/{each}.jpg" for subject in "abcdefghijkl" for each in range(3)]
    for name in names:
        (tmp_path / "p" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "p" / name).write_bytes(b"")
    pairs = [(f"{s}/0.jpg", f"{s}/1.jpg", 1) for s in "abcdefghijkl"]
    pairs += [("a/0.jpg", name, 0) for name in names[3:] if "1" in name]
    tested = [subject for subject in "abcdefghijkl" if is_test_subject(subject)]
    pairs += [(f"{tested[0]}/1.jpg", f"{tested[1]}/0.jpg", 0)]
    path = tmp_path / "pairs.csv"
    rows = "".join(f"{first},{second},{mated}\n" for first, second, mated in pairs)
    path.write_text("reference,probe,mated\n" + rows, encoding="utf-8")

    def ask(*, test_subjects):
        return Question(tmp_path / "p", None, path, (), (), None, 0, test_subjects).read([])

    everyone, theirs = ask(test_subjects=False), ask(test_subjects=True)
    assert [p.name for p in everyone.photographs] == [name for name in names if "2" not in name]
    assert [p.name for p in theirs.photographs] == [
        name for name in names if "2" not in name and name[0] in tested
    ]
    assert len(everyone.pair_list.mated) == 12
    assert len(theirs.pair_list.mated) == len(tested)
    (first,), (second,) = theirs.pair_list.non_mated.first, theirs.pair_list.non_mated.second
    both = {theirs.photographs[first].name, theirs.photographs[second].name}
    assert both == {f"{tested[0]}/1.jpg", f"{tested[1]}/0.jpg"}


def test_options_that_would_be_passed_over_are_refused(tmp_path):
    (tmp_path / "pairs.csv").touch()
    result = run(tmp_path, tmp_path / "out", "--root", tmp_path)
    assert result.exit_code == 2
    assert "--root is for a CSV" in result.output
    options = ("--pairs", tmp_path / "pairs.csv", "--non-mated", 5_000_000)
    result = run(tmp_path, tmp_path / "out", *options)
    assert result.exit_code == 2
    assert "--non-mated draws no others" in result.output


def test_too_few_test_subjects_are_refused(tmp_path):
    for name in ("a/0.jpg", "a/1.jpg", "g/0.jpg", "g/1.jpg"):
        assert not is_test_subject(name[0])
        (tmp_path / "p" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "p" / name).write_bytes(b"")
    result = run(tmp_path / "p", tmp_path / "out", "--test-subjects")
    assert result.exit_code == 4
    assert "no subject that is kept out of training" in result.output
