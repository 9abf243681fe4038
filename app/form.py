"""The images of a form, `multipart/form-data`, read part after part from a body of any size.

All of it stays in memory: nothing is spooled to disk, and nothing named by the caller is opened.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from app.request_errors import MalformedBodyError, RequestError, quote

FIELD = "image"
"""The name of the one field that is taken; in JSON, of the one member of a single capture."""

PIECE_BYTES = 16 * 1024
"""A form is read in pieces: looking through tens of megabytes in one go would keep every other
thread waiting, the event loop's too. So would the blanks behind a delimiter, which the parser takes
one by one: a piece of which it makes nothing is the last."""


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
    images: list[bytearray] = field(default_factory=list, init=False)
    _ended: bool = field(default=False, init=False)
    _progressed: bool = field(default=False, init=False)
    _header: bytearray = field(default_factory=bytearray, init=False)
    _value: bytearray = field(default_factory=bytearray, init=False)
    _name: str = field(default="", init=False)

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
            for piece in self._pieces(b"\r\n--" + boundary, body):
                self._progressed = False
                parser.write(piece)
                if self._ended or not self._progressed:
                    break
            parser.finalize()
        except FormParserError as error:
            raise MalformedBodyError("The body is not multipart/form-data.") from error
        if not self._ended:
            raise MalformedBodyError("The form ends early.")

    def _pieces(self, delimiter: bytes, body: bytes | bytearray) -> Iterator[bytes]:
        """An image holds no delimiter (RFC 2046, section 5.1), but may be full of what begins like
        one: the parser would take it byte by byte."""
        delimiters = 0
        with memoryview(body) as view:
            for start in range(0, len(view), PIECE_BYTES):
                piece = bytes(view[start : start + PIECE_BYTES])
                delimiters += piece.count(delimiter)
                if delimiters > self.most + 1:
                    raise self.too_many
                yield piece

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
        self._progressed = True
        self._header += data[start:end]

    def _add_value(self, data: bytes, start: int, end: int) -> None:
        self._progressed = True
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
        self._progressed = True
        if len(self.images[-1]) <= self.most_bytes:
            self.images[-1] += data[start:end]

    def _end(self) -> None:
        self._ended = True
