"""`serfiq calibrate`: the percentiles of a site's own photographs become its `quality_score`."""

from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from app.commands.options import (
    AllowUnsuitableOption,
    PackOption,
    PacksDirOption,
    packs_dir_from,
    settings_from,
)
from serfiq_core.errors import PackError

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")


def calibrate(
    photographs: Annotated[
        Path,
        typer.Argument(
            exists=True, file_okay=False, help="Folder of photographs; searched with its folders."
        ),
    ],
    pack: PackOption = None,
    packs_dir: PacksDirOption = None,
    identifier: Annotated[
        str | None,
        typer.Option("--id", help="Names the calibration in every decision record."),
    ] = None,
    allow_unsuitable: AllowUnsuitableOption = None,
) -> None:
    """Calibrate an installed pack on reference photographs, without labels."""
    from serfiq_core.calibrating import calibrate as measure
    from serfiq_core.calibrating import install
    from serfiq_core.loading import load_pipeline
    from serfiq_core.packs.registry import EMBEDDED_FOLDER, find_pack

    settings = settings_from(pack=pack, allow_unsuitable=allow_unsuitable)
    found = find_pack(settings.pack, packs_dir_from(packs_dir))
    if found.folder.parent == EMBEDDED_FOLDER:
        raise PackError(f"{found.manifest.name} is embedded, and comes calibrated")
    files = sorted(p for p in photographs.rglob("*") if p.suffix.lower() in SUFFIXES)
    calibration = measure(
        load_pipeline(found, device=settings.device, allow_unsuitable=settings.allow_unsuitable),
        found,
        files,
        identifier=identifier or f"{found.manifest.name}-{date.today().isoformat()}",
        reference=f"{len(files)} photographs of {photographs.name}",
        skipped=lambda path, why: typer.echo(f"skipped {path}: {why}", err=True),
    )
    install(calibration, found)
    typer.echo(f"{found.manifest.name} is calibrated on {calibration.reference}")
