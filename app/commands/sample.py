"""`serfiq sample`: a photograph to try the service with, without the network."""

import io
from pathlib import Path
from typing import Annotated

import typer

from serfiq_core.whole_files import appearing_whole

SOURCE = (
    "the astronaut Eileen Collins, photographed by NASA, public domain; "
    "from the sample images of scikit-image"
)

JPEG_QUALITY = 95
"""High, so that the score is of the portrait and not of its compression."""


def sample(
    path: Annotated[Path, typer.Argument(dir_okay=False, help="File to write, .jpg.")],
    force: Annotated[bool, typer.Option("--force", help="Replace a file that exists.")] = False,
) -> None:
    """Write a public-domain portrait as JPEG."""
    if path.suffix.lower() not in (".jpg", ".jpeg"):
        raise typer.BadParameter(f"{path} must end in .jpg: the portrait is written as JPEG")
    try:
        if path.exists() and not force:
            raise typer.BadParameter(f"{path} exists already; --force replaces it")
        with appearing_whole(path) as unfinished:
            unfinished.write_bytes(_portrait())
    except OSError as error:
        raise typer.BadParameter(f"{path} cannot be written: {error.strerror}") from error
    typer.echo(f"{path}: {SOURCE}")


def _portrait() -> bytes:
    import skimage.data
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(skimage.data.astronaut()).save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()
