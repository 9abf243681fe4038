"""`serfiq packs check`: whether the scores of a pack fall when faces get worse, and by enough."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands.options import PacksDirOption, packs_dir_from, settings_from
from app.commands.progress import say_skipped
from serfiq_core.evaluation.subjects import photographs_below
from serfiq_core.types import MeanRho, Suitability

if TYPE_CHECKING:
    from serfiq_core.checking import Climb
    from serfiq_core.packs.pack import Pack
    from serfiq_core.pipeline import Pipeline
    from serfiq_core.types import AlignedFace

EXIT_UNSUITABLE = 1


def check(
    pack: Annotated[str, typer.Argument(help="Pack to check, by name.")],
    faces: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            file_okay=False,
            help="Folder of photographs, searched with its folders: 30 faces give a verdict, which "
            "is stored in the pack; of more than 100 photographs 100 are drawn. "
            "Left out: one portrait, for a first look, and no verdict.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
    packs_dir: PacksDirOption = None,
) -> None:
    """Check how a recogniser reacts to dropout. Exit status 1 when it is unsuitable."""
    from serfiq_core.checking import climb, verdict_on
    from serfiq_core.loading import load_pipeline
    from serfiq_core.packs.amend import amend_manifest
    from serfiq_core.packs.registry import find_pack, is_embedded
    from serfiq_core.suitability.criteria import FEWEST_FACES

    found = find_pack(pack, packs_dir_from(packs_dir))
    # In float32 whatever the device is best at, so that the figures repeat elsewhere.
    device = settings_from().device
    pipeline = load_pipeline(found, device=device, precision="float32", allow_unsuitable=True)
    looked_at = _faces(pipeline, faces)
    climbed = climb(pipeline, looked_at)
    if len(looked_at) < FEWEST_FACES:
        _print_first_look(found, climbed, len(looked_at), as_json)
        return
    verdict = verdict_on(found, pipeline, climbed)
    stored = not is_embedded(found)
    if stored:
        amend_manifest(found, verdict=verdict)
    _print_verdict(found, verdict, stored, as_json)
    if verdict.verdict == "unsuitable":
        raise typer.Exit(EXIT_UNSUITABLE)


def _faces(pipeline: "Pipeline", folder: Path | None) -> "Sequence[AlignedFace]":
    from serfiq_core.checking import aligned_faces, drawn
    from serfiq_core.importing.reference_faces import reference_faces

    if folder is None:
        return reference_faces()
    found = aligned_faces(pipeline, drawn(photographs_below(folder)), say_skipped)
    if not found:
        raise typer.BadParameter(f"{folder} holds no photograph that shows a face")
    return found


def _print_first_look(pack: "Pack", climbed: "Climb", faces: int, as_json: bool) -> None:
    from serfiq_core.suitability.criteria import FEWEST_FACES, mean_rhos

    sampled = mean_rhos(climbed.sampled)
    closed_form = mean_rhos(climbed.closed_form)
    if as_json:
        rhos = {"sampled": _plain(sampled), "closed_form": _plain(closed_form)}
        measured = {"faces": faces, **rhos}
        _print_json(pack, {"verdict": None, "measured": measured}, stored=False)
        return
    _print_rhos(sampled, closed_form)
    seen = "1 face" if faces == 1 else f"{faces} faces"
    typer.echo(
        f"a first look at {seen}; no verdict is given on fewer than {FEWEST_FACES}: "
        f"`serfiq packs check {pack.manifest.name} --faces PHOTOGRAPHS`"
    )


def _print_verdict(pack: "Pack", verdict: Suitability, stored: bool, as_json: bool) -> None:
    if as_json:
        _print_json(pack, asdict(verdict), stored)
        return
    measured = verdict.measured
    _print_rhos(measured.sampled, measured.closed_form)
    typer.echo(f"faces: {measured.faces}, dropout rate: {verdict.dropout_rate:g}")
    typer.echo(f"spread of the clean faces' scores: {measured.spread:.3g}")
    typer.echo(
        f"standard error at m = {verdict.passes}: {measured.standard_error:.3g}, "
        f"{_share(measured.standard_error, measured.spread)} of the spread"
    )
    typer.echo(f"sampled against closed form, rank correlation: {measured.agreement:.3f}")
    for reason in verdict.reasons:
        typer.echo(f"- {reason}")
    typer.echo(f"{pack.manifest.name}: {verdict.verdict}")
    if not stored:
        typer.echo("not stored: the pack is embedded, and comes with its verdict")


def _print_rhos(sampled: Any, closed_form: Any) -> None:
    """Rows of kinds; a column for each estimator, with the 95 % interval of the mean."""
    from rich.console import Console
    from rich.table import Table

    title = "within-face Spearman of severity with the score; −1 is right"
    table = Table("degradation", "sampled", "closed form", title=title)
    for kind, rho in sampled.items():
        name, limit = kind.replace("_", "-"), closed_form[kind]
        table.add_row(name, _with_interval(rho), _with_interval(limit))
    Console(markup=False).print(table)


def _with_interval(rho: MeanRho) -> str:
    if rho.low == rho.high:  # one face, or all alike
        return f"{rho.mean:+.2f}"
    return f"{rho.mean:+.2f}  {rho.low:+.2f} … {rho.high:+.2f}"


def _share(part: float, whole: float) -> str:
    return f"{part / whole:.2f}" if whole else "more than all"


def _print_json(pack: "Pack", document: dict[str, Any], stored: bool) -> None:
    typer.echo(json.dumps({"pack": pack.manifest.name, **document, "stored": stored}))


def _plain(rhos: Any) -> dict[str, Any]:
    return {kind: asdict(rho) for kind, rho in rhos.items()}
