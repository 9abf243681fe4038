"""The micro-batcher, with events and faults sent in through `run_batch`; no test looks at a clock
but the one it turns itself."""

import logging
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress

import pytest

from serfiq_core.errors import DeadlineExceededError, DeviceMemoryError, EngineStoppedError
from serfiq_core.scheduling.batching import BatchObservers, MicroBatcher
from tests.clock import Clock

PATIENCE_SECONDS = 30.0
"""Only ever reached when something hangs."""


class Device:
    """Doubles numbers, one batch each time the gate is opened; fails when told to."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.entered = threading.Semaphore(0)
        self.gate = threading.Semaphore(0)
        self.fault: BaseException | None = None
        self.results_missing = 0
        self.threads: set[int] = set()

    def run(self, items: list[int]) -> Sequence[int]:
        self.batches.append(list(items))
        self.threads.add(threading.get_ident())
        self.entered.release()
        assert self.gate.acquire(timeout=PATIENCE_SECONDS)
        if self.fault is not None:
            raise self.fault
        return [2 * item for item in items][self.results_missing :]

    def open(self, batches: int = 1) -> None:
        self.gate.release(batches)

    def wait_until_entered(self) -> None:
        assert self.entered.acquire(timeout=PATIENCE_SECONDS)


@pytest.fixture
def device() -> Device:
    return Device()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def batcher(device: Device, clock: Clock) -> Iterator[MicroBatcher[int, int]]:
    made = MicroBatcher(device.run, max_batch_size=4, clock=clock)
    yield made
    device.open(100)
    made.close(PATIENCE_SECONDS)


def answer(future: "Future[int]") -> int:
    return future.result(timeout=PATIENCE_SECONDS)


def error_of(future: "Future[int]") -> BaseException | None:
    return future.exception(timeout=PATIENCE_SECONDS)


def occupy(device: Device, batcher: MicroBatcher[int, int]) -> "Future[int]":
    """Starts a batch of one that holds the device until the gate opens."""
    future = batcher.submit(0)
    device.wait_until_entered()
    return future


def test_a_lone_item_is_run_at_once(device: Device, batcher: MicroBatcher[int, int]) -> None:
    future = batcher.submit(21)
    device.wait_until_entered()  # with the clock standing still: no timer was waited for
    device.open()
    assert answer(future) == 42
    assert device.batches == [[21]]


def test_what_waits_travels_together_in_order_up_to_the_largest_batch(
    device: Device, batcher: MicroBatcher[int, int]
) -> None:
    first = occupy(device, batcher)
    futures = [batcher.submit(i) for i in range(1, 7)]
    device.open(3)
    assert [answer(f) for f in [first, *futures]] == [0, 2, 4, 6, 8, 10, 12]
    assert device.batches == [[0], [1, 2, 3, 4], [5, 6]]


def test_a_batch_waits_for_company_until_enough_wait(device: Device) -> None:
    batcher = MicroBatcher(
        device.run, max_batch_size=4, patience=lambda waiting: 0.0 if waiting >= 3 else 1e6
    )
    device.open(2)
    futures = [batcher.submit(i) for i in range(3)]
    assert [answer(f) for f in futures] == [0, 2, 4]
    assert device.batches == [[0, 1, 2]]
    assert batcher.close(PATIENCE_SECONDS)


def test_a_full_batch_waits_for_no_more(device: Device) -> None:
    batcher = MicroBatcher(device.run, max_batch_size=2, patience=lambda _waiting: 1e6)
    device.open()
    futures = [batcher.submit(i) for i in range(2)]
    assert [answer(f) for f in futures] == [0, 2]
    assert batcher.close(PATIENCE_SECONDS)


def test_what_the_oldest_has_waited_counts(device: Device, clock: Clock) -> None:
    batcher = MicroBatcher(device.run, max_batch_size=4, patience=lambda _waiting: 1e6, clock=clock)
    first = batcher.submit(1)
    clock.now = 1e6
    second = batcher.submit(2)  # which makes the batcher ask again
    device.open()
    assert [answer(first), answer(second)] == [2, 4]
    assert device.batches == [[1, 2]]
    assert batcher.close(PATIENCE_SECONDS)


def test_patience_ends_without_company(device: Device) -> None:
    batcher = MicroBatcher(device.run, max_batch_size=4, patience=lambda _waiting: 1e-3)
    device.open()
    assert answer(batcher.submit(1)) == 2
    assert batcher.close(PATIENCE_SECONDS)


def test_closing_finishes_what_waits_for_company(device: Device) -> None:
    batcher = MicroBatcher(device.run, max_batch_size=4, patience=lambda _waiting: 1e6)
    future = batcher.submit(1)
    device.open()
    assert batcher.close(PATIENCE_SECONDS)
    assert answer(future) == 2


def test_patience_that_fails_leaves_nobody_waiting(device: Device) -> None:
    def fail(_waiting: int) -> float:
        raise RuntimeError

    batcher = MicroBatcher(device.run, max_batch_size=4, patience=fail)
    future = batcher.submit(1)
    assert isinstance(error_of(future), EngineStoppedError)
    assert not batcher.alive


def test_every_batch_runs_on_the_same_thread(
    device: Device, batcher: MicroBatcher[int, int]
) -> None:
    device.open(2)
    answer(batcher.submit(1))
    answer(batcher.submit(2))
    assert len(device.threads) == 1
    assert threading.get_ident() not in device.threads


def test_since_when_a_batch_is_running(
    device: Device, batcher: MicroBatcher[int, int], clock: Clock
) -> None:
    assert batcher.running_since is None
    clock.now = 3.0
    first = occupy(device, batcher)
    clock.now = 8.0
    second = batcher.submit(1)
    assert batcher.running_since == 3.0
    device.open()
    answer(first)
    device.wait_until_entered()
    assert batcher.running_since == 8.0
    device.open()
    answer(second)
    assert batcher.close(PATIENCE_SECONDS)
    assert batcher.running_since is None


def test_the_size_of_batches_may_be_found_out_first_on_that_thread(device: Device) -> None:
    sizes: list[float] = []

    def find_out() -> int:
        device.threads.add(threading.get_ident())
        assert device.gate.acquire(timeout=PATIENCE_SECONDS)
        return 3

    batcher = MicroBatcher(
        device.run, max_batch_size=find_out, observers=BatchObservers(max_batch_size=sizes.append)
    )
    assert batcher.max_batch_size == 1
    futures = [batcher.submit(i) for i in range(5)]
    device.open(3)
    assert [answer(f) for f in futures] == [0, 2, 4, 6, 8]
    assert device.batches == [[0, 1, 2], [3, 4]]
    assert batcher.max_batch_size == 3
    assert sizes == [3]
    assert len(device.threads) == 1
    assert batcher.close(PATIENCE_SECONDS)


def test_when_the_size_cannot_be_found_out_nobody_waits(device: Device) -> None:
    def fail() -> int:
        raise RuntimeError("no kernel image is available")

    batcher = MicroBatcher(device.run, max_batch_size=fail)
    with pytest.raises(EngineStoppedError):
        answer(batcher.submit(1))
    assert not batcher.alive


def test_a_failed_batch_answers_every_waiter_and_the_next_batch_runs(
    device: Device, batcher: MicroBatcher[int, int]
) -> None:
    first = occupy(device, batcher)
    doomed = [batcher.submit(i) for i in range(1, 4)]
    device.open()
    answer(first)
    device.wait_until_entered()
    device.fault = ValueError("device trouble")
    device.open()
    assert [error_of(f) for f in doomed] == [device.fault] * 3
    device.fault = None
    device.open()
    assert answer(batcher.submit(5)) == 10
    assert batcher.alive


@pytest.mark.parametrize("missing", [1, 2])
def test_a_wrong_number_of_results_answers_every_waiter(
    device: Device, batcher: MicroBatcher[int, int], missing: int
) -> None:
    first = occupy(device, batcher)
    doomed = [batcher.submit(i) for i in (1, 2)]
    device.open()
    answer(first)
    device.wait_until_entered()
    device.results_missing = missing
    device.open()
    assert [type(error_of(f)) for f in doomed] == [RuntimeError, RuntimeError]
    assert batcher.alive


def test_a_caller_who_left_is_dropped_before_the_batch(
    device: Device, batcher: MicroBatcher[int, int]
) -> None:
    occupy(device, batcher)
    leaver, stayer = batcher.submit(1), batcher.submit(2)
    assert leaver.cancel()
    device.open(2)
    assert answer(stayer) == 4
    assert device.batches == [[0], [2]]


def test_who_leaves_leaves_the_queue_at_once(
    device: Device, batcher: MicroBatcher[int, int]
) -> None:
    occupy(device, batcher)
    leavers, stayer = [batcher.submit(i) for i in range(100)], batcher.submit(100)
    for leaver in leavers:
        assert leaver.cancel()
    assert batcher.depth == 1
    device.open(2)
    assert answer(stayer) == 200


def test_when_everyone_leaves_while_company_is_waited_for_the_thread_goes_on(
    device: Device,
) -> None:
    leavers: list[Future[int]] = []
    asked, submitted = threading.Event(), threading.Event()

    def patience(_waiting: int) -> float:
        asked.set()
        assert submitted.wait(PATIENCE_SECONDS)
        leavers[0].cancel()
        return 0.0

    batcher = MicroBatcher(device.run, max_batch_size=4, patience=patience)
    leavers.append(batcher.submit(1))
    assert asked.wait(PATIENCE_SECONDS)
    submitted.set()
    device.open()
    assert answer(batcher.submit(2)) == 4
    assert device.batches == [[2]]
    assert batcher.close(PATIENCE_SECONDS)


def test_when_everyone_left_no_empty_batch_is_run(
    device: Device, batcher: MicroBatcher[int, int]
) -> None:
    occupy(device, batcher)
    leavers = [batcher.submit(i) for i in (1, 2)]
    assert all(leaver.cancel() for leaver in leavers)
    device.open(2)
    assert answer(batcher.submit(3)) == 6
    assert [] not in device.batches


def test_past_the_deadline_an_item_is_dropped_before_the_batch(
    device: Device, batcher: MicroBatcher[int, int], clock: Clock
) -> None:
    occupy(device, batcher)
    late, in_time = batcher.submit(1, deadline=5.0), batcher.submit(2, deadline=6.0)
    clock.now = 5.5
    device.open(2)
    assert isinstance(error_of(late), DeadlineExceededError)
    assert answer(in_time) == 4
    assert device.batches == [[0], [2]]


@pytest.mark.parametrize("fault", [SystemExit("gone"), KeyboardInterrupt(), MemoryError()])
def test_whatever_a_batch_raises_everyone_is_answered(
    device: Device, batcher: MicroBatcher[int, int], fault: BaseException
) -> None:
    futures = [occupy(device, batcher), batcher.submit(1), batcher.submit(2)]
    device.fault = fault
    device.open(2)
    assert all(error_of(future) is not None for future in futures)


def test_a_dead_thread_answers_everything_and_says_so(
    device: Device, batcher: MicroBatcher[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    futures = [occupy(device, batcher), batcher.submit(1), batcher.submit(2)]
    device.fault = SystemExit("the driver is gone")
    with caplog.at_level(logging.CRITICAL):
        device.open()
        assert [type(error_of(f)) for f in futures] == [EngineStoppedError] * 3
    assert not batcher.alive
    assert "the device thread died" in caplog.text
    with pytest.raises(EngineStoppedError):
        batcher.submit(3)


def test_a_device_that_is_lost_ends_the_thread_and_everyone_is_answered(
    device: Device, caplog: pytest.LogCaptureFixture
) -> None:
    lost: list[bool] = [False, True]
    batcher = MicroBatcher(device.run, max_batch_size=4, lost=lambda: lost.pop(0))
    device.fault = RuntimeError("an illegal memory access was encountered")
    device.open()
    assert error_of(batcher.submit(0)) is device.fault  # and the next batch is tried
    device.wait_until_entered()
    futures = [occupy(device, batcher), *[batcher.submit(i) for i in range(1, 6)]]
    with caplog.at_level(logging.CRITICAL):
        device.open()
        assert [type(error_of(f)) for f in futures] == [EngineStoppedError] * 6
    assert not batcher.alive
    assert "an illegal memory access" in caplog.text
    assert lost == []


def test_a_device_that_is_lost_is_asked_for_no_smaller_batch(device: Device) -> None:
    batcher = MicroBatcher(device.run, max_batch_size=4, lost=lambda: True)
    first = occupy(device, batcher)
    device.fault = DeviceMemoryError("so it says")
    futures = [first, batcher.submit(1), batcher.submit(2)]
    device.open(3)
    assert [type(error_of(f)) for f in futures] == [EngineStoppedError] * 3
    assert device.batches == [[0]]


def test_a_faulty_observer_leaves_nobody_waiting(device: Device) -> None:
    def fail(_: float) -> None:
        raise RuntimeError("observer")

    batcher = MicroBatcher(device.run, max_batch_size=1, observers=BatchObservers(batch_size=fail))
    assert isinstance(error_of(batcher.submit(1)), EngineStoppedError)
    assert not batcher.alive


def test_close_finishes_what_was_accepted_and_refuses_the_rest(
    device: Device, batcher: MicroBatcher[int, int]
) -> None:
    futures = [occupy(device, batcher), *[batcher.submit(i) for i in range(1, 6)]]
    closed: list[bool] = []
    closer = threading.Thread(target=lambda: closed.append(batcher.close(PATIENCE_SECONDS)))
    closer.start()
    with suppress(EngineStoppedError):
        while True:  # until the closer has got as far as refusing
            batcher.submit(9).cancel()
    device.open(3)
    assert [answer(f) for f in futures] == [0, 2, 4, 6, 8, 10]
    closer.join(PATIENCE_SECONDS)
    assert closed == [True]
    assert not batcher.alive


def test_close_that_loses_patience_still_answers_everyone(
    device: Device, batcher: MicroBatcher[int, int]
) -> None:
    futures = [occupy(device, batcher), batcher.submit(1)]
    leaver = batcher.submit(2)
    leaver.cancel()
    assert batcher.close(0.0) is False
    assert [type(error_of(f)) for f in futures] == [EngineStoppedError] * 2
    assert leaver.cancelled()
    device.open()  # the batch that was running comes home to nobody, quietly
    assert batcher.close(PATIENCE_SECONDS) is True
    assert device.batches == [[0]]


def test_close_twice_is_once(device: Device, batcher: MicroBatcher[int, int]) -> None:
    assert batcher.close(PATIENCE_SECONDS)
    assert batcher.close(PATIENCE_SECONDS)


def test_observers_see_sizes_depths_and_waits(device: Device, clock: Clock) -> None:
    sizes: list[float] = []
    depths: list[float] = []
    waits: list[float] = []
    observers = BatchObservers(sizes.append, depths.append, waits.append)
    batcher = MicroBatcher(device.run, max_batch_size=4, observers=observers, clock=clock)
    occupy(device, batcher)
    batcher.submit(1)
    clock.now = 2.0
    last = batcher.submit(2)
    clock.now = 3.0
    device.open(2)
    answer(last)
    assert batcher.close(PATIENCE_SECONDS)
    assert sizes == [1, 2]
    assert depths == [1, 0, 1, 2, 0, 0]
    assert waits == [0.0, 3.0, 1.0]
    assert batcher.depth == 0


def test_many_threads_each_get_their_own_answer(
    device: Device,
) -> None:
    batcher = MicroBatcher(lambda items: [2 * i for i in items], max_batch_size=16)
    answers: dict[int, list[int]] = {}

    def call(caller: int) -> None:
        futures = [batcher.submit(1000 * caller + i) for i in range(100)]
        answers[caller] = [answer(f) for f in futures]

    callers = [threading.Thread(target=call, args=(i,)) for i in range(8)]
    for thread in callers:
        thread.start()
    for thread in callers:
        thread.join(PATIENCE_SECONDS)
    assert answers == {c: [2 * (1000 * c + i) for i in range(100)] for c in range(8)}
    assert batcher.close(PATIENCE_SECONDS)
