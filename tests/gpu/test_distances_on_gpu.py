"""The kernel of the distances on the device it is for: TF32 exists nowhere else."""

import pytest
import torch

from serfiq_core.scoring import distances as module
from serfiq_core.scoring.distances import distance_row_means, distance_row_means_torch
from tests.unit.test_distances import CASES, scattered

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

AT_FULL_SIZE = {
    f"{passes}_passes_scattered_by_{scatter}": scattered(3, passes, 512, scatter)
    for passes in (100, 1000)
    for scatter in (0.01, 1)
}


@pytest.mark.parametrize("size", [128, 512])
def test_the_kernel_is_the_one_that_runs(size):
    assert module._fused_row_means(torch.empty(0, device="cuda").device, size) is not None


@pytest.mark.parametrize("outputs", (CASES | AT_FULL_SIZE).values(), ids=CASES | AT_FULL_SIZE)
def test_equals_float64(outputs):
    found, expected = distance_row_means(outputs.cuda()).cpu(), distance_row_means_torch(outputs)
    torch.testing.assert_close(found, expected, rtol=0, atol=module.DISTANCE_ERROR, equal_nan=True)


def test_a_face_alone_gets_what_it_gets_in_a_batch():
    outputs = scattered(64, 100, 512).cuda()
    together = distance_row_means(outputs)
    assert torch.equal(distance_row_means(outputs[63:])[0], together[63])
