"""The fitted head against the definition: least squares over every mask there is."""

from itertools import product

import numpy as np
import pytest
import torch
from torch import nn

from serfiq_core.errors import ConfigurationError, TrainingError, WeightsError
from serfiq_core.recognition.head import AffineHead
from serfiq_core.scoring.closed_form import ClosedForm
from serfiq_core.training.head_fit import HeadFit

FACES, CHANNELS, SIDE, EMBEDDING_SIZE = 40, 3, 2, 2
FEATURES = CHANNELS * SIDE
RATE = 0.3


class SumOverPositions(nn.Module):
    """A kernel over the positions of each channel, and a shift."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kernel", torch.randn(CHANNELS, SIDE, 1))
        self.register_buffer("shift", torch.randn(CHANNELS))

    def forward(self, x):
        return (x * self.kernel).sum((2, 3)) + self.shift


@pytest.fixture(params=["one matrix", "kernel and matrix"])
def head(request):
    torch.manual_seed(0)
    if request.param == "one matrix":
        return AffineHead(nn.Linear(FEATURES, EMBEDDING_SIZE), FEATURES)
    chain = nn.Sequential(SumOverPositions(), nn.Linear(CHANNELS, EMBEDDING_SIZE))
    made = AffineHead(chain, FEATURES, (CHANNELS, SIDE, 1))
    assert made.matrix.shape == (EMBEDDING_SIZE, CHANNELS)  # it was separated
    return made


@pytest.fixture
def features():
    torch.manual_seed(1)
    mixing = torch.randn(FEATURES, FEATURES)
    return torch.randn(FACES, FEATURES) @ mixing + torch.randn(FEATURES)


def fitted(head, features, rate=RATE):
    fit = HeadFit(head)
    for batch in features.split(7):
        fit.add(batch)
    return fit.solve(rate)


def test_it_is_the_least_squares_solution_over_all_masks(head, features):
    """2⁶ masks, each as likely as dropout makes it, and a column of ones for the bias."""
    rows, outputs, weights = [], [], []
    wanted = head.embed(features).double().numpy()
    for kept in product([0, 1], repeat=FEATURES):
        mask = torch.tensor(kept, dtype=torch.float32) / (1 - RATE)
        inputs, _ = head.into_matrix(features * mask)
        rows.append(np.hstack([inputs.double().numpy(), np.ones((FACES, 1))]))
        outputs.append(wanted)
        chance = (1 - RATE) ** sum(kept) * RATE ** (FEATURES - sum(kept))
        weights.append(np.full(FACES, chance))
    root = np.sqrt(np.concatenate(weights))[:, None]
    expected, *_ = np.linalg.lstsq(
        np.concatenate(rows) * root, np.concatenate(outputs) * root, rcond=None
    )
    found = fitted(head, features)
    assert np.allclose(found.matrix.numpy(), expected[:-1].T, atol=1e-4)
    assert np.allclose(found.bias.numpy(), expected[-1], atol=1e-3)


def test_without_dropout_it_stays_as_it_is(head, features):
    found = fitted(head, features, rate=0.0)
    assert torch.allclose(found.embed(features), head.embed(features), atol=1e-4)


def test_the_order_of_the_photographs_means_nothing(head, features):
    backwards = fitted(head, features.flip(0))
    assert torch.allclose(fitted(head, features).matrix, backwards.matrix, atol=1e-6)


def test_embeddings_scatter_less_the_higher_the_rate(head, features):
    distances = [
        float(ClosedForm(fitted(head, features, rate), RATE)(features).mean_distance.mean())
        for rate in (0.0, 0.1, 0.3, 0.6)
    ]
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] < 0.95 * distances[0]


def test_features_that_are_always_zero_do_no_harm(features):
    torch.manual_seed(0)
    head = AffineHead(nn.Linear(FEATURES, EMBEDDING_SIZE), FEATURES)
    features[:, 2] = 0
    found = fitted(head, features)
    assert found.matrix.isfinite().all()
    assert not found.matrix[:, 2].any()


def test_the_head_that_was_fitted_knows_its_column_norms(head, features):
    found = fitted(head, features)
    weight = found.multiply_transposed(torch.eye(EMBEDDING_SIZE))
    assert torch.allclose(found.squared_column_norms, weight.square().sum(0), rtol=1e-5)


def test_fewer_faces_than_columns_are_refused(head, features):
    columns = head.matrix.shape[1]
    with pytest.raises(TrainingError, match=f"{columns} columns .* there are {columns - 1}"):
        fitted(head, features[: columns - 1])


def test_a_recogniser_that_answers_with_nothing_is_refused(head, features):
    with pytest.raises(TrainingError, match="zeros"):
        fitted(head, 0 * features)
    with pytest.raises(WeightsError, match="no number"):
        fitted(head, features * float("nan"))


def test_a_rate_of_one_is_refused(head, features):
    with pytest.raises(ConfigurationError, match="dropout rate"):
        fitted(head, features, rate=1.0)
