"""The options of `serfiq evaluate`, and what its help says of them."""

from pathlib import Path
from typing import Annotated

import typer

from app.commands.options import between_0_and_1
from serfiq_core.types import FEWEST_PASSES, MOST_PASSES

FEWEST_SAMPLED = 5_000_000
"""Non-mated pairs: with fewer, an FMR of 1e-4 rests on fewer than 500 of them."""


def _rates(fmrs: list[float] | None) -> list[float] | None:
    for fmr in fmrs or ():
        between_0_and_1(fmr)
    return fmrs and list(dict.fromkeys(fmrs))


PhotographsArgument = Annotated[
    Path,
    typer.Argument(exists=True, help="A folder per subject, or a CSV of path,subject[,cohort]."),
]
OutputArgument = Annotated[
    Path, typer.Argument(file_okay=False, help="Folder for report.html and the figures.")
]
PairsOption = Annotated[
    Path | None,
    typer.Option(
        exists=True,
        dir_okay=False,
        help="CSV of the pairs to compare: reference,probe,mated. Left out: all pairs.",
    ),
]
ScoresOption = Annotated[
    list[Path] | None,
    typer.Option(
        exists=True,
        dir_okay=False,
        help="CSV of another method's scores, higher is better: path,NAME. May be repeated.",
    ),
]
FmrOption = Annotated[
    list[float] | None,
    typer.Option(
        callback=_rates, help="False match rate; may be repeated. [default: 1e-2, 1e-3, 1e-4]"
    ),
]
PassesOption = Annotated[
    list[int] | None,
    typer.Option(
        min=FEWEST_PASSES,
        max=MOST_PASSES,
        help="m of the sampled score; may be repeated: the first is called sampled, the others "
        "sampled_M. [env: SERFIQ_PASSES; default: 100]",
    ),
]
TestSubjectsOption = Annotated[
    bool,
    typer.Option(
        "--test-subjects",
        help="Compare only those subjects that `serfiq train compact` and `adapt-head` keep out.",
    ),
]
NonMatedOption = Annotated[
    int | None,
    typer.Option(
        min=FEWEST_SAMPLED,
        help="Compare so many non-mated pairs, drawn at random. Left out: all.",
    ),
]
FailIfOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Exit with status 3 when this is true, such as "
        "'relative20(sampled) > 0.8'. May be repeated."
    ),
]
CacheOption = Annotated[
    Path | None,
    typer.Option(
        file_okay=False,
        help="Folder to keep measurements in, so that an interrupted run goes on where it was. "
        "It holds embeddings, which are biometric data. Left out: nothing is kept.",
    ),
]
ThumbnailsOption = Annotated[
    bool, typer.Option("--thumbnails", help="Show the 24 worst and best faces in the report.")
]
SeedOption = Annotated[
    int,
    typer.Option(min=0, help="Seed of the bootstrap, the samples of pairs and the random scores."),
]
