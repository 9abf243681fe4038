"""A site's own photographs become the calibration of an installed pack."""

import dataclasses
import hashlib
import itertools
import shutil
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import skimage.data
from PIL import Image
from typer.testing import CliRunner

from app.cli import cli
from serfiq_core.calibrating import calibrate, gather_evidence, install
from serfiq_core.calibration.calibration import PERCENTILES, AuthorsMap, Calibration, PercentileMap
from serfiq_core.errors import ConfigurationError, PackError
from serfiq_core.evaluation.subjects import Photograph
from serfiq_core.loading import load_calibration, load_pipeline
from serfiq_core.packs.manifest import write_manifest
from serfiq_core.packs.pack import read_pack, verify
from serfiq_core.packs.registry import embedded_pack
from serfiq_core.preparation.photographs import skip_silently
from serfiq_core.testing import FakePipeline
from serfiq_core.types import Score


@pytest.fixture
def site_pack(tmp_path):
    """A copy of the embedded pack, as if it had been imported: not calibrated."""
    embedded = embedded_pack()
    folder = tmp_path / "packs" / "ours"
    folder.mkdir(parents=True)
    name = embedded.manifest.recogniser.file
    shutil.copy(embedded.recogniser_path, folder / name)
    write_manifest(
        dataclasses.replace(
            embedded.manifest,
            name="ours",
            calibration=None,
            files={name: embedded.manifest.files[name]},
        ),
        folder,
    )
    return read_pack(folder)


@pytest.fixture
def photographs(tmp_path):
    """Variants of one portrait, one photograph without a face, one file that is no photograph."""
    folder = tmp_path / "photographs of Zoë"
    folder.mkdir()
    portrait = Image.fromarray(skimage.data.astronaut()).crop((100, 0, 356, 256))
    rng = np.random.default_rng(0)
    for index in range(PERCENTILES + 9):
        noisy = np.asarray(portrait) + rng.normal(0, index / 8, (256, 256, 3))
        Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(folder / f"{index:03}.jpg")
    Image.new("RGB", (64, 64)).save(folder / "nobody.png")
    (folder / "notes.jpg").write_text("not a photograph")
    return folder


def test_a_calibrated_pack_accepts_and_names_its_calibration(site_pack, photographs):
    options = ["--pack", "ours", "--id", "desk-1", "--packs-dir", str(site_pack.folder.parent)]
    result = CliRunner().invoke(cli, ["calibrate", str(photographs), *options])
    assert result.exit_code == 0, result.output
    assert "nobody.png: no face was found" in result.output
    assert "notes.jpg" in result.output

    pack = read_pack(site_pack.folder)
    verify(pack)
    pipeline = load_pipeline(pack, device="cpu")
    assert pipeline.info.calibration == "desk-1"
    (best,) = pipeline.assess([(photographs / "000.jpg").read_bytes()])
    (worst,) = pipeline.assess([(photographs / f"{PERCENTILES + 8:03}.jpg").read_bytes()])
    assert best.quality_score is not None
    assert worst.quality_score is not None
    assert best.quality_score > worst.quality_score


@pytest.mark.parametrize("identifier", ["desk 1", "Zürich", "../x", "x" * 200])
def test_an_id_that_makes_no_file_name_is_refused_before_the_work(site_pack, tmp_path, identifier):
    options = ["--pack", "ours", "--id", identifier, "--packs-dir", str(site_pack.folder.parent)]
    result = CliRunner().invoke(cli, ["calibrate", str(tmp_path), *options])
    assert isinstance(result.exception, ConfigurationError)
    assert "makes no file name" in str(result.exception)


def test_a_new_calibration_takes_the_place_of_the_old_one(site_pack, photographs):
    pipeline = load_pipeline(site_pack, device="cpu")
    files = sorted(photographs.glob("*.jpg"))
    pack = site_pack
    for identifier in ("first", "second"):
        calibration = calibrate(
            pipeline,
            pack,
            files,
            identifier=identifier,
            reference="portraits",
            skipped=skip_silently,
        )
        pack = install(calibration, pack)
    verify(pack)
    loaded = load_calibration(pack)
    assert loaded is not None
    assert loaded.id == "second"
    assert len(list(pack.folder.glob("calibration*"))) == 1


