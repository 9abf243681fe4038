"""The pipeline at work behind a server: loaded in the background, fed in batches, drained.

Phases: starting → ready → draining; or starting → failed. This file knows no routes and no bodies;
of the pipeline it knows only the protocol below.
"""

from __future__ import annotations

import asyncio
import io
import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from PIL import Image

from app.metrics import Metrics
from app.request_errors import DrainingError, LoadFailedError, StartingError
from app.settings import Settings
from serfiq_core.batching import BatchObservers, MicroBatcher
from serfiq_core.errors import EngineStoppedError, OverloadedError
from serfiq_core.types import (
    ALIGNED_SIDE_PX,
    AlignedFace,
    Assessment,
    Estimator,
    FaceScores,
    PipelineInfo,
    PreparedCapture,
)

if TYPE_CHECKING:
    from serfiq_core.pipeline import StageObserver

CLOSING_SECONDS = 1.0
"""For what is still running when the server is done with its connections: nobody waits for it."""

Phase = Literal["starting", "ready", "draining", "failed"]

logger = logging.getLogger(__name__)


class CapturePipeline(Protocol):
    """`serfiq_core.pipeline.Pipeline`, or its fake in `serfiq_core.testing`."""

    info: PipelineInfo
    observe: StageObserver | None

    def prepare(self, data: bytes, *, aligned: bool = False) -> PreparedCapture:
        """Decode, detect and align; on any thread."""
        ...

    def score(self, faces: Sequence[AlignedFace]) -> list[FaceScores]:
        """Score a batch; on the one thread that owns the device."""
        ...

    def decide(
        self,
        prepared: PreparedCapture,
        scores: FaceScores | None,
        *,
        estimator: Estimator | None = None,
        profile: str | None = None,
    ) -> Assessment:
        """Calibrate and decide; on any thread."""
        ...


@dataclass(frozen=True, slots=True)
class _Loaded:
    pipeline: CapturePipeline
    batcher: MicroBatcher[AlignedFace, FaceScores]


