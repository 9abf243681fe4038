"""uvicorn, with an orderly end.

On SIGTERM or SIGINT the service first drains: `/readyz` turns 503 and new captures are refused, on
connections old and new, until the accepted ones are assessed or the grace is nearly over. Then the
sockets close; answers that are still drawn or sent have what is left of the grace. A second signal
closes all at once. When the model cannot be loaded, the server ends by itself.
"""

import time
from types import FrameType

import uvicorn

from app.engine import CLOSING_SECONDS, Engine

CONNECTIONS_SECONDS = 1
"""At least, for answers to be sent. uvicorn counts whole seconds."""


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
        self._answer_seconds = max(CONNECTIONS_SECONDS, grace_seconds - CLOSING_SECONDS)
        self._answered_at: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal starts the draining; further ones are uvicorn's."""
        if self._answered_at is not None:
            super().handle_exit(sig, frame)
            return
        self._engine.begin_draining()
        self._answered_at = time.monotonic() + self._answer_seconds

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: True ends the server."""
        if self._engine.phase == "failed":
            self.should_exit = True
        if self._answered_at is not None:
            left = self._answered_at - time.monotonic()
            if self._engine.in_flight == 0 or left <= CONNECTIONS_SECONDS:
                self.config.timeout_graceful_shutdown = max(CONNECTIONS_SECONDS, int(left))
                self.should_exit = True
        return await super().on_tick(counter)
