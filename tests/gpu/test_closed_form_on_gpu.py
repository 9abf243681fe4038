"""The kernels of the closed form on the device they are for."""

import pytest
import torch

from benchmarks.gpu import BATCH, RATE, Bench
from serfiq_core.scoring.closed_form import ClosedForm

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

COMPACT, IRESNET_50 = None, 50


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.no_grad():
        yield


@pytest.mark.parametrize("precision", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("depth", [COMPACT, IRESNET_50])
def test_the_kernels_run_and_say_what_float64_says(depth, precision):
    bench = Bench(depth, precision)
    closed_form, features = bench.closed_form(), bench.features()
    assert closed_form._fused is not None
    head = bench.recogniser.head.to(torch.device("cpu"), torch.float32)
    expected = ClosedForm(head, RATE).mean_distances(features.cpu().float())
    found = closed_form.mean_distances(features).cpu()
    assert found.dtype == torch.float64
    tolerance = 1e-5 if precision == "float32" else 2e-3
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=0)


def test_a_face_alone_gets_what_it_gets_in_a_batch_but_for_rounding():
    bench = Bench(IRESNET_50, "float16")
    closed_form, features = bench.closed_form(), bench.features()
    together = closed_form.mean_distances(features)
    for index in (0, BATCH - 1):
        alone = closed_form.mean_distances(features[index : index + 1])
        torch.testing.assert_close(alone[0], together[index], rtol=1e-4, atol=0)


def test_nothing_scatters_without_features():
    bench = Bench(COMPACT, "float16")
    nothing = torch.zeros(3, bench.recogniser.head.feature_count, device="cuda")
    assert bench.closed_form().mean_distances(nothing).tolist() == [0, 0, 0]
