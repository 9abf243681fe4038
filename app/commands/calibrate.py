"""`serfiq calibrate`: what a pack's `quality_score` means at a site, and how much to ask for.

Photographs without labels, or the authors' map, become the calibration of an installed pack. With
labels and a target nothing is installed: the answer is a `quality_threshold`.
"""

import os
from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from app.commands.options import (
    AllowUnsuitableOption,
    EstimatorOption,
    PackOption,
    PacksDirOption,
    settings_from,
)
from app.commands.progress import say_skipped
from app.commands.quality_threshold import as_document, find, parse_target, summary
from app.loading import pack_of, pipeline_of
from serfiq_core.calibration.calibration import PERCENTILES, MapName
from serfiq_core.errors import ConfigurationError, PackError
from serfiq_core.evaluation.subjects import photographs_below


def calibrate(
    photographs: Annotated[
        Path | None,
        typer.Argument(
            exists=True,
            file_okay=False,
            help="Folder of photographs, searched with its folders; with --manifest, the folder "
            "that its paths are relative to.",
        ),
    ] = None,
    map_name: Annotated[
        MapName,
        typer.Option(
            "--map",
            help="percentile: among the photographs. authors: 100 σ(130 (q − 0.88)); takes none.",
        ),
    ] = "percentile",
    manifest: Annotated[
        Path | None,
        typer.Option(
            "--manifest", exists=True, dir_okay=False, help="CSV of photographs: path,subject."
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            "--target", help="fnmr=0.01 or reject=0.05: find the quality_threshold that meets it."
        ),
    ] = None,
    at_fmr: Annotated[
        float | None, typer.Option("--at-fmr", help="The FMR at which an FNMR is counted.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print that answer as JSON.")] = False,
    pack: PackOption = None,
    packs_dir: PacksDirOption = None,
    estimator: EstimatorOption = None,
    identifier: Annotated[
        str | None,
        typer.Option("--id", help="Name of the calibration, in every decision record."),
    ] = None,
    allow_unsuitable: AllowUnsuitableOption = None,
) -> None:
    """Calibrate a pack, or find a quality_threshold.

    Photographs without labels, or the authors' map, become the calibration of an installed pack.
    With --manifest and --target nothing is installed: the answer is the quality_threshold that
    meets the target.
    """
    if (manifest is None) != (target is None):
        raise typer.BadParameter("--manifest and --target go together")
    if manifest is not None and target is not None:
        if map_name != "percentile" or identifier is not None:
            raise typer.BadParameter("with --target nothing is installed: leave out --map and --id")
        settings = settings_from(
            pack=pack,
            packs_dir=packs_dir,
            estimator=estimator,
            allow_unsuitable=allow_unsuitable,
        )
        found = find(settings, manifest, photographs, parse_target(target, at_fmr))
        typer.echo(as_document(found) if as_json else "\n".join(summary(found)))
        return
    if as_json or at_fmr is not None or estimator is not None:
        raise typer.BadParameter("--at-fmr, --estimator and --json go with --target")
    if (photographs is None) == (map_name == "percentile"):
        raise typer.BadParameter(
            "the map percentile is made of photographs: name their folder"
            if photographs is None
            else "the map authors is fixed, and takes no photographs"
        )
    _install(photographs, pack, packs_dir, identifier, allow_unsuitable)


def _readable(name: str) -> str:
    """A name as the file system has it, in UTF-8."""
    return os.fsencode(name).decode("utf-8", "replace")


def _install(
    photographs: Path | None,
    pack: str | None,
    packs_dir: Path | None,
    identifier: str | None,
    allow_unsuitable: bool | None,
) -> None:
    """The percentiles of `photographs`, or else the authors' map, become a pack's calibration."""
    from serfiq_core.calibrating import calibrate as measure
    from serfiq_core.calibrating import check_identifier, install, with_authors_map
    from serfiq_core.packs.registry import is_embedded

    settings = settings_from(pack=pack, packs_dir=packs_dir, allow_unsuitable=allow_unsuitable)
    found = pack_of(settings)
    name = found.manifest.name
    if is_embedded(found):
        raise PackError(f"{name} is embedded, and comes calibrated")
    identifier = identifier or f"{name}-{date.today().isoformat()}"
    check_identifier(identifier)
    if photographs is None:
        calibration = with_authors_map(found, identifier)
    else:
        pipeline, files = pipeline_of(settings, found), photographs_below(photographs)
        if len(files) < PERCENTILES:  # before the work: faces are no more
            raise ConfigurationError(
                f"{photographs} holds {len(files)} photographs, and a percentile map needs "
                f"{PERCENTILES} with a face at least"
            )
        calibration = measure(
            pipeline,
            found,
            files,
            identifier=identifier,
            reference=f"{len(files)} photographs of {_readable(photographs.name)}",
            skipped=say_skipped,
        )
    install(calibration, found)
    typer.echo(f"{name} is calibrated: {calibration.map.description}")
