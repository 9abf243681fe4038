"""The pyramid: the faces it spans, and levels on one canvas that never meet."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serfiq_core.detection.mtcnn_pyramid import (
    PYRAMID_FACTOR,
    SMALLEST_FACE_SHARE,
    WINDOW_SIDE_PX,
    WINDOW_STRIDE_PX,
    arranged,
    canvas,
    scales,
    windows_at,
)
from serfiq_core.resizing import halved, resized
from tests.encoded import picture
from tests.photographs import astronaut

MINIMUM_FACE_PX = 20


@pytest.mark.parametrize("size", [(250, 250), (3000, 4000), (200, 4000)])
def test_it_spans_the_faces_looked_for(size):
    height, width = size
    found = scales(height, width, MINIMUM_FACE_PX)
    smallest, largest = WINDOW_SIDE_PX / found[0], WINDOW_SIDE_PX / found[-1]
    assert smallest == pytest.approx(max(MINIMUM_FACE_PX, width * SMALLEST_FACE_SHARE))
    assert largest <= height < largest / PYRAMID_FACTOR * 1.01
    # P-Net never sees more than this, however large the photograph.
    assert width * found[0] <= WINDOW_SIDE_PX / SMALLEST_FACE_SHARE + 1e-6


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 3000), st.integers(1, 3000), st.floats(5, 400))
def test_levels_lie_apart_at_even_places(height, width, minimum_face_px):
    sizes = [
        (s, round(width * s), round(height * s)) for s in scales(height, width, minimum_face_px)
    ]
    levels = arranged(sizes)
    assert [(level.scale, level.width_px, level.height_px) for level in levels] == sizes
    for index, level in enumerate(levels):
        assert level.left_px >= 0 == level.left_px % WINDOW_STRIDE_PX
        assert level.top_px >= 0 == level.top_px % WINDOW_STRIDE_PX
        for other in levels[:index]:
            assert (
                level.left_px >= other.left_px + other.width_px
                or other.left_px >= level.left_px + level.width_px
                or level.top_px >= other.top_px + other.height_px
                or other.top_px >= level.top_px + level.height_px
            )


@pytest.mark.parametrize(("height", "width"), [(512, 512), (301, 512), (512, 211), (97, 83)])
def test_every_window_of_every_level_is_there_once(height, width):
    drawn = canvas(halved(astronaut()[:height, :width]), MINIMUM_FACE_PX)
    for index, level in enumerate(drawn.levels):
        corners = windows_at(*np.nonzero(drawn.level_of == index)) - np.tile(
            (level.left_px, level.top_px), 2
        )
        lefts = range(0, level.width_px - WINDOW_SIDE_PX + 1, WINDOW_STRIDE_PX)
        tops = range(0, level.height_px - WINDOW_SIDE_PX + 1, WINDOW_STRIDE_PX)
        assert {(x, y) for x, y, _, _ in corners.tolist()} == {(x, y) for x in lefts for y in tops}
        assert len(corners) == len(lefts) * len(tops)


def test_each_level_shows_the_whole_image():
    image = picture(480, 640)
    drawn = canvas(halved(image), MINIMUM_FACE_PX)
    assert len(drawn.levels) > 5
    for level in drawn.levels:
        bottom, right = level.top_px + level.height_px, level.left_px + level.width_px
        shown = drawn.pixels[level.top_px : bottom, level.left_px : right]
        at_once = resized(image, (level.width_px, level.height_px))
        assert np.abs(shown.astype(int) - at_once).mean() < 2


def test_boxes_go_back_to_the_image():
    drawn = canvas(halved(astronaut()), MINIMUM_FACE_PX)
    whole = np.array(
        [
            (v.left_px, v.top_px, v.left_px + v.width_px, v.top_px + v.height_px)
            for v in drawn.levels
        ],
        np.float32,
    )
    sides = np.array([max(1, 0.6 / v.scale) for v in drawn.levels])
    np.testing.assert_allclose(
        np.abs(drawn.in_the_image(whole, whole) - (0, 0, 512, 512)).max(axis=1) < sides, True
    )


@pytest.mark.parametrize("shape", [(8, 8), (11, 4000), (32, 5000), (1, 1)])
def test_an_image_without_levels_has_no_windows(shape):
    drawn = canvas(halved(np.zeros((*shape, 3), np.uint8)), MINIMUM_FACE_PX)
    assert drawn.levels == ()
    assert not (drawn.level_of >= 0).any()
