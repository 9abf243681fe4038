"""The three body forms, taken apart without a server."""

import base64
import json

import pytest
from python_multipart.multipart import MultipartParser

from app import json_strings
from app.capture_body import extract_image, peek_image
from app.form import PIECE_BYTES
from app.request_errors import MalformedBodyError, UnsupportedBodyError
from serfiq_core.image_header import HEAD_BYTES
from tests.http.service import random_capture

IMAGE = bytes(range(256)) * 3 + b"\r\n--x\r\n-"
FORM = "multipart/form-data; boundary=frontier"


def part(name: str, content: bytes, extra: str = "") -> bytes:
    head = f'--frontier\r\nContent-Disposition: form-data; name="{name}"{extra}\r\n\r\n'
    return head.encode() + content + b"\r\n"


END = b"--frontier--\r\n"


@pytest.mark.parametrize(
    "content_type", ["image/jpeg", "IMAGE/PNG", "image/webp; q=1", "image/bmp"]
)
def test_a_raw_body_is_the_image(content_type):
    assert extract_image(content_type, IMAGE) == IMAGE


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8"])
def test_json_holds_the_image_as_base64(content_type):
    body = json.dumps({"image": base64.b64encode(IMAGE).decode()}).encode()
    assert extract_image(content_type, body) == IMAGE


@pytest.mark.parametrize("extra", ["", '; filename="a.jpg"', "; filename=/etc/passwd"])
def test_a_form_holds_the_image(extra):
    assert extract_image(FORM, part("image", IMAGE, extra) + END) == IMAGE


def test_a_form_may_have_more_headers_and_a_quoted_boundary():
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
        (part("image", IMAGE) + part("a", b"x") + part("b", b"x") + END, "several fields; it must"),
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
def test_forms_of_anything_else_are_refused(body, says):
    with pytest.raises(MalformedBodyError, match=says) as refused:
        extract_image(FORM, body)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "must be JSON"),
        (b"[]", "must be JSON"),
        (b'{"photo": "AQID"}', "must be JSON"),
        (b'{"image": "AQID", "profile": "enrolment"}', "must be JSON"),
        (b'{"image": "AQID", "image": "AQID"}', "must be JSON"),
        (b'{"image": "AQID"', "must be JSON"),
        (b'{"image": "AQID"} {}', "must be JSON"),
        (b'{"image": "AQ\\xID"}', "must be JSON"),
        (json.dumps({"image": "AQID"}).encode("utf-16"), "must be JSON"),
        (b'{"image": ' + b"[" * 100_000, "image must be a string"),
        (b'{"image": 7}', "image must be a string"),
        (b'{"image": "A*ID"}', "image is not base64"),
        (b'{"image": "\xff\xff\xff\xff"}', "image is not base64"),
        (b'{"image": ""}', "no bytes"),
    ],
)
def test_json_of_anything_else_is_refused(body, says):
    with pytest.raises(MalformedBodyError, match=says):
        extract_image("application/json", body)


def test_a_byte_order_mark_is_ignored():
    assert extract_image("application/json", b'\xef\xbb\xbf{"image":"AQID"}') == b"\x01\x02\x03"


def test_an_escape_is_whole_wherever_pieces_end(monkeypatch):
    monkeypatch.setattr(json_strings, "PIECE_BYTES", 16)
    for blanks in range(16):
        text = base64.b64encode(IMAGE).decode().replace("/", "\\u002f").replace("+", "\\u002B")
        body = f'{{"image":{" " * blanks}"{text}"}}'.encode()
        assert extract_image("application/json", body) == IMAGE
        assert json_strings.unescaped(b"x" * blanks + text.encode()) == b"x" * blanks + (
            base64.b64encode(IMAGE)
        )


@pytest.mark.parametrize("content_type", ["multipart/form-data", "multipart/form-data; boundary="])
def test_a_form_without_a_boundary_is_refused(content_type):
    with pytest.raises(MalformedBodyError, match="boundary"):
        extract_image(content_type, part("image", IMAGE) + END)


def test_a_boundary_longer_than_any_is_refused():
    with pytest.raises(MalformedBodyError):
        extract_image(f"multipart/form-data; boundary={'x' * 1000}", b"")


@pytest.mark.parametrize("content_type", ["", "image/gif", "image/svg+xml", "text/html", "é" * 500])
def test_other_types_are_refused(content_type):
    with pytest.raises(UnsupportedBodyError, match="image/webp") as refused:
        extract_image(content_type, IMAGE)
    assert len(str(refused.value)) < 300


