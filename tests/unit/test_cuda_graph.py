"""What of recording can be checked without a GPU: sizes, and what becomes of what cannot be."""

from unittest.mock import MagicMock, Mock

import pytest
import torch

from serfiq_core.gpu import cuda_graph as module
from serfiq_core.gpu.cuda_graph import WARM_UPS, Recorded, record, recorded_size


def doubled(batch):
    return [2 * batch, batch.sum(1)]


@pytest.mark.parametrize(("count", "size"), [(1, 1), (2, 2), (3, 4), (5, 8), (64, 64), (65, 128)])
def test_sizes_are_rounded_up_to_powers_of_two(count, size):
    assert recorded_size(count) == size


class FakeRecording:
    """Remembers what it was asked to record, and fails as it is told to."""

    made: list[int]
    pools: list[str | None]
    error: Exception | None = None

    def __init__(self, compute, batch, device, pool):
        self.pools.append(pool)
        if self.error is not None:
            raise self.error
        self.made.append(len(batch))
        self.compute = compute
        self.graph = self

    def pool(self):
        return "the pool"

    def __call__(self, batch):
        return self.compute(batch)


@pytest.fixture
def recording(monkeypatch):
    monkeypatch.setattr(module, "_Recording", FakeRecording)
    monkeypatch.setattr(torch.cuda, "device", lambda _: torch.no_grad())
    monkeypatch.setattr(FakeRecording, "made", [], raising=False)
    monkeypatch.setattr(FakeRecording, "pools", [], raising=False)
    return FakeRecording


def test_each_size_is_recorded_once_and_all_share_one_memory(recording):
    recorded = Recorded(doubled, torch.device("cpu"))
    for count in (3, 4, 1, 3):
        batch = torch.ones(count, 5)
        assert all(map(torch.equal, recorded(batch), doubled(batch)))
    assert recording.made == [4, 1]
    assert recording.pools == [None, "the pool"]


def test_what_cannot_be_recorded_is_computed_and_the_log_says_why(recording, monkeypatch, caplog):
    monkeypatch.setattr(recording, "error", RuntimeError("operation not permitted"))
    recorded = Recorded(doubled, torch.device("cpu"))
    for _ in range(2):
        assert torch.equal(recorded(torch.ones(3, 5))[1], torch.full((3,), 5.0))
    assert caplog.text.count("batches of 4 are not recorded as a graph: RuntimeError") == 1


def test_memory_that_a_recording_failed_in_is_not_recorded_into_again(recording, monkeypatch):
    recorded = Recorded(doubled, torch.device("cpu"))
    recorded(torch.ones(1, 5))
    with monkeypatch.context() as failing:
        failing.setattr(recording, "error", RuntimeError("operation not permitted"))
        recorded(torch.ones(2, 5))
    recorded(torch.ones(3, 5))
    assert recording.pools == [None, "the pool", None]


def test_a_recording_that_fails_no_longer_allocates(monkeypatch):
    stand_in = MagicMock()
    monkeypatch.setattr(module, "torch", stand_in)
    compute = Mock(side_effect=[None] * WARM_UPS + [RuntimeError("operation not permitted")])
    with pytest.raises(RuntimeError, match="not permitted"):
        record(compute, "the pool")
    device = stand_in.cuda.current_device()
    stand_in._C._cuda_endAllocateToPool.assert_called_once_with(device, "the pool")


def test_out_of_memory_is_told_and_tried_again(recording, monkeypatch):
    monkeypatch.setattr(recording, "error", torch.OutOfMemoryError("no memory is left"))
    recorded = Recorded(doubled, torch.device("cpu"))
    with pytest.raises(torch.OutOfMemoryError):
        recorded(torch.ones(3, 5))
    monkeypatch.setattr(recording, "error", None)
    recorded(torch.ones(3, 5))
    assert recording.made == [4]
