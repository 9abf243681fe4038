"""Who computes on which share of the processor's cores.

Each worker that prepares a capture keeps one core busy; the thread that scores takes what they
leave. More threads than cores would wait for one another at every layer of the network: two
workers and two threads of torch on two cores answered a tenth of what they answer like this.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Cores:
    """Counts the cores that are taken; used from any thread.

    Args:
        count: of the machine; all that this process may use when None.
    """

    def __init__(self, count: int | None = None) -> None:
        self._count = count or len(os.sched_getaffinity(0))
        self._lock = threading.Lock()
        self._taken = 0

    @property
    def left(self) -> int:
        """Cores that nobody has taken; one at least, for whoever has to go on."""
        return max(1, self._count - self._taken)

    @property
    def all_taken(self) -> bool:
        """Whether none would be idle if nobody else went on."""
        return self._taken >= self._count

    @contextmanager
    def taking_one(self) -> Iterator[None]:
        """One core is busy meanwhile."""
        with self._lock:
            self._taken += 1
        try:
            yield
        finally:
            with self._lock:
                self._taken -= 1

    def compute_on_the_rest(self) -> None:
        """Gives torch, on the calling thread, as many threads as cores are left."""
        import torch

        if torch.get_num_threads() != self.left:
            torch.set_num_threads(self.left)