def test_a_part_too_many_stops_the_parser():
    """A hundred thousand of them cost no more than two."""
    body = part("image", b"x") * 100_000
    with pytest.raises(MalformedBodyError, match="several"):
        extract_image(FORM, body + b"this would be a broken end")


@pytest.mark.parametrize(
    "slow",
    [b"\r\n--frontier" + b" " * 10_000_000, b"\r\n--frontierX" * 1_000_000],
    ids=["blanks behind a delimiter", "almost delimiters"],
)
def test_what_the_parser_would_take_byte_by_byte_is_not_given_to_it(slow, monkeypatch):
    parsed = 0
    write = MultipartParser.write

    def counted(self, data):
        nonlocal parsed
        parsed += len(data)
        return write(self, data)

    monkeypatch.setattr(MultipartParser, "write", counted)
    with pytest.raises(MalformedBodyError):
        extract_image(FORM, part("image", IMAGE) + slow)
    assert parsed <= 2 * PIECE_BYTES


LONG_IMAGE = bytes(range(256)) * 2048  # 512 KiB; its base64 has slashes


class TestPeeking:
    """The beginning of the image, without taking the body apart."""

    @pytest.mark.parametrize("image", [IMAGE, LONG_IMAGE], ids=["short", "long"])
    def test_a_raw_body_begins_with_the_image(self, image):
        assert peek_image("image/jpeg", image) == image[:HEAD_BYTES]

    @pytest.mark.parametrize("image", [IMAGE, LONG_IMAGE], ids=["short", "long"])
    def test_a_form_is_looked_into_as_far_as_needed(self, image):
        head = peek_image(FORM, part("image", image, '; filename="a.jpg"') + END)
        assert head[: len(image)] == image[:HEAD_BYTES]
        assert len(head) <= HEAD_BYTES

    @pytest.mark.parametrize("length", [1, 2, 3, 100, 768, HEAD_BYTES, len(LONG_IMAGE)])
    @pytest.mark.parametrize("escaped", [False, True], ids=["plain", "escaped slashes"])
    @pytest.mark.parametrize("start", ['{"image":"', ' {\r\n\t"image" : "'])
    def test_json_is_decoded_as_far_as_needed(self, length, escaped, start):
        image = LONG_IMAGE[:length]
        text = base64.b64encode(image).decode()
        if escaped:
            text = text.replace("/", "\\/")
        body = f'{start}{text}"}}'.encode()
        head = peek_image("application/json; charset=utf-8", body)
        assert head == image[: len(head)]
        assert len(head) >= min(length, HEAD_BYTES) * (0.9 if escaped else 1) - 3
        assert len(head) <= HEAD_BYTES

    def test_escaped_plus_signs_leave_a_seventh_of_the_head(self):
        image = b"\xfb\xef\xbe" * 50_000
        text = base64.b64encode(image).decode().replace("+", "\\u002B")
        body = f'{{"image":"{text}"}}'.encode()
        head = peek_image("application/json", body)
        assert head == image[: len(head)]
        assert len(head) > HEAD_BYTES / 7
        assert extract_image("application/json", body) == image

    def test_a_blank_line_before_the_form_is_not_the_end_of_its_head(self):
        body = b"\r\n\r\n" + part("image", IMAGE) + END
        assert peek_image(FORM, body).startswith(IMAGE)

    def test_what_comes_before_a_form_is_not_its_image(self):
        """The parser passes over it, whatever it holds."""
        preamble = b"\r\nfrontier\r\n\r\n" + random_capture(width=32, height=32)[:24]
        body = preamble + b"pad" + part("image", LONG_IMAGE) + END
        assert extract_image(FORM, body) == LONG_IMAGE
        assert peek_image(FORM, body) is None

    @pytest.mark.parametrize(
        ("content_type", "body"),
        [
            (FORM, b"--frontier\r\nContent-Disposition: form-data"),
            ("application/json", b"[]"),
            ("application/json", b'{"photo": "' + base64.b64encode(IMAGE) + b'"}'),
            ("application/json", b" " * 1000 + b'{"image": "' + base64.b64encode(IMAGE) + b'"}'),
            ("application/json", json.dumps({"image": "aGVs"}).encode("utf-16")),
        ],
    )
    def test_where_there_is_none_to_be_seen(self, content_type, body):
        assert peek_image(content_type, body) is None
