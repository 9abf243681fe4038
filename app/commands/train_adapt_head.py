"""`serfiq train adapt-head`: a pack whose recogniser answers to dropout better than it did."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.labelled_photographs import read_and_tell
from app.commands.next_steps import say_what_comes_next
from app.commands.options import (
    FaceOption,
    PacksDirOption,
    RootOption,
    between_0_and_1,
    packs_dir_from,
    settings_from,
)
from app.commands.preparing import preparing
from app.commands.progress import progress, say_skipped
from serfiq_core.errors import TrainingError

if TYPE_CHECKING:
    from app.settings import Settings
    from serfiq_core.evaluation.subjects import Photograph
    from serfiq_core.packs.adaptation import Adaptation
    from serfiq_core.packs.pack import Pack
    from serfiq_core.preparation.workers import PreparationWorkers
    from serfiq_core.training.adapt_head import Adapted
    from serfiq_core.training.faces import FaceBatch


def adapt_head(
    pack: Annotated[str, typer.Argument(help="Pack whose head is re-fitted, by name.")],
    images: Annotated[
        Path,
        typer.Option(
            exists=True,
            help="Folder of photographs, searched with its folders, or a CSV of path,subject.",
        ),
    ],
    name: Annotated[
        str | None, typer.Option(help="Name of the new pack. [default: PACK-adapted]")
    ] = None,
    by_subject: Annotated[
        bool,
        typer.Option(
            "--by-subject",
            help="The folder has a folder for each subject: measure what discarding does to FNMR, "
            "before and after. A CSV says so itself.",
        ),
    ] = False,
    root: RootOption = None,
    fit_rate: Annotated[
        float | None,
        typer.Option(
            callback=between_0_and_1,
            help="Dropout rate to fit under: the higher, the steadier, and the further from the "
            "original embeddings. [default: 0.2]",
        ),
    ] = None,
    face: FaceOption = "largest",
    packs_dir: PacksDirOption = None,
) -> None:
    """Re-fit the head of a pack under dropout.

    It is fitted to its own embeddings of photographs; no labels are needed. Three in ten
    photographs, or subjects, are held out and measured on. The new pack gives other embeddings than
    the old one: those of the two cannot be compared.
    """
    from serfiq_core.packs.pack import verify
    from serfiq_core.packs.registry import find_pack, refuse_taken_name
    from serfiq_core.training.adapt_head import FIT_RATE, install

    folder = packs_dir_from(packs_dir)
    found = find_pack(pack, folder)
    name = name or f"{pack}-adapted"
    refuse_taken_name(name, folder)
    verify(found)
    known = by_subject or images.is_file()
    photographs = read_and_tell(images, root) if known else _of_nobody_known(images)
    settings = settings_from()
    workers = preparing(found, settings, face)
    rate = fit_rate or FIT_RATE
    adapted = _adapt(found, photographs, settings, workers, rate, subjects_known=known)
    made = install(adapted, found, name, folder)
    _print(adapted.adaptation)
    typer.echo(f"{name}: written to {made.folder}, dropout rate {adapted.dropout_rate:g}")
    typer.echo("its embeddings are not those of the original: enrol with it, or keep both apart")
    say_what_comes_next(name)


def _of_nobody_known(images: Path) -> "list[Photograph]":
    """All photographs below a folder, each of a subject of its own."""
    from serfiq_core.evaluation.subjects import Photograph, photographs_below

    found = photographs_below(images)
    if not found:
        raise TrainingError(f"{images} holds no photograph")
    names = [path.relative_to(images).as_posix() for path in found]
    return [Photograph(path, name, name) for path, name in zip(found, names, strict=True)]


def _adapt(
    pack: "Pack",
    photographs: "Sequence[Photograph]",
    settings: "Settings",
    workers: "AbstractContextManager[PreparationWorkers]",
    fit_rate: float,
    *,
    subjects_known: bool,
) -> "Adapted":
    from serfiq_core.loading import choose_device, load_recogniser
    from serfiq_core.recognition.inference import for_inference
    from serfiq_core.training.adapt_head import adapt
    from serfiq_core.training.faces import face_batches

    # In float32 whatever the device is best at: the head is fitted to what this gives.
    recogniser = for_inference(load_recogniser(pack), choose_device(settings.device), "float32")
    with workers as preparer, progress("photographs", len(photographs)) as advance:

        def faces_of(some: "Sequence[Photograph]") -> "Iterable[FaceBatch]":
            return face_batches(
                some,
                preparer,
                workers=settings.prepare_workers,
                skipped=say_skipped,
                advance=advance,
            )

        return adapt(
            pack,
            recogniser,
            photographs,
            faces_of,
            skipped=say_skipped,
            fit_rate=fit_rate,
            subjects_known=subjects_known,
        )


def _print(adaptation: "Adaptation") -> None:
    from rich.console import Console
    from rich.table import Table

    typer.echo(
        f"fitted to {adaptation.fitted_on:,} faces under dropout {adaptation.fit_rate:g}; "
        f"of {adaptation.held_out:,} held out, the cosine to the original embeddings is "
        f"{adaptation.mean_cosine:.4f} in the mean and {adaptation.least_cosine:.3f} at least"
    )
    if not adaptation.edc:
        return
    shares = [f"{100 * share:.0f} %" for share in adaptation.edc[0].discarded]
    title = "FNMR of the subjects held out as their worst pairs are discarded"
    table = Table("FMR", "estimator", "head", *shares, title=title)
    for change in adaptation.edc:
        for head, rates in (("original", change.before), ("adapted", change.after)):
            cells = (f"{rate:.4f}" for rate in rates)
            table.add_row(f"{change.fmr:g}", change.estimator, head, *cells)
    Console(width=100).print(table)