def test_a_calibration_is_made_of_closed_form_scores(site_pack, tmp_path):
    """As many photographs as there are percentiles: each score is one of them."""
    scores = iter(range(PERCENTILES))

    class OneScoreEach(FakePipeline):
        def score(self, faces):
            found = super().score(faces)
            return [
                dataclasses.replace(each, closed_form=Score(next(scores) / 1000, 0.5, None))
                for each in found
            ]

    rng = np.random.default_rng(0)
    for index in range(PERCENTILES):
        pixels = rng.integers(0, 256, (32, 32, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{index}.png")
    files = list(tmp_path.glob("*.png"))
    found = calibrate(
        OneScoreEach(), site_pack, files, identifier="a", reference="made up", skipped=skip_silently
    )
    assert found.map.knots == pytest.approx([n / 1000 for n in range(PERCENTILES)], abs=1e-9)


def test_evidence_keeps_each_photograph_with_its_own_subject_score_and_embedding(tmp_path):
    """Whoever is left out between them."""
    photographs, rng = [], np.random.default_rng(0)
    for name, subject in zip("0123456", "ba-bcaa", strict=True):
        path = tmp_path / f"{name}.png"
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)).save(path)
        photographs.append(Photograph(path, path.name, subject))
    Image.new("RGB", (32, 32)).save(photographs[2].path)  # nobody
    unsure = photographs[3].path.read_bytes()
    shutil.copy(photographs[1].path, photographs[6].path)

    class UnsureOfOne(FakePipeline):
        def decide(self, prepared, scores, **options):
            decided = super().decide(prepared, scores, **options)
            known = prepared.image_sha256 != hashlib.sha256(unsure).hexdigest()
            return decided if known else dataclasses.replace(decided, quality_score=None)

    skipped = []
    pipeline = UnsureOfOne()
    evidence = gather_evidence(
        pipeline, photographs, skipped=lambda path, _: skipped.append(Path(path).name)
    )
    assert sorted(skipped) == ["2.png", "3.png", "6.png"]
    assert evidence.subjects.tolist() == [1, 0, 2, 0]  # b, a, c, a
    kept = [photographs[place].path.read_bytes() for place in (0, 1, 4, 5)]
    expected = pipeline.score([pipeline.prepare(data).aligned for data in kept])
    found = evidence.quality_scores.tolist()
    assert found == [100 * each.sampled.raw_score for each in expected]
    assert len(set(found)) == 4
    assert np.array_equal(evidence.embeddings, [each.embedding for each in expected])


def test_too_few_photographs_are_refused_and_nothing_is_written(site_pack, photographs):
    before = sorted(path.name for path in site_pack.folder.iterdir())
    with pytest.raises(ConfigurationError, match="at least 101"):
        calibrate(
            load_pipeline(site_pack, device="cpu"),
            site_pack,
            sorted(photographs.glob("00*.jpg")),
            identifier="few",
            reference="ten portraits",
            skipped=skip_silently,
        )
    assert sorted(path.name for path in site_pack.folder.iterdir()) == before


def test_an_id_used_again_leaves_the_file_in_force_until_it_is_replaced(site_pack):
    entry = site_pack.manifest.recogniser
    sha256 = site_pack.manifest.files[entry.file]
    pack, contents = site_pack, []
    for knots in ((0.1, 0.2), (0.3, 0.4), (0.5, 0.6)):
        calibration = Calibration("desk", sha256, entry.dropout_rate, PercentileMap("us", knots))
        before, pack = pack, install(calibration, pack)
        verify(pack)
        assert before.manifest.calibration != pack.manifest.calibration
        assert load_calibration(pack) == calibration
        contents.append(sorted(path.name for path in pack.folder.glob("calibration*")))
    first, second = ["calibration-desk.toml"], ["calibration-desk-2.toml"]
    assert contents == [first, second, first]


def test_the_embedded_pack_stays_as_it_is(photographs):
    result = CliRunner().invoke(cli, ["calibrate", str(photographs)])
    assert result.exit_code != 0
    assert "embedded" in str(result.exception)


