"""A graph gives what its kernels give one by one."""

import pytest
import torch

from benchmarks.gpu import Bench
from serfiq_core.recorded import Recorded

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


def test_what_waits_for_the_device_is_computed_without_a_graph(caplog):
    recorded = Recorded(lambda batch: [batch * batch.max().item()], CUDA)
    batch = torch.arange(6.0).view(3, 2)
    for _ in range(2):
        assert torch.equal(recorded(batch)[0], 5 * batch)
    assert "batches of 4 are not recorded" in caplog.text
    # And the device is none the worse for it.
    assert torch.equal(Recorded(lambda each: [each + 1], CUDA)(batch)[0], batch + 1)
