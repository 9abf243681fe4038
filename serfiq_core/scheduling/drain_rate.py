"""How fast work is being finished, and so how long what is on its way will take.

This file knows no threads: whoever uses it from several holds a lock.
"""

from collections.abc import Callable
from math import exp

MEMORY_SECONDS = 5.0
"""Work finished so long ago counts 1/e. Hundreds of small captures or tens of large photographs are
finished in that time, enough for a mean; and a change of load is noticed within a few seconds."""

SHORTEST_RETRY_SECONDS = 1.0
"""`Retry-After` counts whole seconds; it is also the answer before anything was measured."""

LONGEST_RETRY_SECONDS = 30.0
"""A caller told to wait longer than this may as well find out by asking again."""


class DrainRate:
    """Units of work finished per second: a mean over the time in which there was work, that fades.

    Idle time does not count: it would tell how much is asked for, not how much can be done.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._looked_at = clock()
        self._busy_seconds = 0.0
        self._finished_work = 0.0
        self.captures = 0
        """On their way."""
        self.work = 0.0
        """On its way, in units."""

    def begin(self, work: float) -> None:
        """One capture more is on its way."""
        self._advance()
        self.captures += 1
        self.work += work

    def end(self, work: float, *, done: float) -> None:
        """One capture less is on its way; so many units were done of it, 0 when it was given up."""
        self._advance()
        self.captures -= 1
        # Rounding leaves a rest in the sum of fractions; without captures the work is 0.
        self.work = self.work - work if self.captures else 0.0
        self._finished_work += done

    def wait_seconds(self) -> float:
        """How long all that is on its way will take at the recent rate, within the two bounds."""
        self._advance()
        if not self._finished_work:
            return SHORTEST_RETRY_SECONDS
        estimate = self.work * self._busy_seconds / self._finished_work
        return min(max(estimate, SHORTEST_RETRY_SECONDS), LONGEST_RETRY_SECONDS)

    def _advance(self) -> None:
        """Lets the time since the last look fade what came before, if there was work in it."""
        now = self._clock()
        elapsed, self._looked_at = now - self._looked_at, now
        if not self.captures:
            return
        kept = exp(-elapsed / MEMORY_SECONDS)
        # The integral of the same exponential, so that work over seconds is a weighted mean.
        self._busy_seconds = kept * self._busy_seconds + (1 - kept) * MEMORY_SECONDS
        self._finished_work *= kept
