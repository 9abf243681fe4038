"""A graph gives what its kernels give one by one."""

import pytest
import torch

from benchmarks.gpu import Bench
from serfiq_core.gpu.cuda_graph import Recorded

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

CUDA = torch.device("cuda")


@pytest.mark.parametrize("depth", [None, 50])
def test_scores_are_what_they_are_without_a_graph(depth):
    bench = Bench(depth, "float16")
    sampled, closed_form = bench.sampled(), bench.closed_form()

    def compute(aligned):
        features = bench.recogniser.unconverted_features(aligned)
        return [sampled.row_means(features), closed_form.mean_distances(features)]

    recorded = Recorded(compute, CUDA)
    with torch.no_grad():
        for first, last in ((0, 64), (10, 13), (0, 1), (60, 64)):
            faces = bench.aligned[first:last]
            again = [recorded(faces.cpu()) for _ in range(2)]
            assert all(map(torch.equal, *again))
            for result, expected in zip(again[0], compute(faces), strict=True):
                assert result.device.type == "cpu"
                assert result.shape == expected.shape
                assert torch.allclose(result, expected.cpu(), atol=2e-4)


def test_what_cannot_be_recorded_leaves_other_sizes_as_they_were(caplog):
    def compute(batch):
        if len(batch) > 2:
            return [batch * batch.max().item()]  # waits for the device
        for _ in range(200):
            batch = batch + 1
        return [batch]

    recorded = Recorded(compute, CUDA)
    before = torch.cuda.current_stream()
    alone, three = torch.ones(1, 2), torch.arange(6.0).view(3, 2)
    recorded(alone)
    for _ in range(2):
        assert torch.equal(recorded(three)[0], 5 * three)
    assert "batches of 4 are not recorded" in caplog.text
    assert torch.cuda.current_stream() == before
    two = torch.ones(2, 2)  # recorded after the failure
    for number in (5.0, 7.0):
        assert torch.equal(recorded(number * alone)[0], (200 + number) * alone)
        assert torch.equal(recorded(number * two)[0], (200 + number) * two)
    assert caplog.text.count("are not recorded") == 1
