"""The photographs that every load sends: 250×250 JPEGs, a folder of one's own or LFW's.

Where there are none, variants of one public-domain portrait are made, so that anyone can repeat a
measurement.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import skimage.data
from PIL import Image, ImageEnhance

LFW = Path(__file__).resolve().parents[2] / "shared" / "data" / "lfw" / "images"

COUNT = 200
"""Enough that no cache holds them all, few enough to be read at once."""

SIDE_PX = 250
"""As in LFW."""

FACE_CENTRE_PX = (224, 120)
"""Of the portrait, 512×512 pixels: x and y."""

MOST_SHIFT_PX = 24
"""So far may the face lie from the centre: it stays whole."""


@contextmanager
def photograph_folder(chosen: Path | None) -> Iterator[Path]:
    """The folder to take photographs from: the chosen one, LFW's, or one that lasts this long."""
    if chosen is not None or LFW.is_dir():
        yield chosen or LFW
        return
    with TemporaryDirectory() as made:
        for index, photograph in enumerate(make_photographs(COUNT)):
            Path(made, f"{index:03}.jpg").write_bytes(photograph)
        yield Path(made)


def read_photographs(folder: Path, count: int = COUNT) -> list[bytes]:
    """At most `count` JPEGs, spread evenly over the folder and those below it.

    Raises:
        FileNotFoundError: there are none.
    """
    paths = sorted(folder.rglob("*.jpg"))
    if not paths:
        raise FileNotFoundError(f"{folder} holds no .jpg")
    return [path.read_bytes() for path in paths[:: max(1, len(paths) // count)][:count]]


def make_photographs(count: int, seed: int = 0) -> list[bytes]:
    """JPEGs of one portrait, each cut out, sized and lit a little differently."""
    portrait = Image.fromarray(skimage.data.astronaut())
    generator = np.random.default_rng(seed)
    return [_variant(portrait, generator) for _ in range(count)]


def _variant(portrait: Image.Image, generator: np.random.Generator) -> bytes:
    half = generator.integers(100, 120)
    shift_x, shift_y = generator.integers(-MOST_SHIFT_PX, MOST_SHIFT_PX + 1, 2)
    x, y = FACE_CENTRE_PX[0] + shift_x, FACE_CENTRE_PX[1] + shift_y
    cut = portrait.crop((x - half, y - half, x + half, y + half)).resize((SIDE_PX, SIDE_PX))
    file = io.BytesIO()
    ImageEnhance.Brightness(cut).enhance(generator.uniform(0.7, 1.2)).save(file, "JPEG")
    return file.getvalue()
