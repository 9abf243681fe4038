"""The pipeline at work behind a server, from its loading in the background to its end.

Phases: starting → ready → draining; or starting → failed. How a capture is assessed, `jobs.py`
knows; of the pipeline this file knows only the protocol in `device.py`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Literal

from app.cores import Cores
from app.device import CapturePipeline, Device
from app.jobs import Job, Jobs
from app.metrics import Metrics
from app.request_errors import DrainingError, LoadFailedError, StartingError
from app.settings import Settings
from serfiq_core.errors import EngineError, EngineStoppedError
from serfiq_core.types import Assessment, PipelineInfo

CLOSING_SECONDS = 1.0
"""For what is still running when the server is done with its connections: nobody waits for it."""

Phase = Literal["starting", "ready", "draining", "failed"]

logger = logging.getLogger(__name__)


class Engine:
    """One pipeline, and whether it can answer.

    Args:
        settings: all there is to set.
        metrics: told what happens.
        load: makes the pipeline.
        clock: monotonic seconds; deadlines are read on it.
    """

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        load: Callable[[], CapturePipeline],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._load = load
        self._clock = clock
        self._loaded: Device | None = None
        self.failed = False
        """Whether the pipeline could not be loaded."""
        self._draining = False
        self._cores = Cores()
        self._jobs = Jobs(settings, metrics, self._cores, clock)
        metrics.follow_readiness(lambda: self.phase == "ready" and self.alive)

    @property
    def phase(self) -> Phase:
        """What stands between this engine and an answer, if anything."""
        if self._draining:
            return "draining"
        if self.failed:
            return "failed"
        return "starting" if self._loaded is None else "ready"

    @property
    def alive(self) -> bool:
        """False once it has died, and while the device is stuck in a batch."""
        return self._trouble() is None

    @property
    def died(self) -> bool:
        """Whether the device thread, or all that prepares captures, has died before anybody asked
        it to end."""
        return not self._draining and self.ending is not None

    @property
    def ending(self) -> Exception | None:
        """Why whoever is cut off at the end has no answer; None while it goes on."""
        if self._draining:
            return DrainingError("The service shut down before this was answered.")
        trouble = self._trouble()
        return trouble if isinstance(trouble, EngineStoppedError) else None

    @property
    def in_flight(self) -> int:
        """Captures accepted and not yet answered, or still in the hands of a worker."""
        return self._jobs.in_flight

    @property
    def info(self) -> PipelineInfo:
        """What its scores depend on.

        Raises:
            NotReadyError, EngineStoppedError, EngineStalledError: as for `check_ready`.
        """
        return self._ready().pipeline.info

    def check_started(self) -> None:
        """Says why the pipeline is not loaded and warm; silent for ever once it is.

        Raises:
            LoadFailedError: it could not be loaded.
            StartingError: not yet.
        """
        self._started()

    def check_ready(self) -> None:
        """Says why nobody can be answered now.

        Raises:
            NotReadyError: starting, draining, or the pipeline could not be loaded.
            EngineStoppedError: it has died.
            EngineStalledError: the device is stuck in a batch.
        """
        self._ready()

    def check_alive(self) -> None:
        """Says why it is not alive.

        Raises:
            EngineStoppedError: it has `died`; only a new process helps.
            EngineStalledError: the batch being run takes too long.
        """
        if trouble := self._trouble():
            raise trouble

    def check_room(self) -> None:
        """Refuses where no capture could be accepted, however small: before its body is read.

        Raises:
            NotReadyError, EngineStoppedError, EngineStalledError: as for `check_ready`.
            OverloadedError: says when to try again.
        """
        self._ready()
        self._jobs.check_room()

    def start(self) -> None:
        """Loads the pipeline in the background."""
        threading.Thread(target=self._load_and_warm_up, name="load", daemon=True).start()

    def begin_draining(self) -> None:
        """Refuses new work from now on. Sets a flag only, so that a signal handler may call it."""
        self._draining = True

    def close(self) -> None:
        """Stops all threads. What is still running is given a moment, then abandoned."""
        self.begin_draining()
        self._jobs.close()
        if self._loaded is not None:
            self._loaded.batcher.close(CLOSING_SECONDS)

    async def assess(self, job: Job, *, deadline: float) -> Assessment:
        """As `Jobs.assess`.

        Raises:
            NotReadyError, EngineStoppedError, EngineStalledError: as for `check_ready`.
        """
        return await self._jobs.assess(self._ready(), job, deadline)

    async def assess_batch(
        self, take_apart: Callable[[], Sequence[Job]], *, work: float, deadline: float
    ) -> list[Assessment | Exception]:
        """As `Jobs.assess_batch`.

        Raises:
            NotReadyError, EngineStoppedError, EngineStalledError: as for `check_ready`.
        """
        return await self._jobs.assess_batch(self._ready(), take_apart, work, deadline)

    def _ready(self) -> Device:
        if self._draining:
            raise DrainingError("The service is shutting down; ask another one.")
        device = self._started()
        self.check_alive()
        return device

    def _started(self) -> Device:
        if self.failed:
            raise LoadFailedError("The model could not be loaded; the log says why.")
        if self._loaded is None:
            raise StartingError("The model is being loaded; try again in a moment.")
        return self._loaded

    def _trouble(self) -> EngineError | None:
        if self._loaded is None or self._draining:
            return None
        return self._jobs.trouble or self._loaded.trouble(self._settings.patience_seconds)

    def _load_and_warm_up(self) -> None:
        try:
            pipeline = self._load()
            most = self._settings.max_batch_size
            device = Device(
                pipeline, self._cores, lambda: self.in_flight, most, self._metrics, self._clock
            )
            device.warm_up()
        except BaseException as error:
            if self._draining and isinstance(error, EngineStoppedError):
                return  # its workers were taken away: this is the end that was asked for
            # Whatever it was: without a model there is no service, and the probes must say so.
            logger.critical("the model could not be loaded: %s", error, exc_info=True)
            self.failed = True
            return
        pipeline.observe = self._metrics.observe_stage
        self._metrics.describe_model(pipeline.info, self._settings.shadow_profile)
        self._loaded = device
        info, size = pipeline.info, device.batcher.max_batch_size
        fields = {"pack": info.pack, "device": info.device, "max_batch_size": size}
        logger.info("ready", extra={"fields": fields})
