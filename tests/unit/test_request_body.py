"""The three body forms, taken apart without a server."""

import base64
import json

import pytest

from app.request_body import extract_image
from app.request_errors import MalformedBodyError, UnsupportedBodyError

IMAGE = bytes(range(256)) * 3 + b"\r\n--x\r\n-"
FORM = "multipart/form-data; boundary=frontier"


def part(name: str, content: bytes, extra: str = "") -> bytes:
    head = f'--frontier\r\nContent-Disposition: form-data; name="{name}"{extra}\r\n\r\n'
    return head.encode() + content + b"\r\n"


END = b"--frontier--\r\n"


@pytest.mark.parametrize(
    "content_type", ["image/jpeg", "IMAGE/PNG", "image/webp; q=1", "image/bmp"]
)
def test_raw(content_type):
    assert extract_image(content_type, IMAGE) == IMAGE


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8"])
def test_json(content_type):
    body = json.dumps({"image": base64.b64encode(IMAGE).decode()}).encode()
    assert extract_image(content_type, body) == IMAGE


@pytest.mark.parametrize("extra", ["", '; filename="a.jpg"', "; filename=/etc/passwd"])
def test_form(extra):
    assert extract_image(FORM, part("image", IMAGE, extra) + END) == IMAGE


def test_form_with_headers_and_a_quoted_boundary():
    body = (
        b"--a b\r\nContent-Type: image/jpeg\r\ncontent-disposition: form-data; name=image\r\n\r\n"
        + IMAGE
        + b"\r\n--a b--\r\n"
    )
    assert extract_image('multipart/form-data; boundary="a b"', body) == IMAGE


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (part("image", IMAGE) + part("image", IMAGE) + END, "several"),
        (part("photo", IMAGE) + END, "'photo'"),
        (part("n" * 1_000, IMAGE) + END, "…"),
        (part("image", IMAGE), "ends early"),
        (END, "no field"),
        (b"", "ends early"),
        (b"rubbish", "not multipart"),
        (part("image", b"") + END, "no bytes"),
        (b"--frontier\r\n\r\n" + IMAGE + b"\r\n" + END, "''"),
    ],
)
def test_forms_that_are_refused(body, says):
    with pytest.raises(MalformedBodyError, match=says) as refused:
        extract_image(FORM, body)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize("content_type", ["multipart/form-data", "multipart/form-data; boundary="])
def test_a_form_without_a_boundary(content_type):
    with pytest.raises(MalformedBodyError, match="boundary"):
        extract_image(content_type, part("image", IMAGE) + END)


def test_a_boundary_longer_than_any():
    with pytest.raises(MalformedBodyError):
        extract_image(f"multipart/form-data; boundary={'x' * 1000}", b"")


@pytest.mark.parametrize("content_type", ["", "image/gif", "image/svg+xml", "text/html", "é" * 500])
def test_types_that_are_not_taken(content_type):
    with pytest.raises(UnsupportedBodyError, match="image/webp") as refused:
        extract_image(content_type, IMAGE)
    assert len(str(refused.value)) < 300


def test_a_part_too_many_stops_the_parser():
    """A hundred thousand of them cost no more than two."""
    body = part("image", b"x") * 100_000
    with pytest.raises(MalformedBodyError, match="several"):
        extract_image(FORM, body + b"this would be a broken end")
