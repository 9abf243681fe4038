"""The bound on what may be on its way at once, measured in work; see `work.py` for the unit.

This file knows no images, no threads' work and no HTTP.
"""

import threading
import time
from collections.abc import Callable, Sequence

from serfiq_core.errors import OverloadedError
from serfiq_core.scheduling.drain_rate import DrainRate


class Admission:
    """Lets captures in as long as there is room; used from any thread.

    Args:
        most_work: units on their way at once. A capture or a batch larger than that is let in when
            nothing else is on its way, or it could never be.
        clock: monotonic seconds.
    """

    def __init__(self, most_work: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most_work = most_work
        self._lock = threading.Lock()
        self._drain = DrainRate(clock)

    @property
    def captures(self) -> int:
        """How many are on their way."""
        return self._drain.captures

    @property
    def work(self) -> float:
        """On its way, in units."""
        return self._drain.work

    def check(self, work: float) -> None:
        """Whether there would be room now.

        Raises:
            OverloadedError: there is none; says when to try again.
        """
        with self._lock:
            self._check(work)

    def admit(self, work: float) -> None:
        """Lets a capture in; `release` says that it is gone.

        Raises:
            OverloadedError: there is no room; says when to try again.
        """
        with self._lock:
            self._check(work)
            self._drain.begin(work)

    def exchange(self, held: float, works: Sequence[float]) -> None:
        """Lets a whole batch in, in place of what was let in to take it apart; each capture of it
        is released by itself. There is room for all of them or for none.

        Args:
            held: let in before, and gone from now on, whatever happens.
            works: of each capture, one at least.

        Raises:
            OverloadedError: there is no room; says when to try again.
        """
        with self._lock:
            self._drain.end(held, done=0.0)
            self._check(sum(works))
            for work in works:
                self._drain.begin(work)

    def release(self, work: float, *, done: float) -> None:
        """One capture of so much work is gone; so much of it was done, 0 when it was given up."""
        with self._lock:
            self._drain.end(work, done=done)

    def _check(self, work: float) -> None:
        on_its_way = self._drain.work
        if self._drain.captures and on_its_way + work > self._most_work:
            raise OverloadedError(
                f"{on_its_way:.1f} of {self._most_work:g} units of work are on their way; this "
                f"request would add {work:.1f}.",
                self._drain.wait_seconds(),
            )
