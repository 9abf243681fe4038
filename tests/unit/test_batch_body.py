"""The two forms of a batch, taken apart without a server."""

import base64
import json

import pytest

from app.batch_body import MOST_CAPTURES, extract_images
from app.request_errors import CaptureCountError, MalformedBodyError, UnsupportedBodyError

FORM = "multipart/form-data; boundary=frontier"
JSON = "application/json; charset=utf-8"
MOST_BYTES = 4096
IMAGES = [bytes(range(256)) * 3 + b"\r\n--frontie", b"\r\n", b"", b"\xff\xef\xbe" * 100]
"""With a near boundary, with blank lines only, empty, and with slashes in base64."""


def form(images: list[bytes]) -> bytes:
    head = b'--frontier\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
    return b"".join(head + image + b"\r\n" for image in images) + b"--frontier--\r\n"


def in_json(images: list[bytes]) -> bytes:
    return json.dumps({"images": [base64.b64encode(each).decode() for each in images]}).encode()


BOTH = pytest.mark.parametrize(
    ("content_type", "body_of"), [(FORM, form), (JSON, in_json)], ids=["form", "json"]
)


@BOTH
@pytest.mark.parametrize("count", [1, 4, MOST_CAPTURES])
def test_all_images_come_out_in_order(content_type, body_of, count):
    images = (IMAGES * MOST_CAPTURES)[:count]
    assert extract_images(content_type, body_of(images), MOST_BYTES) == images
    assert extract_images(content_type, bytearray(body_of(images)), MOST_BYTES) == images


@BOTH
def test_a_body_of_megabytes_is_read_in_pieces(content_type, body_of):
    images = [bytes([index]) * 700_000 for index in range(5)]
    assert extract_images(content_type, body_of(images), 700_000) == images


@BOTH
def test_in_place_of_an_image_too_large_stands_nothing(content_type, body_of):
    images = [b"a" * 3_000_000, b"b" * MOST_BYTES, b"c" * (MOST_BYTES + 1), b"d"]
    found = extract_images(content_type, body_of(images), MOST_BYTES)
    assert found == [None, images[1], None, images[3]]


@BOTH
@pytest.mark.parametrize(("count", "says"), [(0, "has none"), (65, "has more"), (500, "has more")])
def test_none_and_too_many_are_refused(content_type, body_of, count, says):
    with pytest.raises(CaptureCountError, match=f"1 to 64 captures.*{says}"):
        extract_images(content_type, body_of([b"x"] * count), MOST_BYTES)


@pytest.mark.parametrize(
    "body",
    [
        b'{"images":["AQID","\\/\\/79"]}',
        b' {\r\n\t"images" : [ "AQID" , "//79"\n] }\n ',
        b"\n" * 200_000 + b'{"images": ["AQID", "\\u002f/79"]}',
    ],
)
def test_json_may_be_written_in_many_ways(body):
    assert extract_images(JSON, body, MOST_BYTES) == [b"\x01\x02\x03", b"\xff\xfe\xfd"]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "must be JSON"),
        (b"[]", "must be JSON"),
        (b'["AQID"]', "must be JSON"),
        (b"{}", "must be JSON"),
        (b'{"image": ["AQID"]}', "must be JSON"),
        (b'{"images": "AQID"}', "must be JSON"),
        (b'{"images": ["AQID"]', "must be JSON"),
        (b'{"images": ["AQID"], "profile": "enrolment"}', "must be JSON"),
        (b'{"images": ["AQID"], "images": ["AQID"]}', "must be JSON"),
        (b'{"images": ["AQID"]} {}', "must be JSON"),
        (b'{"images": ["AQID" "AQID"]}', "must be JSON"),
        (b'{"images": ["AQID', "must be JSON"),
        (b'{"images": ["AQ\\xID"]}', "must be JSON"),
        (b'{"images": ["AQID\\"]}', "must be JSON"),
        ('{"images": ["AQID"]}'.encode("utf-16"), "must be JSON"),
        (b'{"images": ["AQID", 7]}', r"images\[1\] must be a string"),
        (b'{"images": ["AQID",]}', r"images\[1\] must be a string"),
        (b'{"images": [null]}', r"images\[0\] must be a string"),
        (b'{"images": [["AQID"]]}', r"images\[0\] must be a string"),
        (b'{"images": ["AQID", "A*ID"]}', r"images\[1\] is not base64"),
        (b'{"images": ["http://x/y.jpg"]}', r"images\[0\] is not base64"),
        (b'{"images": ["data:image/png;base64,AQID"]}', r"images\[0\] is not base64"),
        (b'{"images": ["AQI"]}', r"images\[0\] is not base64"),
        (b'{"images": ["\xff\xff\xff\xff"]}', r"images\[0\] is not base64"),
        (b'{"images": ["\\ud800"]}', "must be JSON|is not base64"),
        (b'{"images": ' + b"[" * 100_000, r"images\[0\] must be a string"),
    ],
)
def test_json_that_is_refused(body, says):
    with pytest.raises(MalformedBodyError, match=says):
        extract_images(JSON, body, MOST_BYTES)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (form(IMAGES).replace(b'"image"', b'"images"'), "'images'"),
        (form(IMAGES)[:-10], "ends early"),
        (b"rubbish", "not multipart"),
        (b"", "ends early"),
    ],
)
def test_forms_that_are_refused(body, says):
    with pytest.raises(MalformedBodyError, match=says):
        extract_images(FORM, body, MOST_BYTES)


def test_a_part_too_many_stops_the_parser():
    body = form([b"x"] * 100_000)[:-10] + b"this would be a broken end"
    with pytest.raises(CaptureCountError):
        extract_images(FORM, body, MOST_BYTES)


@pytest.mark.parametrize("content_type", ["", "image/jpeg", "text/html", "é" * 500])
def test_types_that_are_not_taken(content_type):
    with pytest.raises(UnsupportedBodyError, match="application/json"):
        extract_images(content_type, b"\xff\xd8", MOST_BYTES)