def test_an_id_that_makes_no_file_name_is_refused_and_nothing_is_written(site_pack):
    before = sorted(path.name for path in site_pack.folder.iterdir())
    calibration = Calibration("front desk", "a" * 64, 0.4, AuthorsMap())
    with pytest.raises(PackError, match="plain name"):
        install(calibration, site_pack)
    assert sorted(path.name for path in site_pack.folder.iterdir()) == before


def test_the_authors_map_is_installed_without_photographs(site_pack, photographs):
    options = ["--pack", "ours", "--packs-dir", str(site_pack.folder.parent)]
    result = CliRunner().invoke(cli, ["calibrate", "--map", "authors", "--id", "theirs", *options])
    assert result.exit_code == 0, result.output
    pipeline = load_pipeline(read_pack(site_pack.folder), device="cpu", estimator="closed_form")
    assert pipeline.info.calibration == "theirs"
    [assessment] = pipeline.assess([(photographs / "000.jpg").read_bytes()])
    assert assessment.scores is not None
    published = 1 / (1 + np.exp(-130 * (assessment.scores.closed_form.raw_score - 0.88)))
    assert assessment.quality_score == pytest.approx(100 * published, rel=1e-4)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "name their folder"),
        (["--map", "authors", "."], "takes no photographs"),
        (["--map", "linear", "."], "linear"),
        (["absent"], "absent"),
    ],
)
def test_wrong_calls_say_what_is_wrong(arguments, complaint):
    result = CliRunner().invoke(cli, ["calibrate", *arguments])
    assert result.exit_code == 2
    assert complaint in result.output


def answering_nothing(pipeline, places, monkeypatch, *, embedding=np.nan):
    """`pipeline`, whose recogniser answers nothing of the faces at `places`, counted from 0."""
    score, count = pipeline.score, itertools.count()

    def scored(faces):
        return [
            dataclasses.replace(each, **nothing(each, embedding)) if next(count) in places else each
            for each in score(faces)
        ]

    monkeypatch.setattr(pipeline, "score", scored)
    return pipeline


def nothing(scores, embedding):
    """Numbers that are none, or a distance of 0, which would be the best score there is."""
    distance, raw_score = (np.nan, np.nan) if np.isnan(embedding) else (0.0, 1.0)
    silent = {"mean_distance": distance, "raw_score": raw_score}
    return {
        "embedding": np.full_like(scores.embedding, embedding),
        "sampled": dataclasses.replace(scores.sampled, **silent),
        "closed_form": dataclasses.replace(scores.closed_form, **silent),
    }


@pytest.mark.parametrize("embedding", [np.nan, 0.0])
def test_a_photograph_that_is_answered_with_nothing_is_skipped_and_named(
    site_pack, photographs, monkeypatch, embedding
):
    files = sorted(photographs.glob("*.jpg"))
    pipeline = load_pipeline(site_pack, device="cpu")
    pipeline = answering_nothing(pipeline, {3, 70}, monkeypatch, embedding=embedding)
    skipped = {}
    calibration = calibrate(
        pipeline, site_pack, files, identifier="desk", reference="portraits",
        skipped=skipped.__setitem__,
    )  # fmt: skip
    assert calibration.map.description.count(f"({len(files) - 3} faces)")  # and one no photograph
    assert calibration.map.knots[-1] < 1
    for place in (3, 70):
        assert skipped[str(files[place])] == "the recogniser answers with nothing"


def test_too_few_files_are_refused_before_the_work(site_pack, tmp_path, monkeypatch):
    for index in range(PERCENTILES - 1):
        (tmp_path / f"{index}.jpg").touch()
    monkeypatch.setattr("serfiq_core.pipeline.Pipeline.prepare", Mock(side_effect=AssertionError))
    options = ["--pack", "ours", "--packs-dir", str(site_pack.folder.parent)]
    result = CliRunner().invoke(cli, ["calibrate", str(tmp_path), *options])
    assert isinstance(result.exception, ConfigurationError)
    assert "holds 100 photographs" in str(result.exception)
