"""`serfiq train compact`: a small recogniser of one's own, taught by the one at hand."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.options import PacksDirOption, packs_dir_from, settings_from
from serfiq_core.errors import TrainingError

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

    from app.settings import Settings
    from serfiq_core.evaluation.subjects import Photograph
    from serfiq_core.training.compact_pack import Watch
    from serfiq_core.training.distil import Progress
    from serfiq_core.training.lesson import Lesson

LOSS_STEPS = 50
"""Whose mean losses are told at a time."""


def train_compact(
    photographs: Annotated[
        Path, typer.Argument(exists=True, help="A folder per subject, or a CSV of path,subject.")
    ],
    name: Annotated[str, typer.Argument(help="Of the new pack.")],
    teacher: Annotated[str, typer.Option(help="Pack to learn from; it must give 128 values.")],
    folder: Annotated[
        Path,
        typer.Option(
            file_okay=False,
            help="Where to keep what an interrupted training goes on from. It holds faces and "
            "embeddings, which are biometric data: delete it afterwards.",
        ),
    ],
    root: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            file_okay=False,
            help="Folder that the CSV's paths are relative to. Left out: the CSV's own.",
        ),
    ] = None,
    test_share: Annotated[
        float, typer.Option(min=0, max=0.9, help="Of the subjects, to be kept out of training.")
    ] = 0.3,
    steps: Annotated[int, typer.Option(min=100, help="Of 128 views each.")] = 3200,
    seed: Annotated[int, typer.Option(min=0, help="Of everything that is drawn.")] = 0,
    version: Annotated[str, typer.Option(help="Recorded in the pack.")] = "1",
    licence: Annotated[str, typer.Option(help="Recorded in the pack.")] = "not stated",
    licence_source: Annotated[
        str, typer.Option(help="Where that can be read; recorded in the pack.")
    ] = "not stated",
    packs_dir: PacksDirOption = None,
) -> None:
    """Train the network of `compact` on photographs, without labels of quality.

    Subjects are only needed to keep a share of them out: evaluate on those, with
    `serfiq evaluate --test-subjects`. Run again after an interruption, it goes on where it was.
    """
    from serfiq_core.importing import Provenance
    from serfiq_core.loading import choose_device
    from serfiq_core.packs.registry import refuse_taken_name
    from serfiq_core.training.compact_pack import train_pack
    from serfiq_core.training.distil import Recipe

    settings = settings_from(pack=teacher, packs_dir=packs_dir)
    target = packs_dir_from(packs_dir)
    refuse_taken_name(name, target)
    learnt_from = _photographs(photographs, root, test_share)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise TrainingError(f"{folder} cannot be written to: {error.strerror}") from error
    recipe = Recipe(steps=steps, seed=seed)
    device = choose_device(settings.device)
    with _watching(len(learnt_from), steps) as watch:
        lesson = _lesson(settings, learnt_from, seed, folder, watch)
        pack = train_pack(
            lesson,
            recipe,
            name,
            target,
            Provenance(version, licence, licence_source),
            device,
            folder,
            workers=1 if device.type == "cpu" else max(1, (os.cpu_count() or 2) - 1),
            watch=watch,
        )
    typer.echo(f"{pack.folder}: next, `serfiq packs check {name}` and `serfiq calibrate`")


def _photographs(source: Path, root: Path | None, test_share: float) -> "tuple[Photograph, ...]":
    from serfiq_core.evaluation.subject_split import split_by_subject
    from serfiq_core.evaluation.subjects import read_photographs

    return split_by_subject(read_photographs(source, root, compared=False), test_share)[0]


def _lesson(
    settings: "Settings",
    photographs: "tuple[Photograph, ...]",
    seed: int,
    folder: Path,
    watch: "Watch",
) -> "Lesson":
    from serfiq_core.loading import choose_device, load_recogniser
    from serfiq_core.packs.pack import verify
    from serfiq_core.packs.registry import find_pack
    from serfiq_core.preparation_worker import command
    from serfiq_core.preparation_workers import PreparationWorkers
    from serfiq_core.recognition.inference import for_inference
    from serfiq_core.training.compact_pack import lesson_of

    pack = find_pack(settings.pack, packs_dir_from(settings.packs_dir))
    verify(pack)
    # Exactly what the teacher says, on any machine.
    teacher = for_inference(load_recogniser(pack), choose_device(settings.device), "float32")
    workers, limit = settings.prepare_workers, settings.request_timeout_seconds
    start = command(pack.folder, settings.profiles_path)
    with PreparationWorkers(start, workers, limit) as preparer:
        preparer.start().wait_until_ready()
        return lesson_of(photographs, preparer, teacher, seed, folder, workers=workers, watch=watch)


@contextmanager
def _watching(photographs: int, steps: int) -> "Iterator[Watch]":
    """Three bars on stderr, where that is a terminal; a line every so often elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    from serfiq_core.training.compact_pack import Watch

    console = Console(stderr=True)
    bars = Bars(
        "{task.description}",
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )
    with bars:
        yield Watch(
            skipped=lambda path, why: typer.echo(f"skipped {path}: {why}", err=True),
            aligned=_advancing(bars, "aligning", photographs),
            taught=_advancing(bars, "asking the teacher", None),
            learnt=_learning(bars, steps, quiet=console.is_terminal),
        )


def _advancing(bars: "Bars", words: str, total: int | None) -> Callable[[int], None]:
    task = bars.add_task(words, total=total)
    return lambda count: bars.advance(task, count)


def _learning(bars: "Bars", steps: int, *, quiet: bool) -> "Callable[[Progress], None]":
    task = bars.add_task("learning", total=steps)
    sums: dict[str, float] = {}

    def learnt(progress: "Progress") -> None:
        for loss, value in progress.losses.items():
            sums[loss] = sums.get(loss, 0.0) + value / LOSS_STEPS
        if progress.step % LOSS_STEPS == 0:
            words = ", ".join(f"{loss} {value:.3f}" for loss, value in sums.items())
            bars.update(task, description=f"learning: {words}")
            if not quiet:
                typer.echo(f"step {progress.step}: {words}", err=True)
            sums.clear()
        bars.update(task, completed=progress.step)

    return learnt
