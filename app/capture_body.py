"""The three forms in which a capture may come, and the bytes of the image in it.

All of it stays in memory: nothing is spooled to disk, and nothing named by the caller is opened.
This file knows no model; whether the bytes are an image is for the core to say.
"""

import base64
import re

from python_multipart.multipart import parse_options_header

from app.form import FIELD, Form
from app.json_strings import LONGEST_ESCAPE, JsonReader, base64_bytes, unescaped
from app.request_errors import MalformedBodyError, UnsupportedBodyError, quote
from serfiq_core.image_header import HEAD_BYTES

IMAGE_MEDIA_TYPES = ("image/jpeg", "image/png", "image/webp", "image/bmp")

MEMBER_START = re.compile(rb'\s*\{\s*"%s"\s*:\s*"' % FIELD.encode())
"""How the JSON of nearly everyone begins. Other spellings are understood too, later: they count as
the dearest capture that they may hold."""

BLANK_BYTES = 256
"""Blanks may make the beginning any length, which the event loop need not follow."""

HEAD_CHARS = 4 * HEAD_BYTES // 3 // 4 * 4
"""Of base64: whole groups of four, each of three bytes."""


def extract_image(content_type: str, body: bytes | bytearray) -> bytes:
    """The bytes of the image in a body.

    Args:
        content_type: the header, parameters included. For a raw image its subtype is not compared
            with the bytes: the bytes decide.
        body: the whole body.

    Raises:
        UnsupportedBodyError: a Content-Type that is not taken.
        MalformedBodyError: the body is not what the Content-Type promises, has no image, or more
            than one.
    """
    media_type, parameters = parse_options_header(content_type)
    match media_type.decode("latin-1"):
        case "multipart/form-data":
            image = _image_of_form(parameters.get(b"boundary", b""), body)
        case "application/json":
            image = _image_of_json(body)
        case raw if raw in IMAGE_MEDIA_TYPES:
            image = bytes(body)
        case other:
            taken = ", ".join(("multipart/form-data", "application/json", *IMAGE_MEDIA_TYPES))
            raise UnsupportedBodyError(f"{quote(other)} is not taken; {taken} are.")
    return not_empty(image)


def not_empty(image: bytes) -> bytes:
    """The image itself.

    Raises:
        MalformedBodyError: it has no bytes.
    """
    if not image:
        raise MalformedBodyError("The image has no bytes.")
    return image


def peek_image(content_type: str, body: bytes | bytearray) -> bytes | None:
    """The first `HEAD_BYTES` of the image in a body, or all it has; None when it is not found.

    Nothing is checked and no more is decoded than that, so that the event loop may do it.
    """
    media_type, parameters = parse_options_header(content_type)
    match media_type.decode("latin-1"):
        case "multipart/form-data":
            return _peek_form(parameters.get(b"boundary", b""), body)
        case "application/json":
            return _peek_json(body)
        case _:
            return bytes(body[:HEAD_BYTES])


def _peek_form(boundary: bytes, body: bytes | bytearray) -> bytes | None:
    delimiter = b"--" + boundary
    start = body[: BLANK_BYTES + len(delimiter)].lstrip(b"\r\n")
    # Before its first delimiter a form may have more, which the parser passes over: another image.
    if not start.startswith(delimiter):
        return None
    blank_line = body.find(b"\r\n\r\n", body.find(delimiter))
    if blank_line < 0:
        return None
    head = blank_line + 4
    return bytes(body[head : head + HEAD_BYTES])


def _peek_json(body: bytes | bytearray) -> bytes | None:
    start = MEMBER_START.match(body, 0, BLANK_BYTES)
    if start is None:
        return None
    text = bytes(body[start.end() : start.end() + HEAD_CHARS]).partition(b'"')[0]
    # What was cut off in the middle of an escape is left out.
    escape = text.rfind(b"\\", -LONGEST_ESCAPE + 1)
    try:
        text = unescaped(text if escape < 0 else text[:escape])
        return base64.b64decode(text[: len(text) // 4 * 4], validate=True)
    except ValueError:
        return None


def _image_of_json(body: bytes | bytearray) -> bytes:
    refusal = MalformedBodyError(
        f'The body must be JSON, an object with one member: {{"{FIELD}": "…"}}.'
    )
    reader = JsonReader(body, refusal)
    reader.begin_object(FIELD.encode())
    image = base64_bytes(reader.string(), FIELD)
    reader.end_object()
    return image


def _image_of_form(boundary: bytes, body: bytes | bytearray) -> bytes:
    several = MalformedBodyError(f"The form has several fields; it must have one, {FIELD}.")
    form = Form(1, several)
    form.read(boundary, body)
    if not form.images:
        raise MalformedBodyError(f"The form has no field {FIELD}.")
    return bytes(form.images[0])
