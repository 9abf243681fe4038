"""Making `compact` anew: from photographs of people and a recogniser that knows faces to a pack.

Composes preparation, the teacher, training and packs. What takes long is kept in a folder and gone
on from: the lesson, and the state of the training.
"""

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch

from serfiq_core.errors import CaptureError
from serfiq_core.evaluation.subjects import Photograph
from serfiq_core.importing import Provenance
from serfiq_core.packs.manifest import Manifest, RecogniserEntry, write_manifest
from serfiq_core.packs.pack import Pack, read_pack
from serfiq_core.packs.registry import refuse_taken_name, staged_pack
from serfiq_core.recognition.compact import DROPOUT_RATE, MEAN, STD
from serfiq_core.recognition.recogniser import Recogniser
from serfiq_core.training.distil import Progress, Recipe, distil
from serfiq_core.training.lesson import Lesson, teach
from serfiq_core.types import ALIGNED_SIDE_PX, AlignedFace, Preparer

WEIGHTS_FILE = "compact.safetensors"
LESSON_FILE = "lesson.safetensors"
CHECKPOINT_FILE = "checkpoint.pt"


@dataclass(frozen=True, slots=True)
class Watch:
    """Who is told what: a file passed over and why; faces aligned; faces taught; a step made."""

    skipped: Callable[[Path, str], None] = lambda _path, _why: None
    aligned: Callable[[int], None] = lambda _count: None
    taught: Callable[[int], None] = lambda _count: None
    learnt: Callable[[Progress], None] = lambda _progress: None


def lesson_of(
    photographs: Sequence[Photograph],
    preparer: Preparer,
    teacher: Recogniser,
    seed: int,
    folder: Path,
    *,
    workers: int,
    watch: Watch,
) -> Lesson:
    """The lesson kept in a folder, or a new one that is then kept there.

    Args:
        photographs: of the people to learn from.
        preparer: finds and aligns their faces; safe from so many threads as there are `workers`.
        teacher: on the device where it is to run.
        seed: of the lesson.
        folder: where it is kept.
        workers: photographs prepared at a time.
        watch: told of the progress.

    Raises:
        TrainingError: too few faces, or the lesson that is kept cannot be read.
    """
    path = folder / LESSON_FILE
    if path.exists():
        return Lesson.read(path)
    faces = aligned_faces(photographs, preparer, workers=workers, watch=watch)
    lesson = teach(faces, teacher, seed, watch.taught)
    lesson.write(path)
    return lesson


def aligned_faces(
    photographs: Sequence[Photograph], preparer: Preparer, *, workers: int, watch: Watch
) -> list[AlignedFace]:
    """The largest face of each photograph; those without one are passed over."""

    def align(photograph: Photograph) -> AlignedFace | str:
        try:
            prepared = preparer.prepare(photograph.path.read_bytes())
        except (CaptureError, OSError) as error:
            return str(error)
        return "no face was found" if prepared.aligned is None else prepared.aligned

    found = []
    with ThreadPoolExecutor(workers) as pool:
        for photograph, result in zip(photographs, pool.map(align, photographs), strict=True):
            if isinstance(result, str):
                watch.skipped(photograph.path, result)
            else:
                found.append(result)
            watch.aligned(1)
    return found


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
    watch: Watch,
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
        watch: told of the progress.

    Raises:
        TrainingError: as for `distil`.
        PackError: the name is taken, or the pack cannot be written.
    """
    refuse_taken_name(name, packs_dir)
    state = distil(
        lesson, recipe, device, folder / CHECKPOINT_FILE, workers=workers, advance=watch.learnt
    )
    weights = safetensors.torch.save(state)
    manifest = Manifest(
        name=name,
        version=provenance.version,
        licence=provenance.licence,
        licence_source=provenance.licence_source,
        files={WEIGHTS_FILE: hashlib.sha256(weights).hexdigest()},
        recogniser=RecogniserEntry(
            format="compact",
            file=WEIGHTS_FILE,
            input_size=ALIGNED_SIDE_PX,
            colour_order="rgb",
            mean=(MEAN,) * 3,
            std=(STD,) * 3,
            dropout_rate=DROPOUT_RATE,
            trained_with_dropout=True,
        ),
    )
    with staged_pack(name, packs_dir) as staging:
        (staging / WEIGHTS_FILE).write_bytes(weights)
        write_manifest(manifest, staging)
    return read_pack(packs_dir / name)
