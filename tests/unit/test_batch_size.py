"""Finding the batch size, on devices whose time per batch is a formula."""

from collections.abc import Callable, Iterator

import pytest

from serfiq_core.errors import DeviceMemoryError
from serfiq_core.scheduling.batch_size import REPETITIONS, best_batch_size


class Device:
    """Takes `seconds(size)` for a batch; has room for so many items."""

    def __init__(self, seconds: Callable[[int], float], room: int = 1000) -> None:
        self._seconds = seconds
        self._room = room
        self.now = 0.0
        self.sizes: list[int] = []
        self.extra: Iterator[float] = iter(())

    def run(self, size: int) -> None:
        if not self.sizes or self.sizes[-1] != size:
            self.sizes.append(size)
        if size > self._room:
            raise DeviceMemoryError(f"{size} do not fit")
        self.now += self._seconds(size) + next(self.extra, 0.0)

    def clock(self) -> float:
        return self.now

    def best(self, largest: int = 64) -> int:
        return best_batch_size(self.run, largest, self.clock)


def test_a_device_that_is_full_with_one_item_gets_one_and_is_asked_little() -> None:
    device = Device(lambda size: 0.07 * size)
    assert device.best() == 1
    assert device.sizes == [1, 2, 4]


def test_where_larger_is_always_faster_the_largest_is_taken() -> None:
    device = Device(lambda size: 1.0 + 0.001 * size)
    assert device.best() == 64
    assert device.sizes == [1, 2, 4, 8, 16, 32, 64]


def test_the_smallest_size_close_to_the_best_is_taken() -> None:
    # 11, 6, 3.5, 2.25, 1.625, 1.31, 1.16 per item: each saves more than 5 % and the last is best.
    assert Device(lambda size: 10.0 + size).best() == 64
    # 1.5, 1.25, 1.125, 1.06, 1.03, 1.016: 8 is the first within 5 % of the best that was seen.
    assert Device(lambda size: 0.5 + size).best() == 8


def test_one_fruitless_size_does_not_end_the_search_and_two_do() -> None:
    per_item = {1: 1.0, 2: 1.0, 4: 0.5, 8: 0.5, 16: 0.5, 32: 0.1}
    device = Device(lambda size: per_item[size] * size)
    assert device.best() == 4
    assert device.sizes == [1, 2, 4, 8, 16]


def test_larger_batches_that_are_slower_are_not_taken() -> None:
    per_item = {1: 1.0, 2: 0.6, 4: 0.4, 8: 0.7, 16: 0.9}
    assert Device(lambda size: per_item[size] * size).best() == 4


@pytest.mark.parametrize(("room", "best"), [(1, 1), (3, 2), (16, 16), (63, 32)])
def test_memory_ends_the_search_at_the_size_before(room: int, best: int) -> None:
    device = Device(lambda _: 1.0, room)
    assert device.best() == best
    assert device.sizes[-1] == 2 * best


def test_without_room_for_one_there_is_no_size() -> None:
    with pytest.raises(DeviceMemoryError):
        Device(lambda _: 1.0, room=0).best()


@pytest.mark.parametrize(("largest", "tried"), [(1, [1]), (5, [1, 2, 4]), (8, [1, 2, 4, 8])])
def test_nothing_larger_than_the_largest_is_tried(largest: int, tried: list[int]) -> None:
    device = Device(lambda _: 1.0)
    assert device.best(largest) == tried[-1]
    assert device.sizes == tried


def test_the_first_run_of_a_size_and_a_disturbed_one_do_not_count() -> None:
    device = Device(lambda size: 1.0 + 0.001 * size)
    warming_up_and_disturbed = [100.0, *[0.0] * (REPETITIONS - 2), 7.0]
    device.extra = iter(warming_up_and_disturbed * 7)
    assert device.best() == 64


def test_other_errors_are_not_hidden() -> None:
    def fail(_: int) -> None:
        raise RuntimeError("no kernel image is available")

    with pytest.raises(RuntimeError, match="no kernel"):
        best_batch_size(fail, 64)
