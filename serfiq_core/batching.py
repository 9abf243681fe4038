"""One thread that owns a device, and the queue in front of it.

Work that is waiting travels together; a lone item never waits for company. Every accepted item is
answered: with its result, with the error of its batch, or with the reason it was dropped.
This file knows no faces, no torch and no HTTP.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Generic, TypeVar

from serfiq_core.errors import DeadlineExceededError, EngineStoppedError, OverloadedError

Item = TypeVar("Item")
Result = TypeVar("Result")

RATE_MEMORY = 0.8
"""Weight of the past in the running mean of seconds per item: about the last five batches count,
few enough to follow a change of load, enough not to jump with one slow batch."""

SHORTEST_RETRY_SECONDS = 1.0
"""`Retry-After` counts whole seconds; it is also the answer before anything was measured."""

LONGEST_RETRY_SECONDS = 30.0
"""A caller told to wait longer than this may as well find out by asking again."""

logger = logging.getLogger(__name__)


def _ignore(_: float) -> None:
    pass


@dataclass(frozen=True, slots=True)
class BatchObservers:
    """Told what happens, on whichever thread it happens: the size of each batch, the depth of the
    queue after each change, and the seconds each item of a batch has waited. They must not block.
    """

    batch_size: Callable[[int], None] = _ignore
    queue_depth: Callable[[int], None] = _ignore
    queue_seconds: Callable[[float], None] = _ignore


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting(Generic[Item, Result]):
    item: Item
    deadline: float | None
    since: float
    future: Future[Result]


class MicroBatcher(Generic[Item, Result]):
    """Runs `run_batch` on one thread of its own, with all that waits at the time.

    Args:
        run_batch: items → as many results, in their order. Only ever called on that one thread.
        max_batch_size: most items in one call.
        capacity: most items waiting, the batch being run aside.
        observers: told sizes and times.
        clock: monotonic seconds; deadlines are read on it too.
    """

    def __init__(
        self,
        run_batch: Callable[[list[Item]], Sequence[Result]],
        *,
        max_batch_size: int,
        capacity: int,
        observers: BatchObservers | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._run_batch = run_batch
        self._max_batch_size = max_batch_size
        self._capacity = capacity
        self._observers = observers or BatchObservers()
        self._clock = clock
        self._changed = threading.Condition()
        self._queue: deque[_Waiting[Item, Result]] = deque()
        self._taken: list[_Waiting[Item, Result]] = []
        self._closing = False
        self._stopped = False
        self._seconds_per_item: float | None = None
        self._thread = threading.Thread(target=self._serve, name="device", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread runs and will answer what it has accepted."""
        return self._thread.is_alive() and not self._stopped

    @property
    def depth(self) -> int:
        """Items waiting, the batch being run aside."""
        return len(self._queue)

    def submit(self, item: Item, deadline: float | None = None) -> Future[Result]:
        """Queues one item. Cancelling the future drops the item, as long as no batch has it.

        `deadline`, in seconds of the clock: later than this the item is dropped before its batch
        is formed, and the future raises DeadlineExceededError.

        Raises:
            OverloadedError: the queue is full.
            EngineStoppedError: closed, or the thread has died.
        """
        waiting: _Waiting[Item, Result] = _Waiting(item, deadline, self._clock(), Future())
        with self._changed:
            if self._closing or self._stopped:
                raise EngineStoppedError("the engine takes no more work")
            if len(self._queue) >= self._capacity:
                raise OverloadedError(
                    f"{len(self._queue)} captures are waiting already",
                    self.estimate_wait_seconds(len(self._queue)),
                )
            self._queue.append(waiting)
            self._observers.queue_depth(len(self._queue))
            self._changed.notify()
        return waiting.future

    def estimate_wait_seconds(self, waiting: int) -> float:
        """How long `waiting` items will take at the recent rate, within the two retry bounds."""
        estimate = waiting * (self._seconds_per_item or 0.0)
        return min(max(estimate, SHORTEST_RETRY_SECONDS), LONGEST_RETRY_SECONDS)

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
            self._stop("the engine was closed before this could be answered")
        return finished

    def _serve(self) -> None:
        try:
            while self._take_batch():
                self._run()
        except BaseException:
            # Nothing above goes wrong in the ordinary way, and a thread that dies silently leaves
            # its callers waiting for ever: say so, then answer them all.
            logger.critical("the device thread died", exc_info=True)
        finally:
            self._stop("the device thread has stopped")

    def _take_batch(self) -> bool:
        """Waits for work and takes all there is, up to a batch; False once closed and drained."""
        with self._changed:
            while not self._taken:
                self._changed.wait_for(lambda: self._queue or self._closing or self._stopped)
                if not self._queue:
                    return False
                while self._queue and len(self._taken) < self._max_batch_size:
                    self._take_one()
                self._observers.queue_depth(len(self._queue))
        return True

    def _take_one(self) -> None:
        waiting = self._queue.popleft()
        if not waiting.future.set_running_or_notify_cancel():
            return
        self._taken.append(waiting)
        if waiting.deadline is not None and self._clock() > waiting.deadline:
            self._taken.pop()
            waiting.future.set_exception(DeadlineExceededError("waited past the deadline"))

    def _run(self) -> None:
        batch = list(self._taken)
        started = self._clock()
        self._observers.batch_size(len(batch))
        for waiting in batch:
            self._observers.queue_seconds(started - waiting.since)
        try:
            results = self._run_batch([waiting.item for waiting in batch])
            if len(results) != len(batch):
                raise RuntimeError(f"{len(results)} results for a batch of {len(batch)}")
        except Exception as error:
            for waiting in self._release_taken():
                waiting.future.set_exception(error)
        else:
            # zip: after a `close` that lost patience nobody of this batch is waiting any more.
            for waiting, result in zip(self._release_taken(), results, strict=False):
                waiting.future.set_result(result)
        self._note_rate((self._clock() - started) / len(batch))

    def _release_taken(self) -> list[_Waiting[Item, Result]]:
        """Hands the running batch to the one who answers it, so that nobody else does."""
        with self._changed:
            taken, self._taken = self._taken, []
        return taken

    def _note_rate(self, seconds_per_item: float) -> None:
        before = self._seconds_per_item
        self._seconds_per_item = (
            seconds_per_item
            if before is None
            else RATE_MEMORY * before + (1 - RATE_MEMORY) * seconds_per_item
        )

    def _stop(self, why: str) -> None:
        with self._changed:
            self._stopped = True
            queued = [w for w in self._queue if w.future.set_running_or_notify_cancel()]
            self._queue.clear()
            self._observers.queue_depth(0)
            self._changed.notify()
        for waiting in [*self._release_taken(), *queued]:
            waiting.future.set_exception(EngineStoppedError(why))
