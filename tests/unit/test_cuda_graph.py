"""What of recording can be checked without a GPU: sizes, and what becomes of what cannot be."""

import pytest
import torch

from serfiq_core.gpu import cuda_graph as module
from serfiq_core.gpu.cuda_graph import Recorded, recorded_size


def doubled(batch):
    return [2 * batch, batch.sum(1)]


@pytest.mark.parametrize(("count", "size"), [(1, 1), (2, 2), (3, 4), (5, 8), (64, 64), (65, 128)])
def test_sizes_are_rounded_up_to_powers_of_two(count, size):
    assert recorded_size(count) == size


class FakeRecording:
    """Remembers what it was asked to record, and fails as it is told to."""

    made: list[int]
    error: Exception | None = None

    def __init__(self, compute, batch, device, pool):
        if self.error is not None:
            raise self.error
        self.made.append(len(batch))
        self.compute = compute
        self.graph = self
        assert pool == ("the pool" if len(self.made) > 1 else None)

    def pool(self):
        return "the pool"

    def __call__(self, batch):
        return self.compute(batch)


@pytest.fixture
def recording(monkeypatch):
    monkeypatch.setattr(module, "_Recording", FakeRecording)
    monkeypatch.setattr(torch.cuda, "device", lambda _: torch.no_grad())
    monkeypatch.setattr(FakeRecording, "made", [], raising=False)
    return FakeRecording


def test_each_size_is_recorded_once_and_all_share_one_memory(recording):
    recorded = Recorded(doubled, torch.device("cpu"))
    for count in (3, 4, 1, 3):
        batch = torch.ones(count, 5)
        assert all(map(torch.equal, recorded(batch), doubled(batch)))
    assert recording.made == [4, 1]


def test_what_cannot_be_recorded_is_computed_and_the_log_says_why(recording, monkeypatch, caplog):
    monkeypatch.setattr(recording, "error", RuntimeError("operation not permitted"))
    recorded = Recorded(doubled, torch.device("cpu"))
    for _ in range(2):
        assert torch.equal(recorded(torch.ones(3, 5))[1], torch.full((3,), 5.0))
    assert caplog.text.count("batches of 4 are not recorded as a graph: RuntimeError") == 1


def test_out_of_memory_is_told_and_tried_again(recording, monkeypatch):
    monkeypatch.setattr(recording, "error", torch.OutOfMemoryError("no memory is left"))
    recorded = Recorded(doubled, torch.device("cpu"))
    with pytest.raises(torch.OutOfMemoryError):
        recorded(torch.ones(3, 5))
    monkeypatch.setattr(recording, "error", None)
    recorded(torch.ones(3, 5))
    assert recording.made == [4]
