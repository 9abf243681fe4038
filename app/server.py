"""uvicorn, with an orderly end.

On SIGTERM or SIGINT the service first drains: `/readyz` turns 503 and new captures are refused, on
connections old and new, until the accepted ones are answered or the grace is nearly over. Then the
sockets close. A second signal closes them at once. When the model cannot be loaded, the server
ends by itself.
"""

import time
from types import FrameType

import uvicorn

from app.engine import CLOSING_SECONDS, Engine

CONNECTIONS_SECONDS = 1
"""For answers to be sent, at the end: they are small, and computed already. uvicorn counts whole
seconds."""


class DrainingServer(uvicorn.Server):
    """Serves until the engine has drained.

    Args:
        config: uvicorn's.
        engine: whose accepted work is finished first.
        grace_seconds: from the first signal to the end of the process.
    """

    def __init__(self, config: uvicorn.Config, engine: Engine, grace_seconds: float) -> None:
        super().__init__(config)
        self._engine = engine
        self._drain_seconds = max(0.0, grace_seconds - CONNECTIONS_SECONDS - CLOSING_SECONDS)
        self._drained_at: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal starts the draining; further ones are uvicorn's."""
        if self._drained_at is not None:
            super().handle_exit(sig, frame)
            return
        self._engine.begin_draining()
        self._drained_at = time.monotonic() + self._drain_seconds

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: True ends the server."""
        if self._engine.phase == "failed" or self._is_drained():
            self.should_exit = True
        return await super().on_tick(counter)

    def _is_drained(self) -> bool:
        if self._drained_at is None:
            return False
        return self._engine.in_flight == 0 or time.monotonic() >= self._drained_at
