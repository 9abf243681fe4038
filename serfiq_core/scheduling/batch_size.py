"""How many items a device should be given at once: found by trying.

This file knows no torch and no threads.
"""

from collections.abc import Callable
from time import perf_counter

from serfiq_core.errors import DeviceMemoryError

TOLERANCE = 0.05
"""Time per item that a larger batch must save to be worth it: below this the timer's noise decides,
while everyone in a larger batch waits for more of the others."""

REPETITIONS = 3
"""The first run of a size pays for choosing kernels and taking memory; of the others the faster one
is the less disturbed."""

FRUITLESS_SIZES = 2
"""In a row that save nothing; larger ones are then not tried: a network that fills the device with
one item would take minutes for the rest."""


def best_batch_size(
    run: Callable[[int], object], largest: int, clock: Callable[[], float] = perf_counter
) -> int:
    """The smallest of 1, 2, 4 … whose time per item is within `TOLERANCE` of the best.

    Args:
        run: runs a batch of so many items, and returns when it is done.
        largest: no larger one is tried.
        clock: seconds.

    Raises:
        DeviceMemoryError: not even one item fits.
    """
    seconds_per_item: dict[int, float] = {}
    fruitless = 0
    size = 1
    while size <= largest and fruitless < FRUITLESS_SIZES:
        before = min(seconds_per_item.values(), default=float("inf"))
        try:
            seconds_per_item[size] = _best_seconds(run, size, clock) / size
        except DeviceMemoryError:
            if size == 1:
                raise
            break
        improved = seconds_per_item[size] < (1 - TOLERANCE) * before
        fruitless = 0 if improved else fruitless + 1
        size *= 2
    good_enough = (1 + TOLERANCE) * min(seconds_per_item.values())
    return min(size for size, seconds in seconds_per_item.items() if seconds <= good_enough)


def _best_seconds(run: Callable[[int], object], size: int, clock: Callable[[], float]) -> float:
    return min(_seconds(run, size, clock) for _ in range(REPETITIONS))


def _seconds(run: Callable[[int], object], size: int, clock: Callable[[], float]) -> float:
    started = clock()
    run(size)
    return clock() - started
