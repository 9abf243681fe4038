"""Where workers share the cores, a batch waits for what they are preparing, and only then."""

from collections.abc import Iterator
from contextlib import contextmanager

from serfiq_core.batching import Company, MicroBatcher
from tests.unit.test_batching import PATIENCE_SECONDS, Clock, Device, answer

ENOUGH = 3
LONGEST_SECONDS = 1000.0
"""More than any test lasts: whoever waits for the timer shows as a test that hangs."""


class Others:
    """Whether more is coming, as the test says."""

    def __init__(self, is_coming: bool) -> None:
        self.coming = is_coming

    def is_coming(self) -> bool:
        return self.coming


@contextmanager
def batcher_with(
    device: Device, others: Others, clock: Clock | None = None, max_batch_size: int = 8
) -> Iterator[MicroBatcher[int, int]]:
    made = MicroBatcher(
        device.run,
        max_batch_size=max_batch_size,
        company=Company(others.is_coming, ENOUGH, LONGEST_SECONDS),
        clock=clock or Clock(),
    )
    device.open(100)
    yield made
    others.coming = False
    made.close(PATIENCE_SECONDS)


def test_a_batch_waits_while_more_is_coming_until_it_has_enough():
    device = Device()
    with batcher_with(device, Others(True)) as batcher:
        futures = [batcher.submit(item) for item in (1, 2, 3)]
        assert [answer(future) for future in futures] == [2, 4, 6]
    assert device.batches == [[1, 2, 3]]


def test_nobody_waits_when_nothing_is_coming():
    device = Device()
    with batcher_with(device, Others(False)) as batcher:
        assert answer(batcher.submit(21)) == 42
    assert device.batches == [[21]]


def test_a_full_batch_has_enough():
    device = Device()
    with batcher_with(device, Others(True), max_batch_size=2) as batcher:
        futures = [batcher.submit(item) for item in (1, 2)]
        assert [answer(future) for future in futures] == [2, 4]


def test_the_oldest_waits_no_longer_than_the_longest():
    device, clock = Device(), Clock()
    with batcher_with(device, Others(True), clock) as batcher:
        first = batcher.submit(1)
        clock.now = LONGEST_SECONDS
        second = batcher.submit(2)  # wakes the thread, which looks at the clock
        assert [answer(first), answer(second)] == [2, 4]


def test_closing_ends_the_waiting():
    device = Device()
    with batcher_with(device, Others(True)) as batcher:
        future = batcher.submit(1)
        assert batcher.close(PATIENCE_SECONDS)
        assert answer(future) == 2
