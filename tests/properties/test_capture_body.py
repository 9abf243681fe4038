"""Whatever bytes come under whatever Content-Type: an image, or an error of the request."""

import base64
import contextlib
import json

from hypothesis import given
from hypothesis import strategies as st

from app.capture_body import extract_image, peek_image
from app.request_errors import RequestError

HEADERS = st.one_of(
    st.sampled_from(
        [
            "multipart/form-data; boundary=b",
            "multipart/form-data; boundary=\x00",
            "application/json",
            "image/png",
        ]
    ),
    st.text(st.characters(max_codepoint=255), max_size=40),
)

BITS_OF_FORMS = st.lists(
    st.one_of(
        st.sampled_from(
            [
                b"--b",
                b"--b--",
                b"\r\n",
                b"\r\n\r\n",
                b"Content-Disposition: form-data; name=",
                b'"image"',
                b"; filename*=utf-8''x",
                b":",
                b"-",
            ]
        ),
        st.binary(max_size=8),
    ),
    max_size=20,
).map(b"".join)


@given(HEADERS, st.one_of(st.binary(max_size=200), BITS_OF_FORMS))
def test_no_body_escapes_the_errors(content_type, body):
    peek_image(content_type, body)
    with contextlib.suppress(RequestError):
        assert extract_image(content_type, body)


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists))
def test_no_json_escapes_the_errors(value):
    for document in (value, {"image": value}):
        with contextlib.suppress(RequestError):
            assert extract_image("application/json", json.dumps(document).encode())


@given(st.binary(min_size=1, max_size=2000))
def test_every_image_comes_out_as_it_went_in(image):
    text = json.dumps({"image": base64.b64encode(image).decode()}).encode()
    assert extract_image("application/json", text) == image
    assert peek_image("application/json", text) == image
    boundary = b"0"
    while b"--" + boundary in image:
        boundary += b"0"
    head = b"--" + boundary + b'\r\nContent-Disposition: form-data; name="image"\r\n\r\n'
    form = head + image + b"\r\n--" + boundary + b"--\r\n"
    content_type = f"multipart/form-data; boundary={boundary.decode()}"
    assert extract_image(content_type, form) == image
    assert peek_image(content_type, form).startswith(image)
