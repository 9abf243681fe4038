"""From bytes to an upright 8-bit RGB sample, with the limits that make it safe to accept bytes.

What an image is, is decided by its content alone, and before Pillow sees it. This file knows no
HTTP, no faces, and no names of files; it changes no global setting of Pillow, so that it may run on
many threads.

Colour profiles are not applied: the recognisers and detectors were trained on photographs whose
profiles were ignored too.
"""

import io

import numpy as np
from PIL import ExifTags, Image

from serfiq_core.errors import (
    CaptureError,
    ImageDimensionsError,
    UndecodableImageError,
)
from serfiq_core.image_header import Size, dimensions, format_of
from serfiq_core.image_parts import check_parts
from serfiq_core.types import Pixels, Sample

MAXIMUM_PIXELS = 40_000_000
"""Width times height; 40 megapixels is above what phones and document cameras deliver. While it is
decoded such an image holds 0.3 GB as RGB, and up to 0.8 with transparency."""

MINIMUM_SIDE_PX = 32
"""Below, no detector here finds a face, let alone one worth enrolling."""

UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation → what makes the image upright. 1, and whatever EXIF does not know: nothing."""

PIECE_PIXELS = 1_000_000
"""Copied at a time, from Pillow's memory to NumPy's."""

BEHIND_ALPHA = (255, 255, 255)
"""White, because that is what a page or a viewer shows behind a transparent portrait: the score is
of the picture that people saw. What the file hides under full transparency is arbitrary."""


def decode(data: bytes, longer_side_px: int | None = None) -> Sample:
    """Decode one JPEG, PNG, WebP or BMP file; of an animated one, the first frame.

    Args:
        data: the file.
        longer_side_px: what the longer side needs; None for all there is. A JPEG that has twice as
            much is decoded at 1/2, 1/4 or 1/8, which takes a fraction of the time and the memory.

    Raises:
        UnsupportedImageTypeError: the bytes are of no type that is taken.
        ImageDimensionsError: too many pixels (known before any is decoded), or a side too short.
        UndecodableImageError: the file is damaged, ends early, or is made of too many parts.
    """
    image_format = format_of(data)
    announced = dimensions(data)
    if announced is not None and image_format == "WEBP":
        # Pillow reserves the whole canvas, up to 16,383², as soon as it opens a WebP.
        _check_dimensions(announced)
    check_parts(data, image_format)
    try:
        image, reduction = _loaded(data, image_format, announced, longer_side_px)
        pixels = _pixels(image)
    except CaptureError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageDimensionsError(_too_many_pixels()) from error
    except Exception as error:
        # Damaged bytes make Pillow's decoders raise an open set of types: OSError, SyntaxError,
        # ValueError, struct.error, zlib.error, EOFError, KeyError, OverflowError, MemoryError …
        raise UndecodableImageError(f"the {image_format} file is damaged or ends early") from error
    return Sample(pixels, reduction)


def _loaded(
    data: bytes, image_format: str, announced: Size | None, longer_side_px: int | None
) -> tuple[Image.Image, int]:
    """The upright image in RGB, and its reduction."""
    with Image.open(io.BytesIO(data), formats=(image_format,)) as image:
        if announced not in (None, image.size):
            # Admission counted the work by the first header, so a second size is refused.
            raise UndecodableImageError(f"the {image_format} file has several sizes")
        _check_dimensions(image.size)
        reduction = 1 if longer_side_px is None else _reduced(image, longer_side_px)
        image.load()
        return _to_rgb(_upright(image)), reduction


def _pixels(image: Image.Image) -> Pixels:
    """`H × W × 3`, piece by piece: at once, two more copies would be made on the way."""
    width, height = image.size
    rows = max(PIECE_PIXELS // width, 1)
    if height <= rows:
        return np.asarray(image)
    pixels = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        pixels[top:bottom] = np.asarray(image.crop((0, top, width, bottom)))
    return pixels


def _check_dimensions(size: Size) -> None:
    width, height = size
    if width * height > MAXIMUM_PIXELS:
        raise ImageDimensionsError(f"{width}×{height}: {_too_many_pixels()}")
    if min(width, height) < MINIMUM_SIDE_PX:
        raise ImageDimensionsError(
            f"{width}×{height}: each side needs at least {MINIMUM_SIDE_PX} pixels"
        )


def _too_many_pixels() -> str:
    return f"at most {MAXIMUM_PIXELS / 1e6:g} megapixels are taken"


def _reduced(image: Image.Image, longer_side_px: int) -> int:
    """Have the image loaded at a fraction of its size, where its format can; returns 1/fraction."""
    width, height = image.size
    # Pillow keeps both sides at least as long as asked; of the shorter nothing is asked.
    image.draft(None, (longer_side_px, 1) if width >= height else (1, longer_side_px))
    return round(width / image.size[0])


def _upright(image: Image.Image) -> Image.Image:
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # damaged EXIF, in as many ways as damaged images; the pixels are sound
        return image
    # A damaged entry may hold a type that no dictionary takes as a key.
    method = UPRIGHT.get(orientation) if isinstance(orientation, int) else None
    return image if method is None else image.transpose(method)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        # The high byte, as Pillow takes of 16-bit colour. Its own conversion clips at 255.
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if not image.has_transparency_data:
        return image if image.mode == "RGB" else image.convert("RGB")
    with_alpha = image if image.mode == "RGBA" else image.convert("RGBA")
    flat = Image.new("RGB", image.size, BEHIND_ALPHA)
    flat.paste(with_alpha, mask=with_alpha)
    return flat
