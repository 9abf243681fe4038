"""The share of the cores that the thread that scores may use."""

import threading

import torch

from app.cores import Cores
from tests.clock import Clock


def test_what_workers_take_is_not_left():
    cores = Cores(4, Clock())
    assert cores.left == 4
    with cores.taking_one():
        with cores.taking_one():
            assert cores.left == 2
        assert cores.left == 3
    assert cores.left == 4


def test_one_core_is_always_left():
    cores = Cores(1)
    with cores.taking_one(), cores.taking_one():
        assert cores.left == 1


def test_none_is_free_once_all_are_taken():
    cores = Cores(2, Clock())
    with cores.taking_one():
        assert not cores.all_taken
        with cores.taking_one():
            assert cores.all_taken
        assert not cores.all_taken


def test_cores_that_were_busy_a_moment_ago_are_not_left_to_compute_on():
    clock = Clock()
    cores = Cores(4, clock)
    with cores.taking_one(), cores.taking_one():
        clock.now += 10  # ten seconds with two taken: the average is two
    clock.now += 0.01
    assert cores.left == 3  # two, faded to less than that
    clock.now += 1
    assert cores.left == 4


def test_a_caller_alone_who_prepares_half_of_the_time_has_all_cores():
    clock = Clock()
    cores = Cores(2, clock)
    for _ in range(1000):
        with cores.taking_one():
            clock.now += 0.011
        assert cores.left == 2
        clock.now += 0.008


def test_two_who_prepare_most_of_the_time_leave_one():
    clock = Clock()
    cores = Cores(2, clock)
    for _ in range(1000):
        with cores.taking_one(), cores.taking_one():
            clock.now += 0.011
        clock.now += 0.004
    assert cores.left == 1


def test_a_core_comes_back_from_work_that_fails():
    cores = Cores(2, Clock())
    try:
        with cores.taking_one():
            raise RuntimeError
    except RuntimeError:
        pass
    assert cores.left == 2


def test_torch_computes_on_the_cores_that_are_left():
    seen = []

    def score(cores: Cores) -> None:
        cores.compute_on_the_rest()
        seen.append(torch.get_num_threads())
        with cores.taking_one():
            cores.compute_on_the_rest()
            seen.append(torch.get_num_threads())

    thread = threading.Thread(target=score, args=(Cores(2, Clock()),))
    thread.start()
    thread.join()
    assert seen == [2, 1]
