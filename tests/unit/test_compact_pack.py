"""From faces to a pack: what is kept, and what comes of it."""

from pathlib import Path

import pytest
import safetensors.torch
import torch

from serfiq_core.errors import PackError, TrainingError
from serfiq_core.importing.new_pack import Provenance
from serfiq_core.loading import load_pipeline
from serfiq_core.packs.pack import verify
from serfiq_core.training.compact_pack import (
    LESSON_FILE,
    WEIGHTS_FILE,
    lesson_of,
    train_pack,
)
from serfiq_core.training.recipe import Recipe
from serfiq_core.types import AlignedFace
from tests.unit.test_distil import lesson_of as random_lesson
from tests.unit.test_lesson import random_faces, small_teacher

RECIPE = Recipe(steps=3, batch=4, warm_up=0.5)
PROVENANCE = Provenance("7", "CC0-1.0", "here")


def test_a_lesson_that_is_kept_is_not_asked_for_again(tmp_path: Path) -> None:
    asked = []

    def faces() -> list[AlignedFace]:
        asked.append(True)
        return list(random_faces())

    first = lesson_of(tmp_path, faces, small_teacher(), 0, source="a")
    again = lesson_of(tmp_path, faces, small_teacher(), 0, source="a")
    assert len(asked) == 1
    assert (again.embeddings == first.embeddings).all()
    with pytest.raises(TrainingError, match="is of other photographs, another teacher"):
        lesson_of(tmp_path, faces, small_teacher(), 0, source="b")
    assert (tmp_path / LESSON_FILE).exists()


def test_too_few_faces_leave_no_lesson(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="2 faces are too few"):
        lesson_of(tmp_path, lambda: list(random_faces(2)), small_teacher(), 0, source="a")
    assert not (tmp_path / LESSON_FILE).exists()


def test_a_trained_pack_loads_and_scores(tmp_path: Path) -> None:
    work, packs = tmp_path / "work", tmp_path / "packs"
    work.mkdir()
    pack = train_pack(
        random_lesson(), RECIPE, "ours", packs, PROVENANCE, torch.device("cpu"), work,
        workers=0,
    )  # fmt: skip
    verify(pack)
    assert pack.manifest.version == "7"
    assert pack.manifest.licence == "CC0-1.0"
    assert pack.manifest.recogniser.trained_with_dropout
    scores = load_pipeline(pack, device="cpu").score(list(random_faces(2)))
    assert all(0 < each.sampled.raw_score < 1 for each in scores)
    kept = safetensors.torch.load_file(pack.folder / WEIGHTS_FILE)
    assert {each.dtype for each in kept.values() if each.ndim > 1} == {torch.float16}
    assert {each.dtype for each in kept.values() if each.ndim < 2} == {torch.float32}


def test_a_name_that_is_taken_is_refused_before_any_training(tmp_path: Path) -> None:
    (tmp_path / "packs" / "ours").mkdir(parents=True)
    with pytest.raises(PackError, match="ours"):
        train_pack(
            random_lesson(), RECIPE, "ours", tmp_path / "packs", PROVENANCE,
            torch.device("cpu"), tmp_path, workers=0,
        )  # fmt: skip
