"""Files of nothing but parts are refused before Pillow walks over them."""

import io
import zlib

import numpy as np
import pytest
from PIL import Image

from serfiq_core.decode import decode
from serfiq_core.errors import UndecodableImageError
from serfiq_core.image_parts import (
    MAXIMUM_JPEG_SCANS,
    MAXIMUM_JPEG_STEPS,
    MAXIMUM_PNG_CHUNKS,
    check_parts,
)

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8)


def encoded(image_format: str) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(PIXELS).save(stream, image_format)
    return stream.getvalue()


def chunk(kind: bytes, content: bytes = b"") -> bytes:
    checksum = zlib.crc32(kind + content).to_bytes(4, "big")
    return len(content).to_bytes(4, "big") + kind + content + checksum


def png_with(chunks: int) -> bytes:
    """Empty ones in front of the pixels."""
    whole, header_end = encoded("PNG"), 8 + 25
    return whole[:header_end] + chunk(b"teSt") * chunks + whole[header_end:]


def jpeg_with(between: bytes) -> bytes:
    """In front of the frame header."""
    whole = encoded("JPEG")
    return whole[:2] + between + whole[2:]


def test_a_png_of_many_chunks_is_refused() -> None:
    np.testing.assert_array_equal(decode(png_with(1_000)).pixels, PIXELS)
    with pytest.raises(UndecodableImageError, match="more than 10000 chunks"):
        decode(png_with(MAXIMUM_PNG_CHUNKS))


@pytest.mark.parametrize(
    "step",
    [b"\xff\xfe\x00\x02", b"\xff\xe2\x00\x02", b"\xff"],
    ids=["comments", "application segments", "fill bytes"],
)
def test_some_segments_are_no_reason(step: bytes) -> None:
    assert decode(jpeg_with(step * 200)).pixels.shape == PIXELS.shape


@pytest.mark.parametrize(
    "step",
    [b"\xff\xfe\x00\x02", b"\xff\xe2\x00\x02", b"\xff\xfe\x00\x02x", b"\xff", b"\xff\xd8"],
    ids=["comments", "application segments", "junk", "fill bytes", "standalone markers"],
)
def test_a_jpeg_of_many_segments_is_refused(step: bytes) -> None:
    with pytest.raises(UndecodableImageError, match="more than 1000 segments"):
        decode(jpeg_with(step * MAXIMUM_JPEG_STEPS))


def test_what_lies_behind_a_png_is_nobodys() -> None:
    whole = encoded("PNG") + bytes(200_000)
    np.testing.assert_array_equal(decode(whole).pixels, PIXELS)


def test_a_film_behind_a_photograph_has_no_scans() -> None:
    """Telephones put one there. Of 64 KiB of it two bytes are the mark of a scan."""
    film = np.random.default_rng(0).integers(0, 256, 9_000_000, dtype=np.uint8).tobytes()
    assert film.count(b"\xff\xda") > MAXIMUM_JPEG_SCANS
    assert decode(encoded("JPEG") + film).pixels.shape == PIXELS.shape


@pytest.mark.parametrize("step", [b"\xff\xd8", b"\xff\xfe\x00\x02"])
def test_segments_behind_a_scan_count_too(step: bytes) -> None:
    whole = encoded("JPEG")
    with pytest.raises(UndecodableImageError, match="scans, or 1000 segments"):
        check_parts(whole[:-2] + step * MAXIMUM_JPEG_STEPS + whole[-2:], "JPEG")


@pytest.mark.parametrize("image_format", ["JPEG", "PNG"])
def test_a_file_that_ends_within_a_part_is_for_the_decoder_to_refuse(image_format: str) -> None:
    whole = encoded(image_format)
    for length in range(len(whole)):
        check_parts(whole[:length], image_format)
