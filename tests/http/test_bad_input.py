"""What must never be a 500: each bad input gets a clear problem or a clear rejection from the real
pipeline, and the next good request is answered as ever."""

import base64
import io
import json
import struct
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from skimage.data import astronaut, brick

from tests.http.service import PATIENCE_SECONDS, Service, assert_problem, encoded, png

PORTRAIT = astronaut()[:256, 128:384]
GOOD = encoded(PORTRAIT, "JPEG")
HTML = b"<!DOCTYPE html><html><body><script>alert(1)</script></body></html>"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="200" height="200"><rect/></svg>'


def chunk(kind: bytes, data: bytes) -> bytes:
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def png_of(width: int, height: int, *chunks: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"".join([b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", header), *chunks, chunk(b"IEND", b"")])


def bomb() -> bytes:
    """100 megapixels of black in 100 kB."""
    rows = zlib.compress(bytes(10_001 * 10_000), 9)
    return png_of(10_000, 10_000, chunk(b"IDAT", rows))


def text_bomb() -> bytes:
    """A small image with a comment that unpacks to 100 MB."""
    rows = zlib.compress(bytes(65 * 64))
    comment = b"Comment\0\0" + zlib.compress(bytes(100_000_000), 9)
    return png_of(64, 64, chunk(b"zTXt", comment), chunk(b"IDAT", rows))


def zipped() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("../evil.txt", "evil")
    return stream.getvalue()


@pytest.fixture(scope="module")
def good_answer(real_service: Service) -> dict[str, object]:
    answer = post(real_service, GOOD).json()
    assert answer["faces_found"] == 1
    return answer


@pytest.fixture(autouse=True)
def the_next_good_request_is_answered(real_service, good_answer):
    yield
    again = post(real_service, GOOD)
    assert again.status_code == 200
    assert again.json()["sampled"] == good_answer["sampled"]


def post(service: Service, body: bytes, content_type: str = "image/jpeg"):
    return service.client.post("/quality", content=body, headers={"content-type": content_type})


BAD_IMAGES = {
    "truncated": (GOOD[: len(GOOD) // 2], 422, "undecodable_image"),
    "only a signature": (GOOD[:3], 422, "undecodable_image"),
    "text named .jpg": (b"hello, I am a photograph", 415, "unsupported_image_type"),
    "html": (HTML, 415, "unsupported_image_type"),
    "svg": (SVG, 415, "unsupported_image_type"),
    "gif": (b"GIF89a" + bytes(100), 415, "unsupported_image_type"),
    "zip": (zipped(), 415, "unsupported_image_type"),
    "polyglot of html and jpeg": (HTML + GOOD, 415, "unsupported_image_type"),
    "50,000×50,000 header": (png_of(50_000, 50_000), 422, "image_dimensions"),
    "decompression bomb": (bomb(), 422, "image_dimensions"),
    "1×1": (png(np.zeros((1, 1, 3), np.uint8)), 422, "image_dimensions"),
    "31 px wide": (png(np.zeros((100, 31, 3), np.uint8)), 422, "image_dimensions"),
    "no pixels": (png_of(64, 64), 422, "undecodable_image"),
}


@pytest.mark.parametrize("name", BAD_IMAGES)
def test_bad_image(real_service, name):
    data, status, code = BAD_IMAGES[name]
    text = base64.b64encode(data).decode()
    for response in (
        post(real_service, data),
        real_service.client.post("/quality", files={"image": ("photo.jpg", data, "image/jpeg")}),
        real_service.client.post("/quality", json={"image": text}),
    ):
        assert_problem(response, status, code)


def test_a_comment_that_is_a_bomb(real_service):
    response = post(real_service, text_bomb())
    assert_problem(response, 422, "undecodable_image")


def test_a_photograph_with_something_behind_it_is_a_photograph(real_service, good_answer):
    response = post(real_service, GOOD + zipped())
    assert response.json()["sampled"] == good_answer["sampled"]


BAD_BODIES = {
    "zero bytes": (b"", "image/jpeg", 400, "malformed_body"),
    "an svg that says so": (SVG, "image/svg+xml", 415, "unsupported_content_type"),
    "an image that says text": (GOOD, "text/plain", 415, "unsupported_content_type"),
    "an image that says form": (GOOD, "multipart/form-data", 400, "malformed_body"),
    "an image that says JSON": (GOOD, "application/json", 400, "malformed_body"),
    "what curl -d sends": (
        GOOD,
        "application/x-www-form-urlencoded",
        415,
        "unsupported_content_type",
    ),
    "base64 with rubbish": (b'{"image": "/9j/4AA*&^%"}', "application/json", 400, "malformed_body"),
    "base64 cut short": (b'{"image": "/9j/4"}', "application/json", 400, "malformed_body"),
    "base64 of nothing": (b'{"image": ""}', "application/json", 400, "malformed_body"),
    "a URL": (b'{"image": "http://x/y.jpg"}', "application/json", 400, "malformed_body"),
    "a path": (b'{"path": "/etc/passwd"}', "application/json", 400, "malformed_body"),
    "no field": (b"{}", "application/json", 400, "malformed_body"),
    "a number": (b'{"image": 7}', "application/json", 400, "malformed_body"),
    "a list": (b"[]", "application/json", 400, "malformed_body"),
    "deep JSON": (b"[" * 100_000, "application/json", 400, "malformed_body"),
    "not UTF-8": (b'{"image": "\xff"}', "application/json", 400, "malformed_body"),
}


@pytest.mark.parametrize("name", BAD_BODIES)
def test_bad_body(real_service, name):
    body, content_type, status, code = BAD_BODIES[name]
    assert_problem(post(real_service, body, content_type), status, code)


def test_no_content_type(real_service):
    request = real_service.client.build_request("POST", "/quality", content=GOOD)
    request.headers.pop("content-type", None)
    assert_problem(real_service.client.send(request), 415, "unsupported_content_type")


BAD_FORMS = {
    "the field has another name": [("photo", ("a.jpg", GOOD))],
    "two images": [("image", ("a.jpg", GOOD)), ("image", ("b.jpg", GOOD))],
    "another field besides": [("image", ("a.jpg", GOOD)), ("aligned", (None, b"true"))],
    "a file of zero bytes": [("image", ("a.jpg", b""))],
}


@pytest.mark.parametrize("name", BAD_FORMS)
def test_bad_form(real_service, name):
    response = real_service.client.post("/quality", files=BAD_FORMS[name])
    assert_problem(response, 400, "malformed_body")


def test_a_form_that_ends_early(real_service):
    body = b'--x\r\nContent-Disposition: form-data; name="image"\r\n\r\n' + GOOD
    response = post(real_service, body, "multipart/form-data; boundary=x")
    assert_problem(response, 400, "malformed_body")


NO_FACES = {
    "all black": png(np.zeros((480, 640, 3), np.uint8)),
    "a wall": encoded(brick(), "JPEG"),
    "noise": png(np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)),
}


@pytest.mark.parametrize("name", NO_FACES)
def test_no_face_is_a_rejection(real_service, name):
    response = post(real_service, NO_FACES[name])
    assert response.status_code == 200
    answer = response.json()
    assert answer["decision"]["verdict"] == "reject"
    assert [reason["code"] for reason in answer["decision"]["reasons"]] == ["no_face"]
    assert answer["quality_score"] is None


def test_twenty_faces_are_a_rejection(real_service):
    row = np.concatenate([PORTRAIT] * 5, axis=1)
    response = post(real_service, encoded(np.concatenate([row] * 4), "JPEG"))
    answer = response.json()
    assert answer["faces_found"] >= 20
    assert answer["decision"]["verdict"] == "reject"
    assert "multiple_faces" in [reason["code"] for reason in answer["decision"]["reasons"]]


def test_an_aligned_face_that_is_black_is_no_acceptance(real_service):
    black = png(np.zeros((112, 112, 3), np.uint8))
    headers = {"content-type": "image/png"}
    response = real_service.client.post("/quality?aligned=true", content=black, headers=headers)
    assert response.status_code == 200
    assert response.json()["decision"]["verdict"] == "reject"


def test_bad_and_good_together(real_service, good_answer):
    """Bad neighbours change nothing for the good ones that they are in flight with."""
    bodies = [GOOD, BAD_IMAGES["truncated"][0], GOOD, HTML, GOOD, NO_FACES["all black"]]
    with ThreadPoolExecutor(len(bodies)) as callers:
        sent = [callers.submit(post, real_service, body) for body in bodies]
        answers = [each.result(PATIENCE_SECONDS) for each in sent]
    assert [answer.status_code for answer in answers] == [200, 422, 200, 415, 200, 200]
    for answer in answers[::2]:
        raw = json.loads(answer.text)["sampled"]["raw_score"]
        assert raw == pytest.approx(good_answer["sampled"]["raw_score"], abs=1e-6)
