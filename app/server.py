"""uvicorn, with an orderly end.

On SIGTERM or SIGINT the service first drains: `/readyz` turns 503 and new captures are refused, on
connections old and new, until the accepted ones are assessed or the grace is nearly over. Then the
sockets close; answers that are still drawn or sent have what is left of the grace. A second signal
closes all at once. When the model cannot be loaded, the server ends by itself; and when the engine
has died, as soon as those who waited have been told.
"""

import logging
import time
from types import FrameType
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from app.engine import CLOSING_SECONDS, Engine
from app.idle_connections import KEEP_ALIVE_SECONDS, Connection

CONNECTIONS_SECONDS = 1
"""At least, for answers to be sent. uvicorn counts whole seconds."""

logger = logging.getLogger(__name__)


def configured(app: ASGIApp, **options: Any) -> uvicorn.Config:
    """How the service speaks HTTP; `options` are further ones of uvicorn's.

    With h11, although httptools takes 0.07 ms less for a capture: that one bounds no head, so that
    one of megabytes holds up everybody, and drops the body of a request that offers an upgrade, as
    the HTTP client of Java does unless told otherwise.
    """
    return uvicorn.Config(
        app,
        http=Connection,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        **options,
    )


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
        self._signalled = False
        self._told = False
        self.broken = False
        """Whether it ends since the engine has died."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """The first signal starts the draining; a further one ends everything."""
        if self._signalled:
            self.should_exit = self.force_exit = True
            return
        self._signalled = True
        self._engine.begin_draining()
        self._end_when_answered()

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: True ends the server."""
        if self._engine.phase == "failed":
            self.should_exit = True
        if self._engine.died and not self.broken:
            # Orchestrators restart what ended, and not all of them what answers no probe.
            logger.critical("nothing is assessed any more, and only a new process helps: ending")
            self.broken = self._told = True
            self._end_when_answered()
        if self._answered_at is not None:
            self._tell()
            left = self._answered_at - time.monotonic()
            if self._engine.in_flight == 0 or left <= CONNECTIONS_SECONDS:
                self.config.timeout_graceful_shutdown = max(CONNECTIONS_SECONDS, int(left))
                self.should_exit = True
        return await super().on_tick(counter)

    def _end_when_answered(self) -> None:
        if self._answered_at is None:
            self._answered_at = time.monotonic() + self._answer_seconds

    def _tell(self) -> None:
        """Once. Not where the signal is handled: that may be in the middle of another line."""
        if not self._told:
            fields = {"in_flight": self._engine.in_flight}
            logger.info("draining", extra={"fields": fields})
            self._told = True
