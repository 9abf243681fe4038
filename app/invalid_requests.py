"""How a connection ends on which comes what is no HTTP, or a body in crumbs.

The event loop spends as much on a chunk of one byte as on one of thousands. Whoever sends byte by
byte would keep it busy with a narrow line, and may go on when the answer is there. This file knows
no engine and no routes.
"""

from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

LEAST_CHUNK_BYTES = 64
"""For each chunk of a body beyond the free ones, at any point of it. Most callers send thousands at
a time; even an image that is sent line by line, as iterating over a file does, has some 256."""

FREE_CHUNKS = 128
"""Of each body, whatever their size: they cost the event loop about as much as the request."""


class BoundedChunks(h11.Connection):
    """A connection that takes no body of many more chunks than its bytes are worth."""

    _spare_bytes = 0

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """As h11's.

        Raises:
            RemoteProtocolError: also for a body in crumbs.
        """
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._spare_bytes = FREE_CHUNKS * LEAST_CHUNK_BYTES
        elif isinstance(event, h11.Data):
            self._spare_bytes += len(event.data) - LEAST_CHUNK_BYTES * event.chunk_start
            if self._spare_bytes < 0:
                raise h11.RemoteProtocolError("the body comes in crumbs")
        return event


class QuietProtocol(H11Protocol):
    """One that tells its caller, where he can still be told, and nobody else."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.conn = BoundedChunks(h11.SERVER)

    def send_400_response(self, msg: str) -> None:
        """As uvicorn's. Where an answer was begun or given, there is no room for another, and the
        connection just ends."""
        try:
            super().send_400_response(msg)
        except h11.LocalProtocolError:
            self.transport.abort()
        if self.cycle is not None:
            # What the app still says is dropped: h11 would raise, and uvicorn log a traceback.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
