"""Strings in JSON, read one after the other from a body of any size.

`json.loads` would build whatever a caller nests, and keep every other thread waiting meanwhile, the
event loop's too: of 10 MiB of empty lists for three seconds. Nothing is built here but the strings
that are asked for.
"""

import base64
import json
import re

from app.request_errors import MalformedBodyError

BLANKS = re.compile(rb"[ \t\n\r]{0,65536}")
"""So many at a time: nothing else runs while an expression is being matched."""

PIECE_BYTES = 1024 * 1024
"""Escapes are undone in pieces, for the same reason."""

UTF8_BOM = b"\xef\xbb\xbf"
"""Some clients write it in front; RFC 8259 lets it be ignored."""

LONGEST_ESCAPE = len(rb"\u0041")


class JsonReader:
    """Reads the marks and the strings of JSON one after the other, and nothing else of it.

    Args:
        body: the JSON, in UTF-8.
        refusal: raised for anything that was not expected.
    """

    def __init__(self, body: bytes | bytearray, refusal: MalformedBodyError) -> None:
        self._body = body
        self._refusal = refusal
        self._at = len(UTF8_BOM) if body.startswith(UTF8_BOM) else 0

    def take(self, mark: bytes) -> bool:
        """Whether this comes next, blanks aside; goes beyond it."""
        self._skip_blanks()
        if not self._body.startswith(mark, self._at):
            return False
        self._at += len(mark)
        return True

    def expect(self, mark: bytes) -> None:
        """Goes beyond what must come next."""
        if not self.take(mark):
            raise self._refusal

    def begin_object(self, member: bytes) -> None:
        """Goes beyond the beginning of an object, up to the value of its one member."""
        self.expect(b"{")
        if self.string() != member:
            raise self._refusal
        self.expect(b":")

    def end_object(self) -> None:
        """Goes beyond the end of that object, which is the end of the body."""
        self.expect(b"}")
        self._skip_blanks()
        if self._at != len(self._body):
            raise self._refusal

    def string(self) -> bytes | None:
        """The string that comes next, without its escapes; None when something else does."""
        if not self.take(b'"'):
            return None
        # No string of interest has a quote in it, so that the next one is the end.
        start, end = self._at, self._body.find(b'"', self._at)
        if end < 0:
            raise self._refusal
        self._at = end + 1
        try:
            return unescaped(bytes(self._body[start:end]))
        except ValueError as error:
            raise self._refusal from error

    def _skip_blanks(self) -> None:
        while blanks := BLANKS.match(self._body, self._at):
            if blanks.end() == self._at:
                return
            self._at = blanks.end()


def unescaped(text: bytes) -> bytes:
    """What stands between the quotes of a string that has no quote and no backslash in it.

    Raises:
        ValueError: it is no such string.
    """
    # JSON may write a slash as \/, and some libraries always do.
    text = text.replace(b"\\/", b"/")
    if b"\\" not in text:
        return text
    pieces, start = [], 0
    while start < len(text):
        end = start + PIECE_BYTES
        if end < len(text):
            cut = text.rfind(b"\\", end - LONGEST_ESCAPE + 1, end)
            end = end if cut < 0 else cut
        piece: str = json.loads(b'"' + text[start:end] + b'"')
        pieces.append(piece.encode())
        start = end
    return b"".join(pieces)


def base64_bytes(text: bytes | None, place: str) -> bytes:
    """The bytes that a string of base64 stands for.

    Args:
        text: what `JsonReader.string` gave.
        place: where in the document, for the message.

    Raises:
        MalformedBodyError: there was no string, or it is not base64.
    """
    if text is None:
        raise MalformedBodyError(f"{place} must be a string of base64.")
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise MalformedBodyError(f"{place} is not base64 (RFC 4648, section 4).") from error
