"""From photographs to a pack: what is passed over, what is kept, and what comes of it."""

from pathlib import Path

import numpy as np
import pytest
import torch

from serfiq_core.errors import PackError, TrainingError, UndecodableImageError
from serfiq_core.evaluation.subjects import Photograph
from serfiq_core.importing import Provenance
from serfiq_core.loading import load_pipeline
from serfiq_core.packs.pack import verify
from serfiq_core.training.compact_pack import (
    LESSON_FILE,
    Watch,
    aligned_faces,
    lesson_of,
    train_pack,
)
from serfiq_core.training.distil import Recipe
from serfiq_core.types import PreparedCapture
from tests.unit.test_distil import lesson_of as random_lesson
from tests.unit.test_lesson import random_faces, small_teacher

RECIPE = Recipe(steps=3, batch=4, warm_up=0.5)
PROVENANCE = Provenance("7", "CC0-1.0", "here")


class Reader:
    """Takes each file's one byte for the grey of a face; 0 for no face, 1 for no photograph."""

    def __init__(self) -> None:
        self.asked = 0

    def prepare(self, data: bytes, *, aligned: bool = False) -> PreparedCapture:
        self.asked += 1
        if data[0] == 1:
            raise UndecodableImageError("it ends early")
        face = np.full((112, 112, 3), data[0], np.uint8) if data[0] else None
        return PreparedCapture(1, None, face, {}, ())


def photographs(folder: Path, values: list[int]) -> list[Photograph]:
    for number, value in enumerate(values):
        (folder / f"{number}.jpg").write_bytes(bytes([value]))
    return [Photograph(folder / f"{n}.jpg", f"{n}.jpg", str(n)) for n in range(len(values))]


def test_what_has_no_face_is_passed_over_and_told(tmp_path: Path) -> None:
    told: list[tuple[str, str]] = []
    watch = Watch(skipped=lambda path, why: told.append((path.name, why)))
    found = [*photographs(tmp_path, [9, 0, 1, 7]), Photograph(tmp_path / "gone.jpg", "gone", "x")]
    faces = aligned_faces(found, Reader(), workers=2, watch=watch)
    assert [int(face[0, 0, 0]) for face in faces] == [9, 7]
    assert [name for name, _ in told] == ["1.jpg", "2.jpg", "gone.jpg"]
    assert told[:2] == [("1.jpg", "no face was found"), ("2.jpg", "it ends early")]


def test_a_lesson_that_is_kept_is_not_asked_for_again(tmp_path: Path) -> None:
    reader, teacher = Reader(), small_teacher()
    found = photographs(tmp_path, list(range(2, 110)))
    first = lesson_of(found, reader, teacher, 0, tmp_path, workers=1, watch=Watch())
    again = lesson_of(found, reader, teacher, 0, tmp_path, workers=1, watch=Watch())
    assert reader.asked == 108
    assert (again.embeddings == first.embeddings).all()


def test_too_few_faces_leave_no_lesson(tmp_path: Path) -> None:
    found = photographs(tmp_path, [5, 6])
    with pytest.raises(TrainingError, match="2 faces are too few"):
        lesson_of(found, Reader(), small_teacher(), 0, tmp_path, workers=1, watch=Watch())
    assert not (tmp_path / LESSON_FILE).exists()


def test_a_trained_pack_loads_and_scores(tmp_path: Path) -> None:
    work, packs = tmp_path / "work", tmp_path / "packs"
    work.mkdir()
    pack = train_pack(
        random_lesson(), RECIPE, "ours", packs, PROVENANCE, torch.device("cpu"), work,
        workers=0, watch=Watch(),
    )  # fmt: skip
    verify(pack)
    assert pack.manifest.version == "7"
    assert pack.manifest.licence == "CC0-1.0"
    assert pack.manifest.recogniser.trained_with_dropout
    scores = load_pipeline(pack, device="cpu").score(list(random_faces(2)))
    assert all(0 < each.sampled.raw_score < 1 for each in scores)


def test_a_name_that_is_taken_is_refused_before_any_training(tmp_path: Path) -> None:
    (tmp_path / "packs" / "ours").mkdir(parents=True)
    with pytest.raises(PackError, match="ours"):
        train_pack(
            random_lesson(), RECIPE, "ours", tmp_path / "packs", PROVENANCE,
            torch.device("cpu"), tmp_path, workers=0, watch=Watch(),
        )  # fmt: skip
