"""Answers that are the last on their connection: all of them while the service ends.

Callers who keep connections, and balancers that choose an instance for each new one, would else
come back to this instance and be refused until its sockets close. Pure ASGI; this file knows no
engine.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LINGER_SECONDS = 2.0
"""For the rest of a refused body, to a caller who reads no answer before all is sent. A socket that
is closed with bytes unread resets the connection, and the answer may be lost with it."""


class ConnectionClose:
    """Wraps an app.

    Args:
        app: whose answers they are.
        ending: asked as each answer begins: None while the service goes on.
    """

    def __init__(self, app: ASGIApp, ending: Callable[[], object | None]) -> None:
        self._app = app
        self._ending = ending

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or whatever else ASGI sends through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        closing = all_received = False

        async def receive_and_note() -> Message:
            nonlocal all_received
            message = await receive()
            all_received = not message.get("more_body", False)
            return message

        async def send_and_close(message: Message) -> None:
            nonlocal closing
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if self._ending() is not None:
                    headers["Connection"] = "close"
                closing = headers.get("Connection") == "close"
            ends = message["type"] == "http.response.body" and not message.get("more_body", False)
            if closing and ends and not all_received:
                # All of the answer, but not its end, at which the server closes the connection.
                await send({**message, "more_body": True})
                await _swallow(receive)
                message = {"type": "http.response.body", "body": b""}
            await send(message)

        await self._app(scope, receive_and_note, send_and_close)


async def _swallow(receive: Receive) -> None:
    """The rest of a body, for a while; until the server ends, at most, which cancels it."""
    with suppress(TimeoutError, asyncio.CancelledError):
        async with asyncio.timeout(LINGER_SECONDS):
            while (await receive()).get("more_body", False):
                pass
