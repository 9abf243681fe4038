"""The closed form against exact moments and 10,000 passes; in float16 against float64."""

from itertools import product

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
@pytest.mark.parametrize(("site", "largest_error"), [("values", 0.0025), ("map", 0.0015)])
def test_closed_form_is_the_limit_of_sampling_on_real_faces(
    mobilefacenet_inputs, site, largest_error, rate
):
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
    assert relative_rms <= largest_error


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_order_2_has_the_exact_moments_of_the_noise(rate):
    """docs/method.md with every moment summed over all 2⁸ masks, by their probabilities.

    The columns come in orthogonal pairs of equal features, so that Σ is a multiple of the identity:
    there `tr Σ²`, which is otherwise estimated, is exact. All numbers are small and whole.
    """
    weight = np.array([(1, 0), (0, 1), (1, 2), (-2, 1), (3, 1), (-1, 3), (1, -1), (1, 1)]).T
    face, bias = np.array([2, 2, 1, 1, 1, 1, 3, 3]), np.array([2, -1])
    kept = np.array(list(product([0, 1], repeat=8)))
    chances = ((1 - rate) ** kept * rate ** (1 - kept)).prod(1)
    outputs = (kept / (1 - rate) * face) @ weight.T + bias

    mean = chances @ outputs
    noise = outputs - mean
    squares = (outputs**2).sum(1)
    n, total = mean @ mean, chances @ squares
    covariance = noise.T @ (chances[:, None] * noise)
    variance_of_norm = chances @ (squares - total) ** 2
    with_norm = chances @ (noise @ mean * squares)  # μ·E[η‖y‖²]
    along, r = mean @ covariance @ mean, (covariance**2).sum()  # the variance of μ·η, and tr Σ²
    assert covariance == pytest.approx(covariance[0, 0] * np.eye(2))

    c = n / total
    cosine = c + (0.75 * c * variance_of_norm - with_norm) / total**2
    variance = (2 * along + r - 2 * c * with_norm + c**2 / 2 * variance_of_norm) / total**2
    squared = 2 - 2 * cosine
    expected = squared**0.5 * (1 + 4 * variance / squared**2) ** -0.125

    linear = nn.Linear(8, 2)
    linear.load_state_dict(
        {"weight": torch.tensor(weight).float(), "bias": torch.tensor(bias).float()}
    )
    closed_form = ClosedForm(AffineHead(linear, 8), rate)
    found = closed_form(torch.tensor(face).float()[None]).mean_distance
    assert float(found) == pytest.approx(expected, rel=1e-10)


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
