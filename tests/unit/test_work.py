"""How much work a capture is said to be."""

import itertools
import zlib

import numpy as np
import pytest
from PIL import Image

from serfiq_core.decode import DEFAULT_LIMITS, MEDIA_TYPES
from serfiq_core.image_header import HEAD_BYTES
from serfiq_core.work import LEAST_WORK, PIXELS_PER_BYTE, WORK_PER_MEGAPIXEL, work_of
from tests.encoded import bmp_header, encoded, jpeg_of_size, png

JPEG_RATE = WORK_PER_MEGAPIXEL["JPEG"]


def work_of_size(width: int, height: int) -> float:
    head = jpeg_of_size(width, height)
    return work_of(head, len(head))


@pytest.mark.parametrize(("width", "height"), [(32, 32), (112, 112), (250, 250), (640, 460)])
def test_small_captures_are_one_unit(width: int, height: int) -> None:
    assert work_of_size(width, height) == LEAST_WORK == 1.0


def test_larger_ones_grow_by_the_megapixel() -> None:
    assert work_of_size(1000, 1300) == pytest.approx(1.0 + 1.0 * JPEG_RATE)
    assert work_of_size(4000, 3075) == pytest.approx(1.0 + 12.0 * JPEG_RATE)
    works = [work_of_size(side, side) for side in (200, 600, 1000, 2000, 6000)]
    assert all(a < b for a, b in itertools.pairwise(works))


@pytest.mark.parametrize("name", MEDIA_TYPES)
def test_every_type_has_its_rate(name: str) -> None:
    data = encoded(Image.new("RGB", (1000, 1300)), name)
    assert work_of(data, len(data)) == pytest.approx(1.0 + WORK_PER_MEGAPIXEL[name])


def test_width_and_height_count_alike() -> None:
    assert work_of_size(4000, 1000) == work_of_size(1000, 4000)


def test_what_is_refused_for_its_header_is_one_unit() -> None:
    assert work_of_size(65_000, 65_000) == LEAST_WORK
    assert work_of(bmp_header(60_000, 50_000), 10**7) == LEAST_WORK
    assert work_of(b"%PDF-1.7", 10**7) == LEAST_WORK
    assert work_of(b"", 0) == LEAST_WORK
    assert work_of(b"\x89PNG\r\n\x1a\n", 10**7) == LEAST_WORK


def test_dimensions_beyond_the_head_are_guessed_from_the_length() -> None:
    """A photograph of a million bytes behind a long profile."""
    pixels = np.zeros((8, 8, 3), np.uint8)
    head = encoded(Image.fromarray(pixels), "JPEG", icc_profile=bytes(200_000))[:HEAD_BYTES]
    guessed = work_of(head, 1_300_000)
    assert guessed == pytest.approx(1.0 + JPEG_RATE * (1.3 * PIXELS_PER_BYTE - 0.3))

    assert work_of(head, HEAD_BYTES) < guessed


def test_no_guess_is_larger_than_the_largest_capture() -> None:
    pixels = np.zeros((8, 8, 3), np.uint8)
    head = encoded(Image.fromarray(pixels), "JPEG", icc_profile=bytes(200_000))[:HEAD_BYTES]
    largest = 1.0 + JPEG_RATE * (DEFAULT_LIMITS.maximum_pixels / 1e6 - 0.3)
    assert work_of(head, 10**9) == pytest.approx(largest)


def test_whoever_hides_the_beginning_is_let_in_for_no_less() -> None:
    most = work_of(png(8000, 5000), 10**6)
    black = zlib.compress(bytes(8000 // 8 * 5000 + 5000), 9)
    assert work_of(None, len(black)) == most == work_of(None, 10**9)
    assert work_of(None, 30) == LEAST_WORK
