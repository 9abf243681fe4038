"""`serfiq train compact`: a small recogniser of one's own, taught by the one at hand."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.labelled_photographs import read_and_tell
from app.commands.next_steps import say_what_comes_next
from app.commands.options import (
    LicenceOption,
    LicenceSourceOption,
    PacksDirOption,
    RootOption,
    VersionOption,
    packs_dir_from,
    settings_from,
)
from app.commands.preparing import preparing
from app.commands.progress import progress, say_skipped
from app.loading import pack_of
from app.usable_cores import usable_cores
from serfiq_core.errors import TrainingError
from serfiq_core.folder_lock import alone_with
from serfiq_core.types import PrecisionChoice
from serfiq_core.whole_files import remove_unfinished

if TYPE_CHECKING:
    import torch

    from app.settings import Settings
    from serfiq_core.evaluation.subjects import Photograph
    from serfiq_core.packs.pack import Pack
    from serfiq_core.preparation.workers import PreparationWorkers
    from serfiq_core.training.distil import Progress
    from serfiq_core.training.lesson import Lesson
    from serfiq_core.training.recipe import Recipe
    from serfiq_core.types import AlignedFace

LOSS_STEPS = 50
"""Whose mean losses are told at a time."""


def train_compact(
    photographs: Annotated[
        Path, typer.Argument(exists=True, help="A folder per subject, or a CSV of path,subject.")
    ],
    name: Annotated[str, typer.Argument(help="Name of the new pack.")],
    teacher: Annotated[str, typer.Option(help="Pack to learn from; it must give 128 values.")],
    folder: Annotated[
        Path,
        typer.Option(
            file_okay=False,
            help="Where to keep what an interrupted training goes on from. It holds faces and "
            "embeddings, which are biometric data: delete it afterwards.",
        ),
    ],
    root: RootOption = None,
    steps: Annotated[
        int, typer.Option(min=100, help="Training steps, each on 128 views.")
    ] = 10_000,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of all random draws.")] = 0,
    version: VersionOption = "1",
    licence: LicenceOption = "not stated",
    licence_source: LicenceSourceOption = "not stated",
    packs_dir: PacksDirOption = None,
) -> None:
    """Train a recogniser like `compact`.

    From photographs and a teacher, without labels of quality. Subjects are only needed to keep
    three in ten of them out: evaluate on those, with `serfiq evaluate --test-subjects`. Run again
    after an interruption, it goes on where it was.
    """
    from serfiq_core.importing.new_pack import Provenance
    from serfiq_core.loading import choose_device
    from serfiq_core.packs.registry import refuse_taken_name
    from serfiq_core.training.compact_pack import train_pack

    settings = settings_from(pack=teacher, packs_dir=packs_dir)
    target = packs_dir_from(packs_dir)
    refuse_taken_name(name, target)
    learnt_from = _photographs(photographs, root)
    device = choose_device(settings.device)
    with _alone_in(folder):
        lesson = _lesson(settings, learnt_from, seed, folder)
        with _learning(steps) as learnt:
            pack = train_pack(
                lesson,
                _recipe(settings.precision, device, steps, seed),
                name,
                target,
                Provenance(version, licence, licence_source),
                device,
                folder,
                # A GPU learns faster than one process draws; a CPU has better things to do.
                workers=1 if device.type == "cpu" else max(1, usable_cores() - 1),
                learnt=learnt,
            )
    typer.echo(f"{name}: written to {pack.folder}")
    say_what_comes_next(name)


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Make a folder that nobody else can read, where there is none, and keep other trainings out.

    Raises:
        TrainingError: it cannot be made, or another training is at work in it.
    """
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            stack.enter_context(alone_with(folder, wait=False))
            remove_unfinished(folder)
        except BlockingIOError as error:
            raise TrainingError(
                f"another training is at work in {folder}: give each a folder of its own"
            ) from error
        except OSError as error:
            raise TrainingError(f"{folder} cannot be written to: {error.strerror}") from error
        yield


def _recipe(precision: PrecisionChoice, device: "torch.device", steps: int, seed: int) -> "Recipe":
    from serfiq_core.recognition.inference import has_bfloat16
    from serfiq_core.training.recipe import Recipe

    # On a GPU a small network waits for its kernels to be launched, and bfloat16 launches more.
    faster = device.type == "cpu" and has_bfloat16(device)
    bfloat16 = precision == "bfloat16" or (precision == "auto" and faster)
    return Recipe(steps=steps, seed=seed, bfloat16=bfloat16)


def _photographs(source: Path, root: Path | None) -> "tuple[Photograph, ...]":
    from serfiq_core.evaluation.subject_split import split_by_subject

    return split_by_subject(read_and_tell(source, root, compared=False))[0]


def _lesson(
    settings: "Settings", photographs: "Sequence[Photograph]", seed: int, folder: Path
) -> "Lesson":
    from serfiq_core.loading import choose_device, load_recogniser
    from serfiq_core.packs.pack import verify
    from serfiq_core.recognition.inference import for_inference
    from serfiq_core.training.compact_pack import lesson_of
    from serfiq_core.training.distil import check_size

    pack = pack_of(settings)
    verify(pack)
    # Exactly what the teacher says, on any machine.
    teacher = for_inference(load_recogniser(pack), choose_device(settings.device), "float32")
    check_size(teacher.head.embedding_size)
    workers = preparing(pack, settings)
    with progress("preparing the lesson", None) as advance:
        return lesson_of(
            folder,
            lambda: _faces(settings, photographs, workers, advance),
            teacher,
            seed,
            source=_source(pack, photographs, seed),
            advance=advance,
        )


def _source(pack: "Pack", photographs: "Sequence[Photograph]", seed: int) -> str:
    """Of what a lesson is, as one checksum: teacher, detector, photographs and seed.

    Not of the pack as a whole: a verdict or a calibration that it gets later changes no lesson.
    """
    from serfiq_core.packs.manifest import recogniser_checksum

    manifest = pack.manifest
    detector = manifest.files.get(manifest.detector.file or "", manifest.detector.kind)
    files = [(each.name, each.path.stat().st_size) for each in photographs]
    of = (recogniser_checksum(manifest), detector, files, seed)
    return hashlib.sha256(repr(of).encode()).hexdigest()


def _faces(
    settings: "Settings",
    photographs: "Sequence[Photograph]",
    workers: "AbstractContextManager[PreparationWorkers]",
    advance: Callable[[int], None],
) -> "list[AlignedFace]":
    from serfiq_core.training.faces import face_batches

    with workers as preparer:
        batches = face_batches(
            photographs,
            preparer,
            workers=settings.prepare_workers,
            skipped=say_skipped,
            advance=advance,
        )
        return [face for _, faces in batches for face in faces]


@contextmanager
def _learning(steps: int) -> "Iterator[Callable[[Progress], None]]":
    """A bar, and every so often the mean losses."""
    sums: dict[str, float] = {}
    done = 0
    with progress("learning", steps) as advance:

        def learnt(made: "Progress") -> None:
            nonlocal done
            advance(made.step - done)
            done = made.step
            for loss, value in made.losses.items():
                sums[loss] = sums.get(loss, 0.0) + value / LOSS_STEPS
            if done % LOSS_STEPS == 0:
                words = ", ".join(f"{loss} {value:.3f}" for loss, value in sums.items())
                typer.echo(f"step {done}: {words}", err=True)
                sums.clear()

        yield learnt
