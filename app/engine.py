"""The pipeline at work behind a server: loaded in the background, fed by its workers, drained.

Phases: starting → ready → draining; or starting → failed. This file knows no routes and no bodies;
of the pipeline it knows only the protocol in `device.py`.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from app.cores import Cores
from app.device import CapturePipeline, Device, FaceTask
from app.metrics import Metrics
from app.request_errors import DrainingError, LoadFailedError, StartingError
from app.settings import Settings
from serfiq_core.errors import DeadlineExceededError, EngineError, EngineStoppedError
from serfiq_core.scheduling.admission import Admission
from serfiq_core.scheduling.work import LEAST_WORK
from serfiq_core.types import Assessment, Estimator, PipelineInfo, PreparedCapture

CLOSING_SECONDS = 1.0
"""For what is still running when the server is done with its connections: nobody waits for it."""

Phase = Literal["starting", "ready", "draining", "failed"]

logger = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Job:
    """One capture to be assessed.

    `prepare`: makes it ready for the recogniser; runs on a worker thread. `work`: what that will
    be, in units; see `serfiq_core/scheduling/work.py`. `with_gradient`: the gradient map is wanted;
    `work` should say what it costs. `estimator`: whose score decides; None for the pipeline's own.
    `profile`: to decide by, by name; None for the default.
    """

    prepare: Callable[[CapturePipeline], PreparedCapture]
    work: float
    with_gradient: bool = False
    estimator: Estimator | None = None
    profile: str | None = None


class Engine:
    """One pipeline, the threads that serve it, and how much work may be on its way.

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
        self._admission = Admission(settings.max_queued_work, clock)
        # One gradient costs as much as several faces: with one at a time no batch holds two, and
        # whoever asks for none never waits for more.
        self._gradient_turn = asyncio.Semaphore(1)
        self._cores = Cores()
        # Started by the first request: by then the device thread has taken its own torch threads.
        self._workers = ThreadPoolExecutor(
            settings.prepare_workers, "prepare", initializer=_use_one_torch_thread
        )
        metrics.follow_work(lambda: self._admission.work, settings.max_queued_work)
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
        """False once the device thread has died, and while it is stuck in a batch."""
        return self._trouble() is None

    @property
    def died(self) -> bool:
        """Whether the device thread has died before anybody asked it to end."""
        return self._loaded is not None and not self._draining and not self._loaded.batcher.alive

    @property
    def in_flight(self) -> int:
        """Captures accepted and not yet answered, or still in the hands of a worker."""
        return self._admission.captures

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
            EngineStoppedError: the device thread has died.
            EngineStalledError: it is stuck in a batch.
        """
        self._ready()

    def check_alive(self) -> None:
        """Says why it is not alive.

        Raises:
            EngineStoppedError: the device thread has died; only a new process helps.
            EngineStalledError: the batch being run takes longer than any caller waits.
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
        self._admission.check(LEAST_WORK)

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

    async def assess(self, job: Job, *, deadline: float) -> Assessment:
        """Assesses one capture, or refuses at once when too much is on its way.

        Cancelling drops the work, as long as no batch has it.

        Args:
            job: the capture.
            deadline: seconds of the clock after which the device need not begin.

        Raises:
            SerfiqError: of the capture, or of the engine.
            NotReadyError: starting, draining, or the pipeline could not be loaded.
        """
        device = self._ready()
        self._admission.admit(job.work)
        return await self._assess(device, job, deadline)

    async def assess_batch(
        self, take_apart: Callable[[], Sequence[Job]], *, work: float, deadline: float
    ) -> list[Assessment | Exception]:
        """Assesses all captures of one request, side by side; or refuses at once when there is no
        room for all of them. What befalls one of them is its own result; at the deadline, what is
        not finished is given up.

        Cancelling drops the work, as long as no batch of the device has it.

        Args:
            take_apart: makes one job at least of a body; runs on a worker thread, and counts as
                `work` until it is done.
            work: in units.
            deadline: seconds of the clock.

        Returns:
            For each job, in order, its assessment or its error.

        Raises:
            OverloadedError: there is no room for all; says when to try again.
            TimeoutError: the body could not be taken apart before the deadline.
            NotReadyError: starting, draining, or the pipeline could not be loaded.
        """
        device = self._ready()
        # Nothing else holds the jobs, and so the images: each goes when it is finished.
        assessing = [
            asyncio.ensure_future(_outcome(self._assess(device, job, deadline)))
            for job in await self._admit_batch(take_apart, work, deadline)
        ]
        try:
            # The event loop begins all of them before it can cancel this: all will be released.
            await asyncio.wait(assessing, timeout=max(0.0, deadline - self._clock()))
            late = DeadlineExceededError("The capture was not assessed in time.")
            return [each.result() if each.done() else late for each in assessing]
        finally:
            for each in assessing:
                each.cancel()

    async def _admit_batch(
        self, take_apart: Callable[[], Sequence[Job]], work: float, deadline: float
    ) -> Sequence[Job]:
        self._admission.admit(work)
        taking_apart = self._on_a_worker(take_apart, work)
        try:
            async with asyncio.timeout(max(0.0, deadline - self._clock())):
                jobs = await asyncio.wrap_future(taking_apart)
        except BaseException:
            taking_apart.add_done_callback(lambda _: self._admission.release(work, finished=False))
            raise
        self._admission.exchange(work, [job.work for job in jobs])
        return jobs

    async def _assess(self, device: Device, job: Job, deadline: float) -> Assessment:
        """One capture that was admitted, and is released here."""
        work = job.work
        since = self._clock()
        preparing = self._on_a_worker(
            lambda: self._prepare(job.prepare, device.pipeline, since), work
        )
        finished = True
        try:
            prepared = await asyncio.wrap_future(preparing)
            scores = None
            if prepared.aligned is not None:
                task = FaceTask(prepared.aligned, job.with_gradient)
                async with self._gradient_turn if job.with_gradient else nullcontext():
                    scores = await asyncio.wrap_future(device.submit(task, deadline))
            return device.pipeline.decide(
                prepared, scores, estimator=job.estimator, profile=job.profile
            )
        except asyncio.CancelledError:
            finished = False
            raise
        finally:
            # A worker cannot be interrupted: the work of a caller who left counts until that worker
            # is free, or the workers' queue would have no bound.
            preparing.add_done_callback(lambda _: self._admission.release(work, finished=finished))

    def _on_a_worker(self, run: Callable[[], T], work: float) -> Future[T]:
        """Have this run by a worker; `work` was admitted, and is released when no thread starts.

        The executor keeps what was cancelled until a thread is free. So all that it is given of a
        caller who left, body and image, is let go here.
        """
        held = [run]
        try:
            future = self._workers.submit(lambda: held.pop()())
        except BaseException:
            held.clear()
            self._admission.release(work, finished=False)
            raise
        future.add_done_callback(lambda _: held.clear())
        return future

    def _prepare(
        self,
        prepare: Callable[[CapturePipeline], PreparedCapture],
        pipeline: CapturePipeline,
        since: float,
    ) -> PreparedCapture:
        """`since`, in seconds of the clock, it has waited for a worker."""
        self._metrics.observe_stage("wait", self._clock() - since)
        with self._cores.taking_one():
            return prepare(pipeline)

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
        return self._loaded.trouble(self._settings.request_timeout_seconds)

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
        self._metrics.describe_model(pipeline.info)
        self._loaded = device
        info, size = pipeline.info, device.batcher.max_batch_size
        fields = {"pack": info.pack, "device": info.device, "max_batch_size": size}
        logger.info("ready", extra={"fields": fields})


async def _outcome(assessing: Coroutine[Any, Any, Assessment]) -> Assessment | Exception:
    """The assessment, or the error that came instead."""
    try:
        return await assessing
    except Exception as error:
        return error


def _use_one_torch_thread() -> None:
    """For the calling thread. Workers are as many as cores; with more threads they would fight."""
    import torch

    torch.set_num_threads(1)
