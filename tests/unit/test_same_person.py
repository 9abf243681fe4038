"""The limit, measured on made-up people; and put into a pack."""

import itertools
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image
from typer.testing import CliRunner

from app.cli import cli
from serfiq_core.errors import ConfigurationError
from serfiq_core.known_faces import known_faces
from serfiq_core.loading import load_pipeline
from serfiq_core.one_subject.same_person import (
    KnownFaces,
    outcomes,
    same_person_cosine,
    share_below,
)
from serfiq_core.packs.manifest import write_manifest
from serfiq_core.packs.pack import Pack, read_pack, verify
from serfiq_core.packs.registry import embedded_pack
from serfiq_core.types import AlignedFace, FaceScores

SUBJECTS, EACH = 400, 5


def people(spread: float, seed: int = 0) -> KnownFaces:
    """`SUBJECTS` people with `EACH` faces about a direction of their own."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(SUBJECTS, 1, 64)) / 8
    faces = (centres + rng.normal(0, spread, (SUBJECTS, EACH, 64))).reshape(-1, 64)
    faces /= np.linalg.norm(faces, axis=1, keepdims=True)
    names = np.repeat([f"subject {i}" for i in range(SUBJECTS)], EACH)
    return KnownFaces(faces, rng.uniform(0.3, 0.5, len(faces)), names)


@pytest.mark.parametrize("share", [0.05, 0.2])
def test_the_share_asked_for_falls_below_the_limit(share: float) -> None:
    limit = same_person_cosine(people(0.06), share)
    fresh = outcomes(people(0.06, seed=1), limit, 2)
    assert fresh.sets == SUBJECTS
    # Four standard errors of a share of 400 sets.
    assert fresh.false_alarms == pytest.approx(share, abs=4 * np.sqrt(share / SUBJECTS))


def test_the_share_of_other_people_lies_in_its_interval() -> None:
    faces = people(0.06, seed=2)
    limit = same_person_cosine(faces, 0.05)
    ends = share_below(faces, limit)
    assert ends.low < 0.05 < ends.high
    others = [outcomes(people(0.06, seed), limit, 2).false_alarms for seed in range(10, 16)]
    assert ends.low < np.mean(others) < ends.high


def test_the_interval_of_the_share_is_wider_with_fewer_subjects() -> None:
    faces = people(0.06)
    few = KnownFaces(
        *(each[: 100 * EACH] for each in (faces.embeddings, faces.mean_distances, faces.subjects))
    )
    limit = same_person_cosine(faces, 0.1)
    wide, narrow = (share_below(each, limit) for each in (few, faces))
    # A fourth of the subjects: twice as wide.
    assert 1.5 < (wide.high - wide.low) / (narrow.high - narrow.low) < 2.7


def test_people_who_are_far_apart_are_told_apart() -> None:
    faces = people(0.03)
    limit = same_person_cosine(faces, 0.05)
    for size in (2, 3, 5):
        found = outcomes(faces, limit, size)
        assert found.intruders_seen == 1
        assert found.false_alarms < 0.1
        # Of two that disagree nobody can say which is the intruder.
        assert found.intruders_named > 0.9 if size > 2 else found.intruders_named == 0


def test_the_same_faces_give_the_same_limit() -> None:
    assert same_person_cosine(people(0.06), 0.05) == same_person_cosine(people(0.06), 0.05)


def test_too_few_subjects_are_refused_with_the_number_needed() -> None:
    with pytest.raises(ConfigurationError, match=r"needs 1000 subjects.*not 400"):
        same_person_cosine(people(0.06), 0.01)


def test_a_recogniser_that_knows_nobody_has_no_limit() -> None:
    with pytest.raises(ConfigurationError, match="no limit can tell"):
        same_person_cosine(people(10.0), 0.05)


def test_sets_need_two_subjects_with_so_many_faces() -> None:
    with pytest.raises(ConfigurationError, match="sets of 6"):
        outcomes(people(0.06), 0.5, EACH + 1)


@pytest.fixture
def site_pack(tmp_path: Path) -> Pack:
    """A copy of the embedded pack, as if it had been imported: without a limit."""
    embedded = embedded_pack()
    folder = tmp_path / "packs" / "ours"
    shutil.copytree(embedded.folder, folder)
    write_manifest(replace(embedded.manifest, name="ours", same_person_cosine=None), folder)
    return read_pack(folder)


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Twelve subjects, all one portrait; one file of each is no photograph, one subject has one."""
    root = tmp_path / "people of Zoë's"
    portrait = Image.fromarray(skimage.data.astronaut()).crop((100, 0, 356, 256))
    for subject in range(12):
        folder = root / f"Ünal {subject}"
        folder.mkdir(parents=True)
        for index in range(2):
            portrait.save(folder / f"{index}.jpg", quality=95 - subject - 20 * index)
        (folder / "2.jpg").write_text("not a photograph")
    (root / "alone").mkdir()
    portrait.save(root / "alone" / "0.jpg")
    return root


