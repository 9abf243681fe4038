"""A server in the test's own event loop that answers what the test says."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

Answer = Callable[[bytes], Awaitable[int | None]]
"""From a body to a status; None hangs up."""


@asynccontextmanager
async def stub_server(answer: Answer, *, keep_alive: bool = True) -> AsyncIterator[int]:
    """Serves while entered; gives its port. Without `keep_alive`, one answer a connection."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                status = await answer(await _read_body(reader))
                if status is None:
                    return
                for part in _response(status, keep_alive):
                    writer.write(part)
                    await writer.drain()
                if not keep_alive:
                    return
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the caller hung up, or the test is over
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def _read_body(reader: asyncio.StreamReader) -> bytes:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
    return await reader.readexactly(int(length or 0))


def _response(status: int, keep_alive: bool) -> tuple[bytes, ...]:
    """In pieces that end where a parser might trip: within a name, a line end and a body."""
    body = b'{"status": 200}\r\n\r\n'
    lines = [f"HTTP/1.1 {status} Known", "X-Length: 1", f"Content-Length: {len(body)}"]
    head = "\r\n".join([*lines, *([] if keep_alive else ["Connection: close"]), "", ""])
    whole = head.encode() + body
    return whole[:30], whole[30 : len(head) - 1], whole[len(head) - 1 : -3], whole[-3:]
