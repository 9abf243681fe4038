"""`serfiq serve`: the service, with what the environment and the options say."""

from typing import Annotated

import typer

from app.commands.options import (
    AllowUnsuitableOption,
    EstimatorOption,
    PackOption,
    PacksDirOption,
    settings_from,
)
from serfiq_core.types import DeviceName


def serve(
    host: Annotated[
        str | None,
        typer.Option(help="Address to listen on. [env: SERFIQ_HOST; default: 127.0.0.1]"),
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="Port to listen on. [env: SERFIQ_PORT; default: 8000]")
    ] = None,
    pack: PackOption = None,
    packs_dir: PacksDirOption = None,
    estimator: EstimatorOption = None,
    device: Annotated[
        DeviceName | None,
        typer.Option(help="Where the recogniser runs. [env: SERFIQ_DEVICE; default: auto]"),
    ] = None,
    allow_unsuitable: AllowUnsuitableOption = None,
) -> None:
    """Serve over HTTP until a signal ends it. All other settings are environment variables."""
    settings = settings_from(
        host=host,
        port=port,
        pack=pack,
        packs_dir=packs_dir,
        estimator=estimator,
        device=device,
        allow_unsuitable=allow_unsuitable,
    )
    from app.main import serve as serve_app

    serve_app(settings)