def run(*arguments: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(cli, ["same-person", *map(str, arguments)])
    return result.exit_code, result.output + repr(result.exception)


def test_the_command_measures_and_writes_the_limit(site_pack: Pack, photographs: Path) -> None:
    options = ("--pack", "ours", "--packs-dir", site_pack.folder.parent, "--false-alarms", "0.9")
    status, output = run(photographs, *options)
    assert status == 0, output
    assert "same_person_cosine = 0.9" in output
    assert "asked for: 90.0%" in output
    assert "not JPEG" in output or "skipped" in output
    assert read_pack(site_pack.folder).manifest.same_person_cosine is None
    assert run(photographs, *options, "--write")[0] == 0
    written = read_pack(site_pack.folder)
    verify(written)
    assert written.manifest.same_person_cosine is not None
    assert load_pipeline(written, device="cpu").info.same_person_cosine > 0.9


def test_the_command_refuses(tmp_path: Path, photographs: Path) -> None:
    assert "0 and 1" in run(photographs, "--false-alarms", "2")[1]
    assert "embedded" in run(photographs, "--write")[1]
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "names no photograph" in run(empty)[1]
    assert "needs 500 subjects" in run(photographs)[1]


def test_the_command_refuses_a_file_twice_and_people_with_one(photographs: Path) -> None:
    first, second = sorted(photographs.glob("*/0.jpg"))[:2]
    link = first.with_name("again.jpg")
    link.symlink_to(second)
    assert "is the same file as" in run(photographs)[1]
    link.unlink()
    for path in photographs.glob("*/[12].jpg"):
        path.unlink()
    assert "has two photographs" in run(photographs)[1]


@pytest.mark.parametrize("answer", [np.nan, 0.0])
def test_a_photograph_that_is_answered_with_nothing_is_skipped_and_named(
    site_pack: Pack, photographs: Path, monkeypatch: pytest.MonkeyPatch, answer: float
) -> None:
    pipeline = load_pipeline(site_pack, device="cpu")
    score, count = pipeline.score, itertools.count()

    def scored(faces: Sequence[AlignedFace]) -> list[FaceScores]:
        return [
            replace(each, embedding=np.full_like(each.embedding, answer))
            if next(count) == 5
            else each
            for each in score(faces)
        ]

    monkeypatch.setattr(pipeline, "score", scored)
    by_subject = {
        folder.name: sorted(folder.glob("[01].jpg"))
        for folder in sorted(photographs.iterdir())
        if folder.name != "alone"
    }
    skipped: dict[str, str] = {}
    faces = known_faces(pipeline, by_subject, skipped.__setitem__)
    (name,) = skipped
    assert Path(name) == [path for paths in by_subject.values() for path in paths][5]
    assert skipped[name] == "the recogniser answers with nothing"
    assert len(faces.subjects) == len(faces.embeddings) == len(faces.mean_distances) == 23
    assert np.isfinite(faces.embeddings).all()
    assert same_person_cosine(faces, 0.95) > 0.9


def test_a_copy_of_a_photograph_makes_no_pair(site_pack: Pack, photographs: Path) -> None:
    first, second = (sorted(photographs.glob(f"Ünal {n}/[01].jpg")) for n in (1, 2))
    again = shutil.copy(first[0], first[0].with_name("again.jpg"))
    skipped: dict[str, str] = {}
    faces = known_faces(
        load_pipeline(site_pack, device="cpu"),
        {"a": [*first, again], "b": second},
        skipped.__setitem__,
    )
    assert skipped == {str(again): f"the same photograph as {first[0]}"}
    assert faces.subjects.tolist() == ["a", "a", "b", "b"]


def test_a_photograph_under_two_subjects_is_of_neither(site_pack: Pack, photographs: Path) -> None:
    first, second = (sorted(photographs.glob(f"Ünal {n}/[01].jpg")) for n in (1, 2))
    again = shutil.copy(first[0], second[0].with_name("again.jpg"))
    skipped: dict[str, str] = {}
    faces = known_faces(
        load_pipeline(site_pack, device="cpu"),
        {"a": first, "b": [*second, again]},
        skipped.__setitem__,
    )
    assert skipped == {
        str(first[0]): f"the same photograph as {again}, under another subject",
        str(again): f"the same photograph as {first[0]}, under another subject",
    }
    assert faces.subjects.tolist() == ["a", "b", "b"]


def test_a_limit_that_is_no_number_is_none() -> None:
    faces = people(0.06)
    faces.embeddings[::EACH] = np.nan
    with pytest.raises(ConfigurationError, match="no limit can tell"):
        same_person_cosine(faces, 0.05)
