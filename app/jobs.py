"""The way of a capture: let in, prepared by a worker, scored by the device, decided.

This file knows no phases, no routes and no bodies; of the pipeline it knows only the protocol in
`device.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

from app.cores import Cores
from app.device import CapturePipeline, Device, FaceTask
from app.metrics import Metrics
from app.settings import Settings
from serfiq_core.errors import CaptureError, DeadlineExceededError, EngineStoppedError
from serfiq_core.scheduling.admission import Admission
from serfiq_core.scheduling.work import LEAST_WORK
from serfiq_core.types import Assessment, Estimator, PreparedCapture

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


class Jobs:
    """The captures on their way, the threads that prepare them, and the bound on their work.

    Args:
        settings: how many threads, and how much work.
        metrics: told what happens.
        cores: a thread takes one while it prepares.
        clock: monotonic seconds; deadlines are read on it.
    """

    def __init__(
        self, settings: Settings, metrics: Metrics, cores: Cores, clock: Callable[[], float]
    ) -> None:
        self._metrics = metrics
        self._cores = cores
        self._clock = clock
        self._admission = Admission(settings.max_queued_work, clock)
        # One gradient costs as much as several faces: with one at a time no batch holds two, and
        # whoever asks for none never waits for more.
        self._gradient_turn = asyncio.Semaphore(1)
        # Started by the first request: by then the device thread has taken its own torch threads.
        self._workers = ThreadPoolExecutor(
            settings.prepare_workers, "prepare", initializer=_use_one_torch_thread
        )
        self._stopped: str | None = None
        metrics.follow_work(lambda: self._admission.work, settings.max_queued_work)

    @property
    def in_flight(self) -> int:
        """Captures accepted and not yet answered, or still in the hands of a worker."""
        return self._admission.captures

    @property
    def trouble(self) -> EngineStoppedError | None:
        """Why nothing more is prepared, since a capture found that out."""
        return None if self._stopped is None else EngineStoppedError(self._stopped)

    def check_room(self) -> None:
        """Refuses where no capture could be let in, however small.

        Raises:
            OverloadedError: says when to try again.
        """
        self._admission.check(LEAST_WORK)

    def close(self) -> None:
        """Begins nothing more; what is running is left to itself."""
        self._workers.shutdown(wait=False, cancel_futures=True)

    async def assess(self, device: Device, job: Job, deadline: float) -> Assessment:
        """Assesses one capture, or refuses at once when too much is on its way.

        Cancelling drops the work, as long as no batch has it.

        Args:
            device: scores its face.
            job: the capture.
            deadline: seconds of the clock after which the device need not begin.

        Raises:
            OverloadedError: there is no room; says when to try again.
            SerfiqError: of the capture, or of the device.
        """
        self._admission.admit(job.work)
        return await self._assess(device, job, deadline)

    async def assess_batch(
        self, device: Device, take_apart: Callable[[], Sequence[Job]], work: float, deadline: float
    ) -> list[Assessment | Exception]:
        """Assesses all captures of one request, side by side; or refuses at once when there is no
        room for all of them. What befalls one of them is its own result; at the deadline, what is
        not finished is given up.

        Cancelling drops the work, as long as no batch of the device has it.

        Args:
            device: scores their faces.
            take_apart: makes one job at least of a body; runs on a worker thread, and counts as
                `work` until it is done.
            work: in units.
            deadline: seconds of the clock.

        Returns:
            For each job, in order, its assessment or its error.

        Raises:
            OverloadedError: there is no room for all; says when to try again.
            TimeoutError: the body could not be taken apart before the deadline.
        """
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
            taking_apart.add_done_callback(lambda _: self._admission.release(work, done=0.0))
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
        done = 0.0
        try:
            prepared = await asyncio.wrap_future(preparing)
            scores = None
            if prepared.aligned is not None:
                task = FaceTask(prepared.aligned, job.with_gradient)
                async with self._gradient_turn if job.with_gradient else nullcontext():
                    scores = await asyncio.wrap_future(device.submit(task, deadline))
            assessment = device.pipeline.decide(
                prepared, scores, estimator=job.estimator, profile=job.profile
            )
            done = work
            return assessment
        except CaptureError:
            # Soon done with, however much work its head had promised.
            done = min(work, LEAST_WORK)
            raise
        finally:
            # A worker cannot be interrupted: the work of a caller who left counts until that worker
            # is free, or the workers' queue would have no bound.
            preparing.add_done_callback(lambda _: self._admission.release(work, done=done))

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
            self._admission.release(work, done=0.0)
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
            try:
                return prepare(pipeline)
            except EngineStoppedError as error:
                self._stopped = str(error)
                raise


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
