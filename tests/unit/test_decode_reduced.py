"""JPEG at a fraction of its size: which fractions, what they show, what stays as it was."""

import numpy as np
import pytest
from PIL import Image

from serfiq_core import decode as decode_module
from serfiq_core.decode import decode
from serfiq_core.errors import ImageDimensionsError, UndecodableImageError
from tests.encoded import encoded, picture

LARGE = picture(480, 640)


def averaged_in_blocks(pixels, block):
    height, width = pixels.shape[0] // block, pixels.shape[1] // block
    return pixels.reshape(height, block, width, block, 3).mean(axis=(1, 3))


@pytest.mark.parametrize(
    ("longer_side_px", "reduction"),
    [(None, 1), (641, 1), (640, 1), (321, 1), (320, 2), (161, 2), (160, 4), (80, 8), (1, 8)],
)
@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_keeps_the_longer_side_that_is_needed(longer_side_px, reduction, progressive):
    data = encoded(Image.fromarray(LARGE), "JPEG", quality=95, progressive=progressive)
    sample = decode(data, longer_side_px=longer_side_px)
    assert sample.reduction == reduction
    expected = averaged_in_blocks(LARGE, reduction)
    assert sample.pixels.shape == expected.shape
    assert np.abs(sample.pixels - expected).max() < 12


@pytest.mark.parametrize("name", ["PNG", "BMP", "WEBP"])
def test_other_types_are_decoded_whole(name):
    sample = decode(encoded(Image.fromarray(LARGE), name), longer_side_px=16)
    assert sample.reduction == 1
    assert sample.pixels.shape == LARGE.shape


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_other_colours(mode):
    image = Image.fromarray(LARGE).convert(mode)
    sample = decode(encoded(image, "JPEG", quality=95), longer_side_px=160)
    assert sample.reduction == 4
    expected = averaged_in_blocks(np.asarray(image.convert("RGB")), 4)
    assert np.abs(sample.pixels - expected).max() < 20


def test_the_first_of_several_pictures():
    first, second = Image.fromarray(LARGE), Image.fromarray(255 - LARGE)
    data = encoded(first, "MPO", save_all=True, append_images=[second])
    sample = decode(data, longer_side_px=160)
    assert sample.reduction == 4
    assert np.abs(sample.pixels - averaged_in_blocks(LARGE, 4)).max() < 40


@pytest.mark.parametrize(("orientation", "quarter_turns"), [(1, 0), (6, 1), (3, 2), (8, 3)])
def test_the_sample_is_upright(orientation, quarter_turns):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(np.rot90(LARGE, quarter_turns)))
    sample = decode(encoded(stored, "JPEG", quality=95, exif=exif), longer_side_px=320)
    assert sample.reduction == 2
    assert np.abs(sample.pixels - averaged_in_blocks(LARGE, 2)).max() < 12


def test_sides_that_the_reduction_does_not_divide_are_rounded_up():
    data = encoded(Image.fromarray(picture(397, 645)), "JPEG")
    sample = decode(data, longer_side_px=80)
    assert (sample.reduction, sample.pixels.shape) == (8, (50, 81, 3))


def test_limits_are_on_what_the_file_has(monkeypatch):
    data = encoded(Image.fromarray(LARGE), "JPEG")
    monkeypatch.setattr(decode_module, "MAXIMUM_PIXELS", 480 * 640 - 1)
    with pytest.raises(ImageDimensionsError):
        decode(data, longer_side_px=80)
    monkeypatch.setattr(decode_module, "MAXIMUM_PIXELS", 480 * 640)
    monkeypatch.setattr(decode_module, "MINIMUM_SIDE_PX", 480)
    assert decode(data, longer_side_px=80).reduction == 8


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_truncated_file_is_undecodable(share, progressive):
    data = encoded(Image.fromarray(LARGE), "JPEG", progressive=progressive)
    with pytest.raises(UndecodableImageError):
        decode(data[: int(len(data) * share)], longer_side_px=80)
