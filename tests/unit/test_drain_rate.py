"""The drain rate on a clock that the tests turn."""

import pytest

from serfiq_core.scheduling.drain_rate import (
    LONGEST_RETRY_SECONDS,
    MEMORY_SECONDS,
    SHORTEST_RETRY_SECONDS,
    DrainRate,
)
from tests.clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock(100.0)


@pytest.fixture
def drain(clock: Clock) -> DrainRate:
    return DrainRate(clock)


def finish_one_after_the_other(
    drain: DrainRate, clock: Clock, count: int, *, seconds: float, work: float = 1.0
) -> None:
    """While something else is on its way all along, so that there is no idle time."""
    for _ in range(count):
        drain.begin(work)
        clock.now += seconds
        drain.end(work, done=work)


def test_before_anything_is_measured_the_wait_is_the_shortest(drain: DrainRate) -> None:
    assert drain.wait_seconds() == SHORTEST_RETRY_SECONDS
    drain.begin(1000.0)
    assert drain.wait_seconds() == SHORTEST_RETRY_SECONDS


def test_it_counts_what_is_on_its_way(drain: DrainRate) -> None:
    drain.begin(1.0)
    drain.begin(2.5)
    assert (drain.captures, drain.work) == (2, 3.5)
    drain.end(1.0, done=1.0)
    assert (drain.captures, drain.work) == (1, 2.5)


def test_no_crumbs_are_left_when_nothing_is(drain: DrainRate) -> None:
    drain.begin(0.1)
    drain.begin(0.2)
    drain.end(0.2, done=0.2)
    drain.end(0.1, done=0.1)
    assert drain.work == 0.0


@pytest.mark.parametrize("count", [1, 3, 50])
def test_at_a_steady_rate_the_wait_is_work_over_rate(
    drain: DrainRate, clock: Clock, count: int
) -> None:
    drain.begin(8.0)  # a queue that never empties
    finish_one_after_the_other(drain, clock, count, seconds=0.01, work=0.02)  # 2 units a second
    assert drain.wait_seconds() == pytest.approx(8.0 / 2.0, rel=0.01)


def test_work_counts_and_not_captures(drain: DrainRate, clock: Clock) -> None:
    drain.begin(6.0)
    finish_one_after_the_other(drain, clock, 100, seconds=0.5, work=1.0)
    few_large = drain.wait_seconds()
    finish_one_after_the_other(drain, clock, 1000, seconds=0.05, work=0.1)
    assert drain.wait_seconds() == pytest.approx(few_large, rel=0.05)
    assert few_large == pytest.approx(3.0, rel=0.05)


def test_idle_time_does_not_count(drain: DrainRate, clock: Clock) -> None:
    finish_one_after_the_other(drain, clock, 20, seconds=0.5)
    drain.begin(20.0)
    busy = drain.wait_seconds()
    drain.end(20.0, done=0.0)
    clock.now += 3600.0
    drain.begin(20.0)
    assert drain.wait_seconds() == busy == pytest.approx(10.0, rel=0.1)


def test_it_follows_a_change_and_forgets_what_was(drain: DrainRate, clock: Clock) -> None:
    drain.begin(2.0)
    finish_one_after_the_other(drain, clock, 1000, seconds=0.1)
    many = round(5 * MEMORY_SECONDS)
    finish_one_after_the_other(drain, clock, many, seconds=1.0)
    assert drain.wait_seconds() == pytest.approx(2.0, rel=0.2)


def test_what_is_given_up_is_not_finished(drain: DrainRate, clock: Clock) -> None:
    drain.begin(2.0)
    finish_one_after_the_other(drain, clock, 100, seconds=1.0)
    before = drain.wait_seconds()
    for _ in range(5):
        drain.begin(1.0)
        clock.now += 1.0
        drain.end(1.0, done=0.0)
    assert drain.wait_seconds() > 1.5 * before
    assert drain.work == 2.0


def test_when_nothing_moves_the_wait_grows_to_the_longest(drain: DrainRate, clock: Clock) -> None:
    drain.begin(2.0)
    finish_one_after_the_other(drain, clock, 100, seconds=1.0)
    clock.now += 60.0
    assert drain.wait_seconds() == LONGEST_RETRY_SECONDS


def test_a_short_queue_asks_for_the_shortest_wait(drain: DrainRate, clock: Clock) -> None:
    finish_one_after_the_other(drain, clock, 10, seconds=0.001)
    drain.begin(1.0)
    assert drain.wait_seconds() == SHORTEST_RETRY_SECONDS


def test_a_clock_that_stood_still_divides_nothing_by_nothing(drain: DrainRate) -> None:
    drain.begin(1.0)
    drain.end(1.0, done=1.0)
    assert drain.wait_seconds() == SHORTEST_RETRY_SECONDS
