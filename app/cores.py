"""Who computes on which share of the processor's cores.

Each worker that prepares a capture keeps one core busy; the thread that scores takes what they
leave. More threads than cores would wait for one another at every layer of the network: two
workers and two threads of torch on two cores answered a tenth of what they answer like this.
"""

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from app.usable_cores import usable_cores

MEMORY_SECONDS = 1.0
"""Over which it is averaged how many cores are taken: several batches, and less than a pause in
which a caller would notice that the capture is alone."""


class Cores:
    """Counts the cores that are taken; used from any thread.

    Args:
        count: of the machine; all that this process may use when None.
        clock: monotonic seconds.
    """

    def __init__(
        self, count: int | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._count = count or usable_cores()
        self._clock = clock
        self._lock = threading.Lock()
        self._taken = 0
        self._average = 0.0
        self._since = clock()

    @property
    def left(self) -> int:
        """Cores that nobody has taken or, going by the last second, will take; one at least.

        Between two batches a busy machine may look idle: those who were answered have not sent
        their next captures yet, and would find every core taken.
        """
        with self._lock:
            self._follow()
            return max(1, self._count - max(self._taken, math.floor(self._average)))

    @property
    def all_taken(self) -> bool:
        """Whether none is free at this moment."""
        with self._lock:
            return self._taken >= self._count

    @contextmanager
    def taking_one(self) -> Iterator[None]:
        """One core is busy meanwhile."""
        self._change(1)
        try:
            yield
        finally:
            self._change(-1)

    def compute_on_the_rest(self) -> None:
        """Gives torch, on the calling thread, as many threads as cores are left."""
        import torch

        left = self.left
        if torch.get_num_threads() != left:
            torch.set_num_threads(left)

    def _change(self, by: int) -> None:
        with self._lock:
            self._follow()
            self._taken += by

    def _follow(self) -> None:
        """Brings the average up to now: that of an exponentially fading memory."""
        now = self._clock()
        kept = math.exp(-(now - self._since) / MEMORY_SECONDS)
        self._average = self._taken + (self._average - self._taken) * kept
        self._since = now
