"""Whatever the bytes: a sample within the limits, or an error of the capture, and nothing else."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from serfiq_core import decode as decode_module
from serfiq_core.decode import MINIMUM_SIDE_PX, decode
from serfiq_core.errors import CaptureError
from tests.encoded import encoded, picture

IMAGE = Image.fromarray(picture(33, 34))
OTHER = Image.fromarray(255 - picture(33, 34))
EXIF = Image.Exif()
EXIF[0x0112] = 6
SEEDS = [
    encoded(IMAGE, "JPEG", exif=EXIF),
    encoded(IMAGE, "JPEG", progressive=True),
    encoded(IMAGE.convert("CMYK"), "JPEG"),
    encoded(IMAGE, "MPO", save_all=True, append_images=[OTHER]),
    encoded(IMAGE, "PNG", exif=EXIF),
    encoded(IMAGE.quantize(16), "PNG", transparency=1),
    encoded(IMAGE, "PNG", save_all=True, append_images=[OTHER]),
    encoded(IMAGE, "WEBP", exif=EXIF),
    encoded(IMAGE, "WEBP", lossless=True),
    encoded(IMAGE, "WEBP", save_all=True, append_images=[OTHER]),
    encoded(IMAGE, "BMP"),
    encoded(IMAGE.quantize(16), "BMP"),
]
MAXIMUM_PIXELS = 1_000_000


@pytest.fixture(scope="module", autouse=True)
def _small_images():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decode_module, "MAXIMUM_PIXELS", MAXIMUM_PIXELS)
        yield


@st.composite
def damaged_files(draw):
    """A sound file with bytes changed, cut, doubled or put in."""
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, max(len(data) - 1, 0)))
        # Headers, where damage does more than in pixels, get half of it.
        start = start % 64 if draw(st.booleans()) else start
        stop = start + draw(st.integers(0, 8))
        new = draw(st.one_of(st.binary(max_size=8), st.just(bytes(data[start:stop] * 2))))
        data[start:stop] = new
    return bytes(data)


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=600, deadline=None)
@given(
    data=st.one_of(damaged_files(), st.binary(max_size=64)),
    longer_side_px=st.none() | st.integers(1, 40),
)
def test_damaged_files(data, longer_side_px):
    try:
        sample = decode(data, longer_side_px)
    except CaptureError:
        return
    height, width, channels = sample.pixels.shape
    assert channels == 3
    assert sample.pixels.dtype == np.uint8
    assert min(height, width) * sample.reduction >= MINIMUM_SIDE_PX
    assert height * width <= MAXIMUM_PIXELS
    if sample.reduction > 1:
        assert longer_side_px is not None
        assert max(height, width) >= longer_side_px
