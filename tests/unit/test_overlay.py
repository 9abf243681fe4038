"""A drawing that shows more where there is more, and the face below."""

import io

import numpy as np
import pytest
from PIL import Image

from serfiq_core.maps.overlay import OVERLAY_SIDE_PX, overlay_png

FACE = np.full((112, 112, 3), (200, 40, 60), np.uint8)


def drawn(face, shares):
    with Image.open(io.BytesIO(overlay_png(face, np.asarray(shares, np.float32)))) as image:
        assert image.format == "PNG"
        assert image.size == (OVERLAY_SIDE_PX, OVERLAY_SIDE_PX)
        return np.asarray(image.convert("RGB")).astype(int)


def test_where_nothing_is_shared_the_face_is_seen_as_it_is():
    shares = np.zeros((7, 7))
    shares[0, 6] = 1
    pixels = drawn(FACE, shares)
    assert (pixels[100:, :200] == FACE[0, 0]).all()
    top_right = pixels[10, -10]
    assert top_right[0] > 200
    assert top_right[1] > 150  # pale yellow over red


def test_the_face_is_drawn_the_right_way_up():
    quarters = np.zeros((112, 112, 3), np.uint8)
    quarters[:56, :56], quarters[:56, 56:], quarters[56:, :56] = 250, (250, 0, 0), (0, 250, 0)
    pixels = drawn(quarters, np.zeros((7, 7)))
    corners = (pixels[9, 9], pixels[9, -9], pixels[-9, 9], pixels[-9, -9])
    assert [corner.tolist() for corner in corners] == [[250] * 3, [250, 0, 0], [0, 250, 0], [0] * 3]


def test_only_the_proportions_count():
    shares = np.random.default_rng(0).random((28, 28))
    assert (drawn(FACE, shares) == drawn(FACE, shares / 1024)).all()


def test_an_empty_map_leaves_the_face():
    assert (drawn(FACE, np.zeros((7, 7))) == FACE[0, 0]).all()


def test_more_is_lighter():
    """Lightness rises with the share, along a row of cells, over a black face."""
    shares = np.tile(np.arange(7.0), (7, 1))
    row = drawn(np.zeros((112, 112, 3), np.uint8), shares)[168]
    lightness = row @ (0.2126, 0.7152, 0.0722)
    middles = lightness[24::48]
    assert len(middles) == 7
    assert (np.diff(middles) > 0).all()
    assert middles[0] == pytest.approx(0, abs=1)
