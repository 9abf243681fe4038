"""Type and dimensions from the beginning of a file, as Pillow reads them from the whole."""

import struct

import numpy as np
import pytest
from PIL import Image

from serfiq_core.errors import UndecodableImageError, UnsupportedImageTypeError
from serfiq_core.image_header import HEAD_BYTES, MAXIMUM_JPEG_SEGMENTS, dimensions, format_of
from tests.encoded import bmp_header, encoded, picture, png, png_chunk, webp_canvas

WIDTH, HEIGHT = 150, 97
PICTURE = Image.fromarray(picture(HEIGHT, WIDTH))
FILES = {
    "JPEG": encoded(PICTURE, "JPEG"),
    "progressive JPEG": encoded(PICTURE, "JPEG", progressive=True),
    "grey JPEG": encoded(PICTURE.convert("L"), "JPEG"),
    "JPEG with EXIF": encoded(PICTURE, "JPEG", exif=b"Exif\0\0" + bytes(60_000)),
    "JPEG with profile": encoded(PICTURE, "JPEG", icc_profile=bytes(20_000)),
    "PNG": encoded(PICTURE, "PNG"),
    "BMP": encoded(PICTURE, "BMP"),
    "WEBP": encoded(PICTURE, "WEBP"),
    "lossless WEBP": encoded(PICTURE, "WEBP", lossless=True),
    "WEBP with profile": encoded(PICTURE, "WEBP", icc_profile=bytes(100)),
    "translucent WEBP": encoded(PICTURE.convert("RGBA"), "WEBP"),
}


def with_segments(count: int, content: bytes = b"") -> bytes:
    """The JPEG behind so many comments."""
    segment = b"\xff\xfe" + struct.pack(">H", 2 + len(content)) + content
    return FILES["JPEG"][:2] + count * segment + FILES["JPEG"][2:]


def test_a_png_whose_header_does_not_come_first_has_none() -> None:
    header = png(WIDTH, HEIGHT)
    hidden = header[:8] + png_chunk(b"tEXt", struct.pack(">II", 32, 32)) + header[8:]
    with pytest.raises(UndecodableImageError, match="no image header"):
        dimensions(hidden)


@pytest.mark.parametrize("name", FILES)
def test_every_type(name: str) -> None:
    assert dimensions(FILES[name][:HEAD_BYTES]) == (WIDTH, HEIGHT)
    assert format_of(FILES[name]) in name


def test_a_thumbnail_in_front_is_not_the_picture() -> None:
    thumbnail = encoded(Image.fromarray(np.zeros((8, 8, 3), np.uint8)), "JPEG")
    data = encoded(PICTURE, "JPEG", exif=b"Exif\0\0" + thumbnail)
    assert dimensions(data) == (WIDTH, HEIGHT)


def test_fill_bytes_in_front_of_a_marker() -> None:
    data = FILES["JPEG"]
    assert dimensions(data[:2] + b"\xff\xff\xff" + data[2:]) == (WIDTH, HEIGHT)


def test_announced_dimensions_are_taken_at_their_word() -> None:
    assert dimensions(bmp_header(60_000, 50_000)) == (60_000, 50_000)
    assert dimensions(bmp_header(64, -48)) == (64, 48)  # rows from the top
    assert dimensions(webp_canvas(16_000, 12_000)) == (16_000, 12_000)


def test_the_oldest_bmp_has_short_sides() -> None:
    assert dimensions(b"BM" + bytes(12) + struct.pack("<IHHHH", 12, 300, 200, 1, 24)) == (300, 200)


def test_a_jpeg_whose_dimensions_lie_further_on() -> None:
    data = with_segments(3, bytes(60_000))
    assert dimensions(data) == (WIDTH, HEIGHT)
    assert dimensions(data[:HEAD_BYTES]) is None


def test_segments_are_walked_up_to_a_limit() -> None:
    few = MAXIMUM_JPEG_SEGMENTS - len(FILES["JPEG"].split(b"\xff\xc0")[0].split(b"\xff"))
    assert dimensions(with_segments(few)) == (WIDTH, HEIGHT)
    assert dimensions(with_segments(MAXIMUM_JPEG_SEGMENTS)) is None
    assert dimensions(FILES["JPEG"][:2] + b"\xff" * 100_000) is None


@pytest.mark.parametrize("name", ["PNG", "BMP", "WEBP", "lossless WEBP", "WEBP with profile"])
def test_a_header_cut_short_is_damaged(name: str) -> None:
    with pytest.raises(UndecodableImageError):
        dimensions(FILES[name][:18])


def test_a_webp_chunk_that_is_none() -> None:
    with pytest.raises(UndecodableImageError):
        dimensions(FILES["WEBP"].replace(b"VP8 ", b"VP80", 1))


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"BM" + bytes(40), b"%PDF-1.7", b"\xff\xd8"])
def test_other_types_are_refused(data: bytes) -> None:
    with pytest.raises(UnsupportedImageTypeError):
        dimensions(data)
