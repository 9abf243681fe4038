"""Making a `compact`: from faces and a recogniser that knows them to a pack.

Composes the teacher, the training and packs. What takes long is kept in a folder and gone on from:
the lesson, and the state of the training.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import safetensors.torch
import torch

from serfiq_core.errors import TrainingError
from serfiq_core.importing.new_pack import Provenance, detector_of, write_pack
from serfiq_core.packs.manifest import RecogniserEntry
from serfiq_core.packs.pack import Pack
from serfiq_core.packs.registry import refuse_taken_name
from serfiq_core.recognition.compact import DROPOUT_RATE, MEAN, STD
from serfiq_core.recognition.recogniser import Recogniser
from serfiq_core.training.distil import Progress, distil
from serfiq_core.training.lesson import Lesson, check_room, teach
from serfiq_core.training.recipe import Recipe
from serfiq_core.types import ALIGNED_SIDE_PX, AlignedFace

WEIGHTS_FILE = "compact.safetensors"
LESSON_FILE = "lesson.safetensors"
CHECKPOINT_FILE = "checkpoint.pt"


def lesson_of(
    folder: Path,
    faces: Callable[[], Sequence[AlignedFace]],
    teacher: Recogniser,
    seed: int,
    *,
    source: str,
    advance: Callable[[int], None] = lambda _count: None,
) -> Lesson:
    """The lesson kept in a folder, or a new one that is then kept there.

    Args:
        folder: where it is kept.
        faces: of the people to learn from; only asked when no lesson is kept.
        teacher: on the device where it is to run.
        seed: of the lesson.
        source: checksum of what the lesson is made from; a kept lesson with another one is refused.
        advance: called with the number of faces the teacher has seen since the last call.

    Raises:
        TrainingError: too few faces, no room for their lesson, or the lesson that is kept cannot
            be read, or is another.
    """
    path = folder / LESSON_FILE
    if path.exists():
        lesson = Lesson.read(path)
        if lesson.source != source:
            raise TrainingError(
                f"{path} is of other photographs, another teacher or another seed: "
                "give another folder, or delete this one"
            )
        return lesson
    found = faces()
    check_room(folder, len(found), teacher)
    lesson = replace(teach(found, teacher, seed, advance), source=source)
    lesson.write(path)
    return lesson


def train_pack(
    lesson: Lesson,
    recipe: Recipe,
    name: str,
    packs_dir: Path,
    provenance: Provenance,
    device: torch.device,
    folder: Path,
    *,
    workers: int,
    learnt: Callable[[Progress], None] = lambda _progress: None,
) -> Pack:
    """Train a student, or go on training it, and make a pack of it.

    Args:
        lesson: to be learnt.
        recipe: how.
        name: of the new pack.
        packs_dir: where it goes.
        provenance: recorded in the pack.
        device: where to train.
        folder: where the state of the training is kept.
        workers: processes that draw views.
        learnt: told after every step.

    Raises:
        TrainingError: as for `distil`.
        PackError: the name is taken, or the pack cannot be written.
    """
    refuse_taken_name(name, packs_dir)
    state = distil(
        lesson, recipe, device, folder / CHECKPOINT_FILE, workers=workers, advance=learnt
    )
    recogniser = RecogniserEntry(
        format="compact",
        file=WEIGHTS_FILE,
        input_size=ALIGNED_SIDE_PX,
        colour_order="rgb",
        mean=(MEAN,) * 3,
        std=(STD,) * 3,
        dropout_rate=DROPOUT_RATE,
        trained_with_dropout=True,
    )
    weights = safetensors.torch.save(_halved(state))
    return write_pack(name, packs_dir, provenance, recogniser, weights, detector_of(None))


def _halved(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Kernels and matrices in float16, half the bytes; what batch norms hold stays as it is."""
    return {name: each.half() if each.ndim > 1 else each for name, each in state.items()}
