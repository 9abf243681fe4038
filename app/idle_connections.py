"""A connection of uvicorn's that does not stay open for nothing.

uvicorn's own timer stops at any byte and is set again only by the next answer. So a connection on
which nothing is ever sent would stay open for ever, as would one on which the body of a request
comes that was refused before it. This file knows no engine and no routes.
"""

import asyncio

from app.invalid_requests import QuietProtocol

KEEP_ALIVE_SECONDS = 75
"""From the opening, or from an answer, to the end of the next request's head. Longer than proxies
and pools of connections keep one in reserve, 60 seconds mostly: a request sent on a connection that
this end is closing is lost, and a POST is not sent again."""


class Connection(QuietProtocol):
    """One that has so long to send the head of a request; whatever else it sends gains no time."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Sets the timer, as uvicorn does after an answer."""
        super().connection_made(transport)
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def data_received(self, data: bytes) -> None:
        """As uvicorn's; but the timer goes on until a head is complete."""
        timer, self.timeout_keep_alive_task = self.timeout_keep_alive_task, None
        before = self.cycle
        super().data_received(data)
        if self.cycle is before:
            self.timeout_keep_alive_task = timer
        elif timer is not None:
            timer.cancel()
