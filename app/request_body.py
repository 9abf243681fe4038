"""The three forms in which a capture may come, and the bytes of the image in it.

All of it stays in memory: nothing is spooled to disk, and nothing named by the caller is opened.
This file knows no model; whether the bytes are an image is for the core to say.
"""

import asyncio
import base64
import binascii
import math
import re
from dataclasses import dataclass, field
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from app.json_strings import LONGEST_ESCAPE, JsonReader, unescaped
from app.request_errors import (
    BodyTimeoutError,
    BodyTooLargeError,
    ClientLeftError,
    MalformedBodyError,
    RequestError,
    UnsupportedBodyError,
    UnsupportedEncodingError,
)
from serfiq_core.image_header import HEAD_BYTES

FIELD = "image"
"""The name of the one field, in forms and in JSON."""

IMAGE_MEDIA_TYPES = ("image/jpeg", "image/png", "image/webp", "image/bmp")

QUOTED_CHARS = 40
"""Of a caller's own words, as much as helps to find the mistake."""

MEMBER_START = re.compile(rb'\s*\{\s*"%s"\s*:\s*"' % FIELD.encode())
"""How the JSON of nearly everyone begins. Other spellings are understood too, later: they count as
the dearest capture that they may hold."""

PIECE_BYTES = 1024 * 1024
"""A form is read in pieces: looking through tens of megabytes in one go would keep every other
thread waiting, the event loop's too."""

MEMBER_START_BYTES = 256
"""Blanks may make it any length, which the event loop need not follow."""

HEAD_CHARS = 4 * HEAD_BYTES // 3 // 4 * 4
"""Of base64: whole groups of four, each of three bytes."""


async def read_body(request: Request, max_bytes: int, seconds: float) -> bytearray:
    """The whole body, as long as it is not too long. Not copied once more: for one of 64 MiB that
    would hold up the event loop for tens of milliseconds.

    Raises:
        UnsupportedEncodingError: it has a Content-Encoding, and so is not what its Content-Type
            says.
        BodyTooLargeError: announced in Content-Length, before a byte is read; or as soon as more
            than `max_bytes` have come.
        BodyTimeoutError: it was not complete after so many seconds.
        ClientLeftError: the caller hung up midway.
    """
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise UnsupportedEncodingError(
            f"Content-Encoding {quote(encoding)} is not taken: send the body as it is."
        )
    too_large = BodyTooLargeError(f"The body may have {max_bytes} bytes at most.")
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > max_bytes:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > max_bytes:
                    raise too_large
    except TimeoutError as error:
        raise BodyTimeoutError(f"The body did not come within {seconds:g} seconds.") from error
    except ClientDisconnect as error:
        raise ClientLeftError("The caller hung up before the body was complete.") from error
    return body


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
            boundary = body.find(parameters.get(b"boundary", b""))
            blank_line = body.find(b"\r\n\r\n", max(boundary, 0))
            start = blank_line + 4
            return None if blank_line < 0 else bytes(body[start : start + HEAD_BYTES])
        case "application/json":
            return _peek_json(body)
        case _:
            return bytes(body[:HEAD_BYTES])


def _peek_json(body: bytes | bytearray) -> bytes | None:
    start = MEMBER_START.match(body, 0, MEMBER_START_BYTES)
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
    text = reader.string()
    if text is None:
        raise MalformedBodyError(f"{FIELD} must be a string of base64.")
    reader.end_object()
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedBodyError(f"{FIELD} is not base64 (RFC 4648, section 4).") from error


def _image_of_form(boundary: bytes, body: bytes | bytearray) -> bytes:
    several = MalformedBodyError(f"The form has several fields {FIELD}; it must have one.")
    form = Form(1, several)
    form.read(boundary, body)
    if not form.images:
        raise MalformedBodyError(f"The form has no field {FIELD}.")
    return bytes(form.images[0])


@dataclass
class Form:
    """The images of a form. Stops at the first part that should not be there, so that a form of a
    hundred thousand parts costs no more than those it may have, and one.

    Args:
        most: parts.
        too_many: raised for one more.
        most_bytes: of each image, about: what comes after is left out.
    """

    most: int
    too_many: RequestError
    most_bytes: float = math.inf
    images: list[bytearray] = field(default_factory=list)
    ended: bool = False
    _header: bytearray = field(default_factory=bytearray)
    _value: bytearray = field(default_factory=bytearray)
    _name: str = ""

    def read(self, boundary: bytes, body: bytes | bytearray) -> None:
        """Fill in the images of a body.

        Raises:
            MalformedBodyError: it is no form, ends early, or has a field that is not taken.
            RequestError: `too_many`.
        """
        if not boundary:
            raise MalformedBodyError("The Content-Type names no boundary.")
        try:
            parser = MultipartParser(boundary, self._callbacks())
            with memoryview(body) as view:
                for start in range(0, len(view), PIECE_BYTES):
                    parser.write(bytes(view[start : start + PIECE_BYTES]))
            parser.finalize()
        except FormParserError as error:
            raise MalformedBodyError("The body is not multipart/form-data.") from error
        if not self.ended:
            raise MalformedBodyError("The form ends early.")

    def _callbacks(self) -> Any:
        return {
            "on_part_begin": self._begin_part,
            "on_header_field": self._add_header,
            "on_header_value": self._add_value,
            "on_header_end": self._end_header,
            "on_headers_finished": self._check_part,
            "on_part_data": self._add_to_image,
            "on_end": self._end,
        }

    def _begin_part(self) -> None:
        self._name = ""

    def _add_header(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _add_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            _, options = parse_options_header(bytes(self._value))
            self._name = options.get(b"name", b"").decode("utf-8", "replace")
        self._header.clear()
        self._value.clear()

    def _check_part(self) -> None:
        if self._name != FIELD:
            raise MalformedBodyError(
                f"The form has a field {quote(self._name)}; only {FIELD} is taken."
            )
        if len(self.images) == self.most:
            raise self.too_many
        self.images.append(bytearray())

    def _add_to_image(self, data: bytes, start: int, end: int) -> None:
        if len(self.images[-1]) <= self.most_bytes:
            self.images[-1] += data[start:end]

    def _end(self) -> None:
        self.ended = True


def quote(text: str) -> str:
    """A caller's own words, cut short."""
    return repr(text if len(text) <= QUOTED_CHARS else f"{text[:QUOTED_CHARS]}…")
