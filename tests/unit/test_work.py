"""How much work a capture is said to be."""

import itertools

import numpy as np
import pytest
from PIL import Image

from serfiq_core.image_header import HEAD_BYTES
from serfiq_core.scheduling.work import LEAST_WORK, WORK_PER_MEGAPIXEL, work_of
from tests.encoded import bmp_header, encoded, jpeg_of_size, png

JPEG_RATE = WORK_PER_MEGAPIXEL["JPEG"]


def work_of_size(width: int, height: int) -> float:
    head = jpeg_of_size(width, height)
    return work_of(head)


@pytest.mark.parametrize(("width", "height"), [(32, 32), (112, 112), (250, 250), (640, 460)])
def test_small_captures_are_one_unit(width: int, height: int) -> None:
    assert work_of_size(width, height) == LEAST_WORK == 1.0


def test_larger_ones_grow_by_the_megapixel() -> None:
    assert work_of_size(1000, 1300) == pytest.approx(1.0 + 1.0 * JPEG_RATE)
    assert work_of_size(4000, 3075) == pytest.approx(1.0 + 12.0 * JPEG_RATE)
    works = [work_of_size(side, side) for side in (200, 600, 1000, 2000, 6000)]
    assert all(a < b for a, b in itertools.pairwise(works))


@pytest.mark.parametrize("name", WORK_PER_MEGAPIXEL)
def test_every_type_has_its_rate(name: str) -> None:
    data = encoded(Image.new("RGB", (1000, 1300)), name)
    assert work_of(data) == pytest.approx(1.0 + WORK_PER_MEGAPIXEL[name])


def test_width_and_height_count_alike() -> None:
    assert work_of_size(4000, 1000) == work_of_size(1000, 4000)


def test_what_is_refused_for_its_header_is_one_unit() -> None:
    assert work_of_size(65_000, 65_000) == LEAST_WORK
    assert work_of(bmp_header(60_000, 50_000)) == LEAST_WORK
    assert work_of(b"%PDF-1.7") == LEAST_WORK
    assert work_of(b"") == LEAST_WORK
    assert work_of(b"\x89PNG\r\n\x1a\n") == LEAST_WORK


def jpegs_that_do_not_say_their_size() -> dict[str, bytes]:
    sound = encoded(Image.fromarray(np.zeros((8, 8, 3), np.uint8)), "JPEG")
    profile = encoded(
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)), "JPEG", icc_profile=bytes(200_000)
    )
    first_segment = 4 + int.from_bytes(sound[4:6], "big")
    return {
        "behind a long profile": profile[:HEAD_BYTES],
        "behind a byte of rubbish": sound[:first_segment] + b"x" + sound[first_segment:],
        "behind empty segments": sound[:2] + 300 * b"\xff\xfe\x00\x02" + sound[2:],
    }


@pytest.mark.parametrize("how", jpegs_that_do_not_say_their_size())
def test_a_jpeg_that_does_not_say_its_size_is_as_dear_as_the_largest(how: str) -> None:
    assert work_of(jpegs_that_do_not_say_their_size()[how]) == work_of_size(8000, 5000)


def test_whoever_hides_the_beginning_is_let_in_for_no_less() -> None:
    assert work_of(None) == work_of(png(8000, 5000)) > work_of_size(8000, 5000)
