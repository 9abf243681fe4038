"""The bound on work: what is let in, what is refused, and what the refused are told."""

import threading
from collections.abc import Callable

import pytest

from serfiq_core.errors import OverloadedError
from serfiq_core.scheduling.admission import Admission
from tests.clock import Clock


def test_captures_come_in_until_their_work_fills_the_bound() -> None:
    admission = Admission(5.0)
    admission.admit(1.0)
    admission.admit(2.5)
    with pytest.raises(OverloadedError):
        admission.admit(2.0)
    admission.admit(1.5)  # the bound itself
    with pytest.raises(OverloadedError):
        admission.admit(0.1)
    assert admission.captures == 3


def test_one_large_capture_fills_what_many_small_ones_would() -> None:
    small, large = Admission(8.0), Admission(8.0)
    for _ in range(8):
        small.admit(1.0)
    large.admit(7.5)
    for admission in (small, large):
        with pytest.raises(OverloadedError):
            admission.admit(1.0)


def test_a_refusal_takes_no_room() -> None:
    admission = Admission(4.0)
    admission.admit(2.0)
    for _ in range(10):
        with pytest.raises(OverloadedError):
            admission.admit(3.0)
    admission.admit(2.0)


def test_what_is_released_makes_room() -> None:
    admission = Admission(4.0)
    admission.admit(4.0)
    admission.release(4.0, done=4.0)
    admission.admit(4.0)
    admission.release(4.0, done=0.0)
    assert admission.captures == 0


class TestBatch:
    """Admitted by its size, to be taken apart; then exchanged for its captures."""

    def test_each_capture_of_it_takes_room_and_is_released_by_itself(self) -> None:
        admission = Admission(5.0)
        admission.admit(1.5)
        admission.exchange(1.5, [1.0, 2.0, 1.0])
        assert admission.captures == 3
        with pytest.raises(OverloadedError):
            admission.admit(1.5)
        admission.release(2.0, done=2.0)
        admission.admit(1.5)

    def test_what_was_held_for_it_does_not_stand_in_its_way(self) -> None:
        admission = Admission(5.0)
        admission.admit(4.0)
        admission.exchange(4.0, [1.0] * 5)
        assert admission.captures == 5

    def test_where_there_is_no_room_for_all_none_comes_in(self) -> None:
        admission = Admission(5.0)
        admission.admit(2.0)
        admission.admit(1.0)
        with pytest.raises(OverloadedError):
            admission.exchange(1.0, [1.0] * 4)
        assert admission.captures == 1
        admission.admit(3.0)

    def test_one_larger_than_the_bound_comes_in_alone(self) -> None:
        admission = Admission(5.0)
        admission.admit(1.0)
        admission.exchange(1.0, [1.0] * 64)
        assert admission.captures == 64
        with pytest.raises(OverloadedError):
            admission.admit(1.0)


def test_a_capture_larger_than_the_bound_comes_in_alone() -> None:
    admission = Admission(4.0)
    admission.admit(17.0)
    with pytest.raises(OverloadedError):
        admission.admit(1.0)
    admission.release(17.0, done=17.0)
    admission.admit(1.0)
    with pytest.raises(OverloadedError):
        admission.admit(17.0)


def test_checking_says_what_admitting_would_and_changes_nothing() -> None:
    admission = Admission(2.0)
    admission.check(99.0)
    admission.admit(1.5)
    admission.check(0.5)
    with pytest.raises(OverloadedError):
        admission.check(1.0)
    assert admission.captures == 1
    admission.admit(0.5)


def let_in_alone(admission: Admission) -> None:
    admission.admit(1.0)


def let_in_as_a_batch(admission: Admission) -> None:
    """To take a batch apart is nothing that was done."""
    admission.admit(1.0)
    admission.exchange(1.0, [1.0])


@pytest.mark.parametrize("let_in", [let_in_alone, let_in_as_a_batch])
def test_the_refused_are_told_when_the_queue_will_have_drained(
    let_in: Callable[[Admission], None],
) -> None:
    clock = Clock()
    admission = Admission(12.0, clock)
    admission.admit(6.0)
    for _ in range(20):  # two units a second
        let_in(admission)
        clock.now += 0.5
        admission.release(1.0, done=1.0)
    admission.admit(6.0)
    with pytest.raises(OverloadedError) as refused:
        admission.admit(1.0)
    assert refused.value.retry_after_seconds == pytest.approx(12.0 / 2.0, rel=0.1)
    assert "12.0 of 12 units" in str(refused.value)


def test_many_threads_never_pass_the_bound() -> None:
    admission = Admission(10.0)
    most_seen: list[int] = []

    def come_and_go() -> None:
        for _ in range(500):
            try:
                admission.admit(1.0)
            except OverloadedError:
                continue
            most_seen.append(admission.captures)
            admission.release(1.0, done=1.0)

    threads = [threading.Thread(target=come_and_go) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30.0)
    assert max(most_seen) <= 10
    assert admission.captures == 0
