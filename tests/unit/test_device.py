"""When the device begins a batch: on a clock that stands still, so that no time is waited for."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import torch

from app.cores import Cores
from app.device import (
    CROWDED_FROM,
    GREY_FACE,
    LONGEST_WAIT_SECONDS,
    WORTHWHILE_BATCH,
    Device,
    FaceTask,
)
from app.metrics import Metrics
from serfiq_core.errors import DeviceMemoryError, EngineStoppedError
from serfiq_core.testing import FakePipeline
from tests.clock import Clock

PATIENCE_SECONDS = 30.0
"""Only ever reached when something hangs."""

GREY = FaceTask(GREY_FACE)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sizes() -> list[int]:
    """Of the batches that were run."""
    return []


@pytest.fixture
def start(clock: Clock, sizes: list[int]) -> Iterator[Callable[..., Device]]:
    devices: list[Device] = []

    def begin(cores: Cores, in_flight: int = CROWDED_FROM) -> Device:
        pipeline = FakePipeline(before_score=sizes.append)
        devices.append(Device(pipeline, cores, lambda: in_flight, 64, Metrics(), clock))
        return devices[-1]

    yield begin
    for device in devices:
        device.batcher.close(PATIENCE_SECONDS)


def test_where_a_core_is_free_a_face_is_scored_at_once(
    start: Callable[..., Device], sizes: list[int]
) -> None:
    cores = Cores(2)
    with cores.taking_one():
        start(cores).submit(GREY).result(PATIENCE_SECONDS)
    assert sizes == [1]


def test_among_few_on_their_way_nobody_waits_for_company(
    start: Callable[..., Device], sizes: list[int]
) -> None:
    cores = Cores(1)
    with cores.taking_one():
        start(cores, in_flight=CROWDED_FROM - 1).submit(GREY).result(PATIENCE_SECONDS)
    assert sizes == [1]


def test_while_every_core_prepares_faces_wait_for_company(
    start: Callable[..., Device], sizes: list[int]
) -> None:
    cores = Cores(1)
    device = start(cores)
    with cores.taking_one():
        futures = [device.submit(GREY) for _ in range(WORTHWHILE_BATCH)]
        for future in futures:
            future.result(PATIENCE_SECONDS)
    assert sizes == [WORTHWHILE_BATCH]


def test_a_core_that_is_free_again_ends_the_waiting(
    start: Callable[..., Device], sizes: list[int]
) -> None:
    cores = Cores(1)
    device = start(cores)
    with cores.taking_one():
        first = device.submit(GREY)
    # The last one that was prepared; had the first waited for the clock, it would wait for ever.
    second = device.submit(GREY)
    first.result(PATIENCE_SECONDS)
    second.result(PATIENCE_SECONDS)
    assert sum(sizes) == 2


def test_nobody_waits_longer_than_that_for_company(
    start: Callable[..., Device], sizes: list[int], clock: Clock
) -> None:
    cores = Cores(1)
    device = start(cores)
    with cores.taking_one():
        first = device.submit(GREY)
        clock.now = LONGEST_WAIT_SECONDS
        second = device.submit(GREY)  # which makes the device look at the clock
        first.result(PATIENCE_SECONDS)
        second.result(PATIENCE_SECONDS)
    assert sum(sizes) == 2


@pytest.mark.parametrize("device_name", ["cuda", "cpu"])
def test_a_gpu_has_made_a_gradient_map_before_the_first_caller_asks(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, device_name: str
) -> None:
    pipeline = FakePipeline()
    pipeline.info = replace(pipeline.info, device=device_name)
    made: list[object] = []
    monkeypatch.setattr(pipeline, "gradient_map", made.append)
    device = Device(pipeline, Cores(2), lambda: 0, 1, Metrics(), clock)
    device.warm_up()
    assert len(made) == (device_name == "cuda")
    device.batcher.close(PATIENCE_SECONDS)


@pytest.mark.parametrize(
    ("device_name", "most_that_fit", "met"),
    [("cuda", 64, [1, 2, 4, 6]), ("cuda", 3, [1, 2, 4]), ("cpu", 64, [])],
)
def test_a_gpu_meets_every_size_before_the_first_caller(
    clock: Clock, sizes: list[int], device_name: str, most_that_fit: int, met: list[int]
) -> None:
    def before_score(size: int) -> None:
        sizes.append(size)
        if size > most_that_fit:
            raise DeviceMemoryError("no memory is left")

    pipeline = FakePipeline(before_score=before_score)
    pipeline.info = replace(pipeline.info, device=device_name)
    device = Device(pipeline, Cores(2), lambda: 0, 6, Metrics(), clock)
    device.submit(GREY).result(PATIENCE_SECONDS)
    assert sizes == [*met, 1]
    assert device.batcher.max_batch_size == 6
    device.batcher.close(PATIENCE_SECONDS)


@pytest.mark.parametrize("batch_error", ["CUBLAS_STATUS_EXECUTION_FAILED", "out of memory"])
@pytest.mark.parametrize(
    ("error", "ends"),
    [
        (None, False),
        ("CUDA error: out of memory", False),
        ("CUDA error: an illegal memory access was encountered", True),
    ],
)
def test_a_gpu_is_asked_after_a_batch_failed_whether_it_is_lost(
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    batch_error: str,
    error: str | None,
    ends: bool,
) -> None:
    def before_score(_: int) -> None:
        raise RuntimeError(batch_error)

    def synchronize() -> None:
        if error is not None:
            raise torch.AcceleratorError(error)

    monkeypatch.setattr(torch.cuda, "synchronize", synchronize)
    pipeline = FakePipeline()
    pipeline.info = replace(pipeline.info, device="cuda")
    device = Device(pipeline, Cores(2), lambda: 0, 1, Metrics(), clock)
    device.submit(GREY).result(PATIENCE_SECONDS)
    monkeypatch.setattr(pipeline, "score", before_score)
    failed = device.submit(GREY).exception(PATIENCE_SECONDS)
    assert isinstance(failed, EngineStoppedError) == ends
    assert isinstance(device.trouble(PATIENCE_SECONDS), EngineStoppedError) == ends
    device.batcher.close(PATIENCE_SECONDS)


def test_sizes_are_measured_on_the_cores_that_batches_have_later(clock: Clock) -> None:
    threads: set[int] = set()
    pipeline = FakePipeline(before_score=lambda _: threads.add(torch.get_num_threads()))
    device = Device(pipeline, Cores(3), lambda: 0, None, Metrics(), clock)
    device.warm_up()
    device.batcher.close(PATIENCE_SECONDS)
    assert threads == {3}
