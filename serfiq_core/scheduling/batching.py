"""One thread that owns a device, and the queue in front of it.

Work that is waiting travels together, and waits for company only as long as its owner has patience:
by default not at all. Every accepted item is answered: with its result, with the error of its
batch, or with the reason it was dropped. The queue has no bound of its own: whoever submits bounds
what is on its way (`admission.py`).
This file knows no faces, no torch and no HTTP.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Generic, TypeVar

from serfiq_core.errors import DeadlineExceededError, DeviceMemoryError, EngineStoppedError

Item = TypeVar("Item")
Result = TypeVar("Result")

logger = logging.getLogger(__name__)


def _ignore(_: float) -> None:
    pass


def _no_patience(_: int) -> float:
    return 0.0


@dataclass(frozen=True, slots=True)
class BatchObservers:
    """Told what happens, on whichever thread it happens: the size of each batch, the depth of the
    queue after each change, the seconds each item of a batch has waited, and the largest size of a
    batch, at first and whenever it shrinks. They must not block.
    """

    batch_size: Callable[[int], None] = _ignore
    queue_depth: Callable[[int], None] = _ignore
    queue_seconds: Callable[[float], None] = _ignore
    max_batch_size: Callable[[int], None] = _ignore


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting(Generic[Item, Result]):
    item: Item
    deadline: float | None
    since: float
    future: Future[Result]


class MicroBatcher(Generic[Item, Result]):
    """Runs `run_batch` on one thread of its own, with all that waits at the time.

    Who leaves leaves the queue at once: it holds nothing of him, and nobody waits for his company.

    Args:
        run_batch: items → as many results, in their order. Only ever called on that one thread.
            Where it raises DeviceMemoryError the batch is halved, and batches stay that small.
        max_batch_size: most items in one call; or what finds it out, called once on that thread
            before the first batch.
        lost: whether the device is beyond help, so that no batch would ever succeed: asked on that
            thread after a batch failed. If it is, the thread ends.
        patience: so many items are waiting → the seconds that the oldest of them may have waited
            before a batch begins that could hold more. Asked whenever one more is queued, so that
            it may become less; it must not block.
        observers: told sizes and times.
        clock: monotonic seconds; deadlines are read on it too.
    """

    def __init__(
        self,
        run_batch: Callable[[list[Item]], Sequence[Result]],
        *,
        max_batch_size: int | Callable[[], int],
        lost: Callable[[], bool] = lambda: False,
        patience: Callable[[int], float] = _no_patience,
        observers: BatchObservers | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._run_batch = run_batch
        self._choose_batch_size = (
            max_batch_size if callable(max_batch_size) else lambda: max_batch_size
        )
        self._max_batch_size = 1
        self._lost = lost
        self._patience = patience
        self._observers = observers or BatchObservers()
        self._clock = clock
        self._changed = threading.Condition()
        self._queue: OrderedDict[Future[Result], _Waiting[Item, Result]] = OrderedDict()
        self._taken: list[_Waiting[Item, Result]] = []
        self._closing = False
        self._stopped = False
        self._running_since: float | None = None
        self._thread = threading.Thread(target=self._serve, name="device", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread runs and will answer what it has accepted."""
        return not self._stopped

    @property
    def depth(self) -> int:
        """Items waiting, the batch being run aside."""
        return len(self._queue)

    @property
    def max_batch_size(self) -> int:
        """Most items in one batch: 1 until it is known, and fewer after the device's memory was too
        small for more."""
        return self._max_batch_size

    @property
    def running_since(self) -> float | None:
        """When the batch being run was begun, in seconds of the clock; None between batches."""
        return self._running_since

    def submit(self, item: Item, deadline: float | None = None) -> Future[Result]:
        """Queues one item. Cancelling the future drops the item, as long as no batch has it.

        `deadline`, in seconds of the clock: later than this the item is dropped before its batch
        is formed, and the future raises DeadlineExceededError.

        Raises:
            EngineStoppedError: closed, or the thread has died.
        """
        waiting: _Waiting[Item, Result] = _Waiting(item, deadline, self._clock(), Future())
        with self._changed:
            if self._closing or self._stopped:
                raise EngineStoppedError("The engine takes no more work.")
            self._queue[waiting.future] = waiting
            self._observers.queue_depth(len(self._queue))
            self._changed.notify()
        waiting.future.add_done_callback(self._forget)
        return waiting.future

    def close(self, drain_seconds: float) -> bool:
        """Refuses new work, finishes what was accepted, and stops.

        What is not finished after `drain_seconds` is answered EngineStoppedError; a batch that is
        running then cannot be interrupted. Returns whether everything was finished.
        """
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(drain_seconds)
        finished = not self._thread.is_alive()
        if not finished:
            self._stop("The engine was closed before this could be answered.")
        return finished

    def _forget(self, future: Future[Result]) -> None:
        if future.cancelled():
            with self._changed:
                if self._queue.pop(future, None) is not None:
                    self._observers.queue_depth(len(self._queue))

    def _serve(self) -> None:
        try:
            self._set_max_batch_size(self._choose_batch_size())
            while self._take_batch():
                self._run()
        except BaseException:
            # Nothing above goes wrong in the ordinary way, and a thread that dies silently leaves
            # its callers waiting for ever: say so, then answer them all.
            logger.critical("the device thread died", exc_info=True)
        finally:
            self._stop("The device thread has stopped.")

    def _take_batch(self) -> bool:
        """Waits for work and takes all there is, up to a batch; False once closed and drained."""
        with self._changed:
            while not self._taken:
                self._changed.wait_for(lambda: self._queue or self._closing or self._stopped)
                self._wait_for_company()
                if not self._queue and (self._closing or self._stopped):
                    return False
                while self._queue and len(self._taken) < self._max_batch_size:
                    self._take_one()
                self._observers.queue_depth(len(self._queue))
        return True

    def _wait_for_company(self) -> None:
        """Until the patience of the oldest item is at its end, or nothing more could travel."""
        while 0 < len(self._queue) < self._max_batch_size and not (self._closing or self._stopped):
            oldest = next(iter(self._queue.values()))
            waited = self._clock() - oldest.since
            left = self._patience(len(self._queue)) - waited
            if left <= 0:
                return
            self._changed.wait(left)

    def _take_one(self) -> None:
        _, waiting = self._queue.popitem(last=False)
        if not waiting.future.set_running_or_notify_cancel():
            return
        self._taken.append(waiting)
        if waiting.deadline is not None and self._clock() > waiting.deadline:
            self._taken.pop()
            waiting.future.set_exception(DeadlineExceededError("The deadline passed in the queue."))

    def _run(self) -> None:
        batch, largest = list(self._taken), self._max_batch_size
        started = self._running_since = self._clock()
        self._observers.batch_size(len(batch))
        for waiting in batch:
            self._observers.queue_seconds(started - waiting.since)
        self._answer([waiting.item for waiting in batch])
        self._running_since = None
        if self._max_batch_size < largest:
            logger.warning(
                "batches are smaller from now on: the device's memory was too small",
                extra={"fields": {"from": largest, "to": self._max_batch_size}},
            )

    def _answer(self, items: list[Item]) -> None:
        """Runs the next items of the batch; in two halves when they do not fit together."""
        if self._fits(items):
            return
        half = (len(items) + 1) // 2
        self._set_max_batch_size(min(half, self._max_batch_size))
        self._answer(items[:half])
        self._answer(items[half:])

    def _fits(self, items: list[Item]) -> bool:
        """Runs and answers the next items; False, and nothing is answered, when they are too many
        for the device. The error is gone by then, and with its traceback what the batch held."""
        try:
            results = self._run_batch(items)
            if len(results) != len(items):
                raise RuntimeError(f"{len(results)} results for a batch of {len(items)}")
        except Exception as error:
            if self._lost():
                raise
            if isinstance(error, DeviceMemoryError) and len(items) > 1:
                return False
            for waiting in self._release(len(items)):
                waiting.future.set_exception(error)
        else:
            # Not strict: `close` may have answered all callers of this batch already.
            for waiting, result in zip(self._release(len(items)), results, strict=False):
                waiting.future.set_result(result)
        return True

    def _release(self, count: int) -> list[_Waiting[Item, Result]]:
        """Hands over the next of the running batch, to be answered by nobody else."""
        with self._changed:
            released, self._taken = self._taken[:count], self._taken[count:]
        return released

    def _set_max_batch_size(self, size: int) -> None:
        self._max_batch_size = size
        self._observers.max_batch_size(size)

    def _stop(self, why: str) -> None:
        with self._changed:
            self._stopped = True
            queued = [w for w in self._queue.values() if w.future.set_running_or_notify_cancel()]
            self._queue.clear()
            self._observers.queue_depth(0)
            self._changed.notify()
        for waiting in [*self._release(len(self._taken)), *queued]:
            waiting.future.set_exception(EngineStoppedError(why))
