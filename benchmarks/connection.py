"""HTTP/1.1 from the client's side, as little of it as a load needs.

The client shares its cores with the server it loads, so it does no more than find the status and
the end of each answer. It takes answers with a Content-Length only.
"""

import asyncio
import re
from collections.abc import Sequence
from itertools import cycle
from typing import cast

HOST = "127.0.0.1"

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)

CLOSING = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)

STATUS = slice(9, 12)
"""Where the digits stand in `HTTP/1.1 200 OK`."""


class Connection(asyncio.Protocol):
    """A connection that is kept alive, with one request on its way at most."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._answer: asyncio.Future[int] | None = None

    @classmethod
    async def open(cls, port: int) -> "Connection":
        """Connects to a server on this machine.

        Raises:
            OSError: nobody listens.
        """
        _, connection = await asyncio.get_running_loop().create_connection(cls, HOST, port)
        return connection

    @property
    def usable(self) -> bool:
        """Whether a request may be sent now."""
        return self._transport is not None and self._answer is None

    def ask(self, request: bytes) -> asyncio.Future[int]:
        """Sends a request, when there is none on its way.

        The future holds the status once the whole answer has come, or a ConnectionError.
        """
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        if self._transport is None:
            answer.set_exception(ConnectionError("hung up before a request was sent"))
        else:
            self._answer = answer
            self._transport.write(request)
        return answer

    def close(self) -> None:
        """Hangs up."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        # uvloop's transports are no subclass of asyncio's.
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio: whoever waits for an answer hears of it."""
        self._transport = None
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_exception(ConnectionError(f"hung up before an answer was complete: {exc}"))

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        length = LENGTH.search(self._received, 0, end)
        if length is None:
            self.close()
            return
        if len(self._received) < end + 4 + int(length[1]):
            return
        status = int(self._received[STATUS])
        if CLOSING.search(self._received, 0, end):
            self.close()
        self._received.clear()
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_result(status)


class Requests:
    """Prepared requests, handed out in turn.

    Args:
        path: of the route.
        media_type: of the bodies.
        bodies: at least one.
    """

    def __init__(self, path: str, media_type: str, bodies: Sequence[bytes]) -> None:
        self._next = cycle([_post(path, media_type, body) for body in bodies])

    def take(self) -> bytes:
        """The next one."""
        return next(self._next)


def get(path: str) -> bytes:
    """A request without a body."""
    return f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()


def _post(path: str, media_type: str, body: bytes) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {HOST}\r\n"
        f"Content-Type: {media_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
