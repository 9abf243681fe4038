"""`serfiq same-person`: how alike captures of one person must be to a recogniser."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.labelled_photographs import read_and_tell
from app.commands.options import (
    AllowUnsuitableOption,
    PackOption,
    PacksDirOption,
    between_0_and_1,
    settings_from,
)
from app.commands.progress import say_skipped
from app.loading import pack_of, pipeline_of
from serfiq_core.errors import ConfigurationError, PackError

if TYPE_CHECKING:
    from serfiq_core.one_subject.same_person import KnownFaces

SET_SIZES = (2, 3, 5)


def same_person(
    photographs: Annotated[
        Path,
        typer.Argument(exists=True, file_okay=False, help="Folder with a folder for each subject."),
    ],
    false_alarms: Annotated[
        float,
        typer.Option(
            callback=between_0_and_1,
            help="Share of pairs of one person that may be taken for two people.",
        ),
    ] = 0.02,
    write: Annotated[
        bool, typer.Option("--write", help="Put the limit into the pack, which must be installed.")
    ] = False,
    pack: PackOption = None,
    packs_dir: PacksDirOption = None,
    allow_unsuitable: AllowUnsuitableOption = None,
) -> None:
    """Measure how alike captures of one person are.

    The answer is a limit: POST /quality/batch flags a capture whose cosine to the others, fused,
    lies below it.
    """
    from serfiq_core.known_faces import known_faces
    from serfiq_core.one_subject.same_person import (
        check_share,
        same_person_cosine,
        share_below,
    )
    from serfiq_core.packs.amend import amend_manifest
    from serfiq_core.packs.registry import is_embedded

    settings = settings_from(pack=pack, packs_dir=packs_dir, allow_unsuitable=allow_unsuitable)
    found = pack_of(settings)
    if write and is_embedded(found):
        raise PackError(f"{found.manifest.name} is embedded, and comes with a limit")
    by_subject = _by_subject(photographs)
    pipeline = pipeline_of(settings, found)
    check_share(len(by_subject), false_alarms)  # before the work: faces are no more
    faces = known_faces(pipeline, by_subject, skipped=say_skipped)
    limit = round(same_person_cosine(faces, false_alarms), 3)
    typer.echo(f"same_person_cosine = {limit}")
    ends = share_below(faces, limit)
    typer.echo(
        f"pairs of one person below it: {ends.low:.1%} to {ends.high:.1%} (95 % of resamples of "
        f"the subjects; asked for: {false_alarms:.1%})"
    )
    _print_outcomes(faces, limit)
    if write:
        amend_manifest(found, same_person_cosine=limit)
        typer.echo(f"{found.manifest.name} has this limit from now on")


def _by_subject(photographs: Path) -> dict[str, list[Path]]:
    """Those with two photographs or more.

    Raises:
        EvaluationError: as for `read_and_tell`.
        ConfigurationError: nobody has two.
    """
    found: dict[str, list[Path]] = {}
    for photograph in read_and_tell(photographs, compared=False):
        found.setdefault(photograph.subject, []).append(photograph.path)
    several = {subject: paths for subject, paths in found.items() if len(paths) > 1}
    if not several:
        raise ConfigurationError(f"no subject in {photographs} has two photographs")
    return several


def _print_outcomes(faces: "KnownFaces", limit: float) -> None:
    from rich.console import Console
    from rich.table import Table

    from serfiq_core.one_subject.same_person import outcomes

    table = Table("captures", "sets", "false alarms", "intruders seen", "just they flagged")
    for size in SET_SIZES:
        try:
            found = outcomes(faces, limit, size)
        except ConfigurationError:  # nobody has so many photographs
            continue
        shares = (found.false_alarms, found.intruders_seen, found.intruders_named)
        table.add_row(str(size), str(found.sets), *(f"{100 * share:.1f} %" for share in shares))
    Console().print(table)
