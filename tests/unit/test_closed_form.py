"""The closed form against 10,000 passes on real faces, and in float16 against float64."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import nn

from serfiq_core.recognition import mobilefacenet
from serfiq_core.recognition.head import AffineHead
from serfiq_core.recognition.weights import read_state_dict
from serfiq_core.scoring.closed_form import ClosedForm
from serfiq_core.scoring.score import Sampled, mask_bank
from tests.faces import degraded, lfw_crops

FACES = 48
BANKS, PASSES_PER_BANK = 10, 1000
"""10,000 passes as ten banks of 1,000: pairs across banks would add memory and no information."""

MEAN = torch.tensor([0.485, 0.456, 0.406]) * 255
STD = torch.tensor([0.229, 0.224, 0.225]) * 255


@pytest.fixture(scope="module")
def mobilefacenet_inputs(shared_data):
    state = read_state_dict(shared_data / "weights" / "mobilefacenet_ms1m.pt")
    faces = torch.from_numpy(degraded(lfw_crops(shared_data, FACES)))
    return state, ((faces.float() - MEAN) / STD).permute(0, 3, 1, 2)


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.5])
@pytest.mark.parametrize("site", ["values", "map"])
def test_closed_form_is_the_limit_of_sampling_on_real_faces(mobilefacenet_inputs, site, rate):
    state, inputs = mobilefacenet_inputs
    network = mobilefacenet.load(state, site)
    with torch.no_grad():
        features = network.backbone(inputs)
        drawn = [
            Sampled(network.head, mask_bank(PASSES_PER_BANK, features.shape[1], rate, seed), "mean")
            for seed in range(BANKS)
        ]
        reference = sum(each(features).mean_distance.numpy() for each in drawn) / BANKS
        limit = ClosedForm(network.head, rate)(features).mean_distance.numpy()

    relative_rms = np.sqrt(np.mean((limit / reference - 1) ** 2))
    correlation = spearmanr(limit, reference).statistic
    print(f"{site} p={rate}: relative RMS {relative_rms:.5f}, Spearman {correlation:.5f}")
    assert correlation >= 0.999
    assert relative_rms <= 0.005


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("largest", "decades"), [(6e4, 8), (6.0, 4), (1e-4, 2)])
def test_features_of_any_size_in_float16_get_what_they_get_in_float64(largest, decades, bias):
    torch.manual_seed(0)
    # Few weigh most: tr Σ², which comes of their squares, then shows in the distance.
    sizes = largest * 10 ** (-decades * torch.rand(5, 60))
    features = (sizes * torch.randn(5, 60).sign()).half().float()
    cpu = torch.device("cpu")
    head = AffineHead(nn.Linear(60, 16, bias=bias), 60).to(cpu, torch.float16)
    found, expected = (
        ClosedForm(each, 0.4)(features).mean_distance
        for each in (head, head.to(cpu, torch.float64))
    )
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=0)
