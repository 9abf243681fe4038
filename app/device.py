"""A pipeline and the one thread that owns its device: batches of faces, their size, their trouble.

This file knows no phases, no admission and no HTTP.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from app.cores import Cores
from app.metrics import Metrics
from serfiq_core.errors import (
    DeviceMemoryError,
    EngineError,
    EngineStalledError,
    EngineStoppedError,
)
from serfiq_core.scheduling.batch_size import best_batch_size
from serfiq_core.scheduling.batching import BatchObservers, MicroBatcher
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

LARGEST_BATCH_SIZE = 64
"""No larger one is tried at start: the queue of the default settings holds no more faces."""

WORTHWHILE_BATCH = 4
"""Faces worth waiting for: in a batch of 4 a face costs `compact` half of what it costs alone, and
in one of 8 only a seventh less than that."""

LONGEST_WAIT_SECONDS = 0.05
"""Of a face for others."""

CROWDED_FROM = 2 * WORTHWHILE_BATCH
"""Captures on their way: where there are fewer, waiting seldom brings another face."""

GREY_FACE: AlignedFace = np.full((ALIGNED_SIDE_PX, ALIGNED_SIDE_PX, 3), 128, np.uint8)
"""For warming up and for measuring: what a network computes takes as long for any face."""

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

    def gradient_map(self, face: AlignedFace) -> npt.NDArray[np.float32] | None:
        """Of the mean distance with respect to the pixels; on that thread too."""
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


@dataclass(frozen=True, slots=True, eq=False)
class FaceTask:
    """What the device is to do with one face."""

    aligned: AlignedFace
    with_gradient: bool = False


class Device:
    """Scores the faces of one pipeline; its thread starts at once.

    Args:
        pipeline: whose `score` and `gradient_map` are called on that thread only.
        cores: those that are left are torch's, batch by batch.
        in_flight: captures accepted and not yet answered.
        max_batch_size: most faces in one batch; None to find the best one out.
        metrics: told of every batch.
        clock: monotonic seconds; deadlines are read on it.
    """

    def __init__(
        self,
        pipeline: CapturePipeline,
        cores: Cores,
        in_flight: Callable[[], int],
        max_batch_size: int | None,
        metrics: Metrics,
        clock: Callable[[], float],
    ) -> None:
        self.pipeline = pipeline
        self._cores = cores
        self._in_flight = in_flight
        self._clock = clock
        self.batcher: MicroBatcher[FaceTask, FaceScores] = MicroBatcher(
            self._score,
            max_batch_size=partial(self._batch_size, max_batch_size),
            lost=self._lost,
            patience=self._patience,
            observers=BatchObservers(
                batch_size=metrics.observe_batch_size,
                queue_depth=metrics.observe_queue_depth,
                queue_seconds=metrics.observe_queue_seconds,
                max_batch_size=metrics.observe_max_batch_size,
            ),
            clock=clock,
        )

    def warm_up(self) -> None:
        """One grey face and one grey capture: kernels are chosen and memory is taken before the
        first caller comes, and what cannot run at all fails here. The face first: it waits until
        the size of batches has been measured, which a detector at work would disturb."""
        on_gpu = self.pipeline.info.device == "cuda"  # which also chooses kernels for gradients
        self.submit(FaceTask(GREY_FACE, with_gradient=on_gpu)).result()
        grey = io.BytesIO()
        Image.new("RGB", (640, 480), "grey").save(grey, "BMP")
        self.pipeline.prepare(grey.getvalue())

    def submit(self, task: FaceTask, deadline: float | None = None) -> Future[FaceScores]:
        """As `MicroBatcher.submit`.

        Raises:
            EngineStoppedError: closed, or the thread has died.
        """
        return self.batcher.submit(task, deadline)

    def trouble(self, patience_seconds: float) -> EngineError | None:
        """Why nothing comes of it: the thread has died, or is at one batch for longer than that."""
        if not self.batcher.alive:
            return EngineStoppedError("The device thread has died; the log says why.")
        since = self.batcher.running_since
        if since is not None and self._clock() - since > patience_seconds:
            return EngineStalledError(
                f"The device has been at one batch for more than {patience_seconds:g} seconds."
            )
        return None

    def _batch_size(self, chosen: int | None) -> int:
        """As it was chosen, or the best. A GPU has met each size then: it would keep callers
        waiting for what it prepares at the first batch of a size."""

        def run(size: int) -> object:
            self._cores.compute_on_the_rest()
            return self.pipeline.score([GREY_FACE] * size)

        if chosen is None:
            return best_batch_size(run, LARGEST_BATCH_SIZE)
        if self.pipeline.info.device == "cuda":
            with suppress(DeviceMemoryError):  # smaller batches will do
                for size in sorted({chosen, *(1 << k for k in range(chosen.bit_length()))}):
                    run(size)
        return chosen

    def _lost(self) -> bool:
        """As `MicroBatcher` asks, after a batch failed."""
        if self.pipeline.info.device != "cuda":
            return False
        from serfiq_core.gpu.lost import is_lost

        return is_lost()

    def _patience(self, waiting: int) -> float:
        """As `MicroBatcher` asks. In a crowd a face waits for a core as everything does, and is
        joined meanwhile by others, beside whom it costs less. Otherwise it begins at once."""
        crowded = self._cores.all_taken and self._in_flight() >= CROWDED_FROM
        return LONGEST_WAIT_SECONDS if crowded and waiting < WORTHWHILE_BATCH else 0.0

    def _score(self, tasks: list[FaceTask]) -> list[FaceScores]:
        self._cores.compute_on_the_rest()
        scores = self.pipeline.score([task.aligned for task in tasks])
        return [
            replace(each, gradient_map=self._gradient_map(task.aligned))
            if task.with_gradient
            else each
            for task, each in zip(tasks, scores, strict=True)
        ]

    def _gradient_map(self, face: AlignedFace) -> npt.NDArray[np.float32] | None:
        """None where it cannot be had, for lack of memory say: those in the batch who asked for
        none are owed their scores, and a smaller batch would change nothing."""
        try:
            return self.pipeline.gradient_map(face)
        except Exception:
            logger.warning("a gradient map was left out", exc_info=True)
            return None
