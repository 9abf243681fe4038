"""Whatever the bytes: dimensions, a refusal, or none seen; and where there are some, Pillow's."""

import io

from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from serfiq_core.errors import CaptureError
from serfiq_core.image_header import dimensions
from tests.encoded import encoded

SIGNATURES = [
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"RIFF    WEBPVP8 ",
    b"BM" + bytes(12) + b"\x28",
]


@given(st.sampled_from(SIGNATURES), st.binary(max_size=300))
def test_no_bytes_escape_the_errors(signature, rest):
    try:
        size = dimensions(signature + rest)
    except CaptureError:
        return
    assert size is None or min(size) >= 0


@given(
    st.sampled_from(["JPEG", "PNG", "WEBP", "BMP"]),
    st.integers(1, 300),
    st.integers(1, 300),
    st.binary(max_size=64),
)
def test_sound_files_have_the_dimensions_that_pillow_reads(image_format, width, height, extra):
    data = encoded(Image.new("RGB", (width, height)), image_format) + extra
    with Image.open(io.BytesIO(data)) as image:
        assert dimensions(data) == image.size
