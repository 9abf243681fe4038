"""A device with too little memory: batches are halved, all are answered, and sizes stay small."""

import gc
import logging
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future

import pytest

from serfiq_core.errors import DeviceMemoryError, EngineStoppedError
from serfiq_core.scheduling.batching import BatchObservers, MicroBatcher

PATIENCE_SECONDS = 30.0
"""Only ever reached when something hangs."""


class SmallDevice:
    """Doubles numbers, as long as no more than `room` come at once, and none that is `too_big`."""

    def __init__(self) -> None:
        self.room = 100
        self.too_big: set[int] = set()
        self.batches: list[list[int]] = []
        self.gate = threading.Event()
        self.entered = threading.Event()
        self.before: Callable[[list[int]], None] = lambda _: None

    def run(self, items: list[int]) -> Sequence[int]:
        self.entered.set()
        assert self.gate.wait(PATIENCE_SECONDS)
        self.batches.append(list(items))
        self.before(items)
        if len(items) > self.room or self.too_big & set(items):
            raise DeviceMemoryError(f"{len(items)} do not fit")
        return [2 * item for item in items]


@pytest.fixture
def device() -> SmallDevice:
    return SmallDevice()


@pytest.fixture
def sizes() -> list[int]:
    """What the observer was told."""
    return []


@pytest.fixture
def batcher(device: SmallDevice, sizes: list[int]) -> Iterator[MicroBatcher[int, int]]:
    observers = BatchObservers(max_batch_size=sizes.append)
    made = MicroBatcher(device.run, max_batch_size=8, observers=observers)
    yield made
    device.gate.set()
    made.close(PATIENCE_SECONDS)


def send_together(
    device: SmallDevice, batcher: MicroBatcher[int, int], items: Sequence[int]
) -> list["Future[int]"]:
    """The futures of items that wait while the device is held; then the gate is opened."""
    device.gate.clear()
    device.entered.clear()
    first = batcher.submit(-1)
    assert device.entered.wait(PATIENCE_SECONDS)
    futures = [batcher.submit(item) for item in items]
    device.gate.set()
    first.exception(PATIENCE_SECONDS)
    return futures


def outcome(future: "Future[int]") -> int | type[BaseException]:
    error = future.exception(PATIENCE_SECONDS)
    return future.result() if error is None else type(error)


def test_halves_until_it_fits_and_answers_each_its_own(
    device: SmallDevice, batcher: MicroBatcher[int, int]
) -> None:
    device.room = 2
    futures = send_together(device, batcher, range(8))
    assert [outcome(f) for f in futures] == [0, 2, 4, 6, 8, 10, 12, 14]
    assert device.batches[1:4] == [[0, 1, 2, 3, 4, 5, 6, 7], [0, 1, 2, 3], [0, 1]]
    fitting = [batch for batch in device.batches[1:] if len(batch) <= 2]
    assert fitting == [[0, 1], [2, 3], [4, 5], [6, 7]]


def test_odd_batches_are_halved_too(device: SmallDevice, batcher: MicroBatcher[int, int]) -> None:
    device.room = 1
    assert [outcome(f) for f in send_together(device, batcher, range(5))] == [0, 2, 4, 6, 8]


def test_batches_stay_as_small_as_what_worked(
    device: SmallDevice, batcher: MicroBatcher[int, int], sizes: list[int]
) -> None:
    device.room = 4
    for future in send_together(device, batcher, range(8)):
        outcome(future)
    assert batcher.max_batch_size == 4
    device.room = 100
    device.batches.clear()
    for future in send_together(device, batcher, range(8)):
        outcome(future)
    assert device.batches == [[-1], [0, 1, 2, 3], [4, 5, 6, 7]]
    assert sizes == [8, 4]


def test_each_shrinking_is_logged_once(
    device: SmallDevice, batcher: MicroBatcher[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    device.room = 2
    for future in send_together(device, batcher, range(8)):
        outcome(future)
    outcome(batcher.submit(1))  # by now the batch before is over, its log line included
    records = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert [vars(record)["fields"] for record in records] == [{"from": 8, "to": 2}]


def test_a_lone_item_that_does_not_fit_says_so_and_nothing_shrinks(
    device: SmallDevice, batcher: MicroBatcher[int, int], sizes: list[int]
) -> None:
    device.gate.set()
    device.too_big = {1}
    assert outcome(batcher.submit(1)) is DeviceMemoryError
    assert outcome(batcher.submit(2)) == 4
    assert sizes == [8]


def test_in_a_batch_only_the_one_that_does_not_fit_is_refused(
    device: SmallDevice, batcher: MicroBatcher[int, int]
) -> None:
    device.too_big = {2}
    futures = send_together(device, batcher, range(4))
    assert [outcome(f) for f in futures] == [0, 2, DeviceMemoryError, 6]
    assert batcher.max_batch_size == 1
    assert batcher.alive


def test_another_error_in_one_half_is_that_half_s(
    device: SmallDevice, batcher: MicroBatcher[int, int]
) -> None:
    def fail(items: list[int]) -> None:
        if items == [2, 3]:
            raise ValueError("device trouble")

    device.room, device.before = 2, fail
    futures = send_together(device, batcher, range(4))
    assert [outcome(f) for f in futures] == [0, 2, ValueError, ValueError]


def test_a_thread_that_dies_between_the_halves_answers_the_rest(
    device: SmallDevice, batcher: MicroBatcher[int, int]
) -> None:
    def die(items: list[int]) -> None:
        if items == [3, 4]:
            raise SystemExit("the driver is gone")

    device.room, device.before = 2, die
    futures = send_together(device, batcher, range(6))
    assert [outcome(f) for f in futures] == [0, 2, 4, *[EngineStoppedError] * 3]


def test_what_the_failed_batch_held_is_gone_before_its_halves_are_run() -> None:
    class Allocation:
        pass

    held: list[weakref.ref[Allocation]] = []
    alive_at_the_retry: list[bool] = []

    def run(items: list[int]) -> Sequence[int]:
        if held:
            alive_at_the_retry.append(held[0]() is not None)
        allocation = Allocation()
        if len(items) > 1:
            held.append(weakref.ref(allocation))
            raise DeviceMemoryError("too many")
        return items

    started = threading.Event()

    def wait_for_both() -> int:
        assert started.wait(PATIENCE_SECONDS)
        return 2

    batcher = MicroBatcher(run, max_batch_size=wait_for_both)
    gc.disable()  # nothing but the end of the error may free it
    try:
        futures = [batcher.submit(i) for i in (1, 2)]
        started.set()
        assert [outcome(f) for f in futures] == [1, 2]
    finally:
        gc.enable()
    assert alive_at_the_retry == [False, False]
    assert batcher.close(PATIENCE_SECONDS)
