"""The share of the cores that the thread that scores may use."""

import threading

import torch

from app.cores import Cores


def test_what_workers_take_is_not_left():
    cores = Cores(4)
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


def test_a_core_comes_back_from_work_that_fails():
    cores = Cores(2)
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

    thread = threading.Thread(target=score, args=(Cores(2),))
    thread.start()
    thread.join()
    assert seen == [2, 1]


def test_all_are_taken_when_as_many_work_as_there_are():
    cores = Cores(2)
    with cores.taking_one():
        assert not cores.all_taken
        with cores.taking_one():
            assert cores.all_taken
    assert not cores.all_taken