class Engine:
    """One pipeline, the threads that serve it, and how many requests may be on their way."""

    def __init__(
        self, settings: Settings, metrics: Metrics, load: Callable[[], CapturePipeline]
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._load = load
        self._loaded: _Loaded | None = None
        self.failed = False
        """Whether the pipeline could not be loaded."""
        self._draining = False
        self._permits = _Permits(settings.max_in_flight)
        # Started by the first request: by then the device thread has taken its own torch threads.
        self._workers = ThreadPoolExecutor(
            settings.prepare_workers, "prepare", initializer=_use_one_torch_thread
        )
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
    def started(self) -> bool:
        """Whether the pipeline was loaded and warmed up; never unsaid."""
        return self._loaded is not None

    @property
    def alive(self) -> bool:
        """False once the device thread has died; only a new process helps then."""
        return self._loaded is None or self._draining or self._loaded.batcher.alive

    @property
    def in_flight(self) -> int:
        """Requests that hold a permit."""
        return self._permits.taken

    @property
    def pipeline(self) -> CapturePipeline:
        """The pipeline.

        Raises:
            NotReadyError: starting, draining, or it could not be loaded.
            EngineStoppedError: the device thread has died.
        """
        return self._ready().pipeline

    def start(self) -> None:
        """Loads the pipeline in the background."""
        threading.Thread(target=self._load_and_warm_up, name="load", daemon=True).start()

    def begin_draining(self) -> None:
        """Refuses new work from now on. Sets a flag only, so that a signal handler may call it."""
        self._draining = True

    def close(self) -> None:
        """Stops all threads. What is still running is given a moment, then abandoned."""
        self.begin_draining()
        self._workers.shutdown(wait=False, cancel_futures=True)
        if self._loaded is not None:
            self._loaded.batcher.close(CLOSING_SECONDS)

    async def assess(
        self,
        prepare: Callable[[CapturePipeline], PreparedCapture],
        *,
        estimator: Estimator | None,
        profile: str | None,
        deadline: float,
    ) -> Assessment:
        """Assesses one capture, or refuses at once when too many are on their way.

        Cancelling drops the work, as long as no batch has it.

        Args:
            prepare: makes the capture ready for the recogniser; runs on a worker thread.
            estimator: whose score decides; None for the pipeline's own.
            profile: by name; None for the default.
            deadline: monotonic seconds after which the device need not begin.

        Raises:
            SerfiqError: of the capture, or of the engine.
            NotReadyError: starting, draining, or the pipeline could not be loaded.
        """
        loaded = self._ready()
        if not self._permits.take():
            raise OverloadedError(
                f"{self._settings.max_in_flight} captures are on their way already.",
                loaded.batcher.estimate_wait_seconds(self.in_flight),
            )
        preparing = self._workers.submit(prepare, loaded.pipeline)
        try:
            prepared = await asyncio.wrap_future(preparing)
            scores = None
            if prepared.aligned is not None:
                scores = await asyncio.wrap_future(
                    loaded.batcher.submit(prepared.aligned, deadline)
                )
            return loaded.pipeline.decide(prepared, scores, estimator=estimator, profile=profile)
        finally:
            # A worker cannot be interrupted: the permit of a caller who left stays taken until his
            # worker is free, or the workers' queue would have no bound.
            preparing.add_done_callback(self._give_permit_back)

    def _give_permit_back(self, _: Future[PreparedCapture]) -> None:
        self._permits.give_back()

    def _ready(self) -> _Loaded:
        if self._draining:
            raise DrainingError("The service is shutting down; ask another one.")
        if self.failed:
            raise LoadFailedError("The model could not be loaded; the log says why.")
        if self._loaded is None:
            raise StartingError("The model is being loaded; try again in a moment.")
        if not self.alive:
            raise EngineStoppedError("The device thread has died; the log says why.")
        return self._loaded

    def _load_and_warm_up(self) -> None:
        try:
            pipeline = self._load()
            loaded = _Loaded(pipeline, self._make_batcher(pipeline))
            _warm_up(loaded)
        except BaseException:
            # Whatever it was: without a model there is no service, and the probes must say so.
            logger.critical("the model could not be loaded", exc_info=True)
            self.failed = True
            return
        pipeline.observe = self._metrics.observe_stage
        self._metrics.describe_model(pipeline.info)
        self._loaded = loaded
        logger.info(
            "ready", extra={"fields": {"pack": pipeline.info.pack, "device": pipeline.info.device}}
        )

    def _make_batcher(self, pipeline: CapturePipeline) -> MicroBatcher[AlignedFace, FaceScores]:
        return MicroBatcher(
            pipeline.score,
            max_batch_size=self._settings.max_batch_size,
            # Never full before the permits are: refusals come before any decoding.
            capacity=self._settings.max_in_flight,
            observers=BatchObservers(
                batch_size=self._metrics.observe_batch_size,
                queue_depth=self._metrics.observe_queue_depth,
                queue_seconds=self._metrics.observe_queue_seconds,
            ),
        )


def _use_one_torch_thread() -> None:
    """For the calling thread. Workers are as many as cores; with more threads they would fight."""
    import torch

    torch.set_num_threads(1)


def _warm_up(loaded: _Loaded) -> None:
    """One grey capture and one grey face: kernels are chosen and memory is taken before the first
    caller comes, and what cannot run at all fails here."""
    grey = io.BytesIO()
    Image.new("RGB", (640, 480), "grey").save(grey, "BMP")
    loaded.pipeline.prepare(grey.getvalue())
    face = np.full((ALIGNED_SIDE_PX, ALIGNED_SIDE_PX, 3), 128, np.uint8)
    loaded.batcher.submit(face).result()


class _Permits:
    """How many requests may be on their way; taken and given back on any thread."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._lock = threading.Lock()
        self.taken = 0

    def take(self) -> bool:
        with self._lock:
            granted = self.taken < self._count
            self.taken += granted
        return granted

    def give_back(self) -> None:
        with self._lock:
            self.taken -= 1
