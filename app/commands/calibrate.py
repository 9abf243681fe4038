"""`serfiq calibrate`: what a pack's `quality_score` means at a site, and which of it to ask for.

Photographs without labels, or the authors' map, become the calibration of an installed pack.
"""

from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from app.commands.options import PackOption, PacksDirOption, packs_dir_from, settings_from
from serfiq_core.calibration import MapName
from serfiq_core.errors import PackError

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")


def calibrate(
    photographs: Annotated[
        Path | None,
        typer.Argument(
            exists=True, file_okay=False, help="Folder of photographs; searched with its folders."
        ),
    ] = None,
    map_name: Annotated[
        MapName,
        typer.Option(
            "--map",
            help="percentile: among the photographs. authors: 100 σ(130 (q − 0.88)); takes none.",
        ),
    ] = "percentile",
    pack: PackOption = None,
    packs_dir: PacksDirOption = None,
    identifier: Annotated[
        str | None,
        typer.Option("--id", help="Names the calibration in every decision record."),
    ] = None,
) -> None:
    """Calibrate an installed pack on reference photographs, without labels."""
    if (photographs is None) == (map_name == "percentile"):
        raise typer.BadParameter(
            "the map percentile is made of photographs: name their folder"
            if photographs is None
            else "the map authors is fixed, and takes no photographs"
        )
    _install(photographs, pack, packs_dir, identifier)


def _install(
    photographs: Path | None, pack: str | None, packs_dir: Path | None, identifier: str | None
) -> None:
    """The percentiles of `photographs`, or else the authors' map, become a pack's calibration."""
    from serfiq_core.calibrating import calibrate as measure
    from serfiq_core.calibrating import install, with_authors_map
    from serfiq_core.loading import load_pipeline
    from serfiq_core.packs.registry import EMBEDDED_FOLDER, find_pack

    settings = settings_from(pack=pack)
    found = find_pack(settings.pack, packs_dir_from(packs_dir))
    name = found.manifest.name
    if found.folder.parent == EMBEDDED_FOLDER:
        raise PackError(f"{name} is embedded, and comes calibrated")
    identifier = identifier or f"{name}-{date.today().isoformat()}"
    if photographs is None:
        calibration = with_authors_map(found, identifier)
    else:
        files = sorted(p for p in photographs.rglob("*") if p.suffix.lower() in SUFFIXES)
        calibration = measure(
            load_pipeline(found, device=settings.device),
            found,
            files,
            identifier=identifier,
            reference=f"{len(files)} photographs of {photographs.name}",
            skipped=_say_skipped,
        )
    install(calibration, found)
    typer.echo(f"{name} is calibrated: {calibration.map.description}")


def _say_skipped(path: Path, why: str) -> None:
    typer.echo(f"skipped {path}: {why}", err=True)
