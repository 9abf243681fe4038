"""The closed form against 10,000 passes, on a real recogniser and real faces."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from serfiq_core.recognition import mobilefacenet
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
