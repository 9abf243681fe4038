"""The estimators against their specification, and the properties a user relies on."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from serfiq_core.errors import ConfigurationError
from serfiq_core.recognition.head import AffineHead
from serfiq_core.scoring import specification
from serfiq_core.scoring.closed_form import ClosedForm
from serfiq_core.scoring.score import Sampled, mask_bank

FIRST_MASKS = [
    [0, 0, 1, 0, 0, 0, 0, 1],
    [1, 1, 1, 0, 1, 1, 0, 1],
    [1, 0, 0, 0, 1, 1, 1, 0],
]

sizes = st.fixed_dictionaries(
    {
        "images": st.integers(1, 5),
        "passes": st.integers(3, 24),
        "feature_count": st.integers(1, 48),
        "embedding_size": st.integers(2, 12),
        "rate": st.floats(0.01, 0.9),
        "seed": st.integers(0, 2**32 - 1),
        "convention": st.sampled_from(["paper", "mean"]),
    }
)


def random_head(feature_count: int, embedding_size: int, seed: int) -> AffineHead:
    torch.manual_seed(seed)
    return AffineHead(nn.Linear(feature_count, embedding_size), feature_count)


def weights_of(head: AffineHead) -> tuple[np.ndarray, np.ndarray]:
    identity = torch.eye(head.embedding_size)
    return head.multiply_transposed(identity).double().numpy(), head.bias.double().numpy()


@settings(deadline=None, max_examples=150)
@given(sizes)
def test_sampled_agrees_with_the_loops_to_1e_5(case):
    head = random_head(case["feature_count"], case["embedding_size"], case["seed"])
    features = torch.randn(case["images"], case["feature_count"])
    masks = mask_bank(case["passes"], case["feature_count"], case["rate"], case["seed"])

    estimate = Sampled(head, masks, case["convention"])(features)

    weight, bias = weights_of(head)
    for index, face in enumerate(features.double().numpy()):
        embeddings = specification.stochastic_embeddings(face, weight, bias, masks.double().numpy())
        expected = specification.raw_score(embeddings, case["convention"])
        assert float(estimate.raw_score[index]) == pytest.approx(expected, abs=1e-5)
        assert float(estimate.mean_distance[index]) == pytest.approx(
            specification.mean_distance(embeddings), abs=1e-5
        )


@settings(deadline=None, max_examples=30)
@given(sizes)
def test_standard_error_is_the_jackknife_carried_through_the_slope(case):
    head = random_head(case["feature_count"], case["embedding_size"], case["seed"])
    face = torch.randn(1, case["feature_count"])
    masks = mask_bank(case["passes"], case["feature_count"], case["rate"], case["seed"])

    estimate = Sampled(head, masks, case["convention"])(face)

    weight, bias = weights_of(head)
    embeddings = specification.stochastic_embeddings(
        face[0].double().numpy(), weight, bias, masks.double().numpy()
    )
    of_distance = specification.jackknife_standard_error(embeddings)
    distance, step = specification.mean_distance(embeddings), 1e-6
    # Equation (1) divides the sum over the pairs by m²/2, `mean` by their number.
    ratio = (case["passes"] - 1) / case["passes"] if case["convention"] == "paper" else 1
    ahead, behind = (2 / (1 + np.exp(ratio * d)) for d in (distance + step, distance - step))
    slope = (ahead - behind) / (2 * step)
    assert estimate.standard_error is not None
    assert float(estimate.standard_error[0]) == pytest.approx(-slope * of_distance, abs=1e-5)


@settings(deadline=None, max_examples=60)
@given(sizes)
def test_scores_lie_in_the_unit_interval(case):
    head = random_head(case["feature_count"], case["embedding_size"], case["seed"])
    features = 10 * torch.randn(case["images"], case["feature_count"])
    masks = mask_bank(case["passes"], case["feature_count"], case["rate"], case["seed"])

    for estimate in (
        Sampled(head, masks, case["convention"])(features),
        ClosedForm(head, case["rate"])(features),
    ):
        assert ((estimate.raw_score >= 0) & (estimate.raw_score <= 1)).all()
        assert ((estimate.mean_distance >= 0) & (estimate.mean_distance <= 2)).all()


@settings(deadline=None, max_examples=30)
@given(sizes)
def test_a_score_does_not_change_with_the_batch_it_travels_in(case):
    head = random_head(case["feature_count"], case["embedding_size"], case["seed"])
    features = torch.randn(case["images"] + 1, case["feature_count"])
    masks = mask_bank(case["passes"], case["feature_count"], case["rate"], case["seed"])

    together = Sampled(head, masks)(features).raw_score
    alone = torch.cat([Sampled(head, masks)(face[None]).raw_score for face in features])
    assert torch.allclose(together, alone, rtol=0, atol=1e-6)

    closed_form = ClosedForm(head, case["rate"])
    together = closed_form(features).raw_score
    alone = torch.cat([closed_form(face[None]).raw_score for face in features])
    assert torch.allclose(together, alone, rtol=0, atol=1e-6)


def test_a_score_does_not_change_from_run_to_run():
    head = random_head(256, 32, 0)
    features = torch.randn(4, 256)
    first, second = (
        Sampled(head, mask_bank(50, 256, 0.4, seed=7))(features).raw_score for _ in range(2)
    )
    assert torch.equal(first, second)
    other = Sampled(head, mask_bank(50, 256, 0.4, seed=8))(features).raw_score
    assert not torch.equal(first, other)


def test_the_mask_bank_is_the_same_everywhere():
    """Written down once: a change here changes every score that was ever recorded."""
    bank = mask_bank(3, 8, 0.5, seed=0)
    assert (bank > 0).int().tolist() == FIRST_MASKS
    assert bank.max() == 2


def test_a_longer_bank_begins_with_the_shorter_one():
    assert torch.equal(mask_bank(100, 33, 0.4, 1)[:10], mask_bank(10, 33, 0.4, 1))


def test_the_bank_drops_at_the_rate_asked_for():
    bank = mask_bank(1000, 500, 0.3, 0)
    assert float((bank == 0).float().mean()) == pytest.approx(0.3, abs=0.003)
    assert float(bank.mean()) == pytest.approx(1, abs=0.005)


@pytest.mark.parametrize("rate", [1e-3, 1e-5, 0.0])
def test_no_dropout_means_a_perfect_score(rate):
    head = random_head(512, 64, 0)
    features = torch.rand(3, 512) + 0.1
    limit = ClosedForm(head, rate)(features).raw_score
    drawn = Sampled(head, mask_bank(100, 512, rate, 0))(features).raw_score
    # D is of order sqrt(2p): q leaves 1 by half of that.
    assert (1 - limit <= np.sqrt(2 * rate)).all()
    assert (1 - drawn <= 2 * np.sqrt(2 * rate) + 1e-6).all()


def test_conventions_differ_by_the_pairs_with_themselves():
    head = random_head(64, 16, 0)
    features = torch.randn(2, 64)
    masks = mask_bank(10, 64, 0.4, 0)
    paper = Sampled(head, masks, "paper")(features).raw_score
    mean = Sampled(head, masks, "mean")(features).raw_score
    assert torch.allclose(torch.logit(paper / 2), 0.9 * torch.logit(mean / 2), atol=1e-12)


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5, float("nan")])
def test_an_impossible_rate_is_refused(rate):
    with pytest.raises(ConfigurationError, match="dropout rate"):
        mask_bank(10, 10, rate, 0)
    with pytest.raises(ConfigurationError, match="dropout rate"):
        ClosedForm(random_head(4, 2, 0), rate)


def test_too_few_passes_are_refused():
    with pytest.raises(ConfigurationError, match="passes"):
        mask_bank(2, 10, 0.4, 0)


def test_who_needs_float64_changes_no_bit_of_who_does_not():
    head = random_head(64, 8, 0)
    masks = mask_bank(20, 64, 0.4, 0)
    ordinary = torch.randn(1, 64, generator=torch.Generator().manual_seed(0))
    stable = 1e-6 * ordinary  # all passes lie within float32's rounding of the bias
    alike = Sampled(head, masks)(torch.cat([ordinary, ordinary]))
    unlike = Sampled(head, masks)(torch.cat([ordinary, stable]))
    assert float(unlike.mean_distance[0]) == float(alike.mean_distance[0])
    assert float(unlike.mean_distance[1]) < 1e-4


@settings(deadline=None, max_examples=25)
@given(rate=st.floats(0.05, 0.6), seed=st.integers(0, 100))
def test_closed_form_is_the_limit_of_sampling(rate, seed):
    """On a random head; tests/unit/test_closed_form.py does it on a real recogniser."""
    head = random_head(400, 24, seed)
    features = torch.rand(2, 400)
    reference = Sampled(head, mask_bank(3000, 400, rate, seed))(features).mean_distance
    limit = ClosedForm(head, rate)(features).mean_distance
    assert torch.allclose(limit, reference, rtol=0.03)


@pytest.mark.parametrize(("times", "most"), [(1, 1.01), (10, 1.1), (40, 1.5), (160, 2.0)])
def test_one_feature_that_outweighs_the_others_does_not_make_the_closed_form_better(times, most):
    head = random_head(512, 128, 0)
    features = torch.randn(4, 512, generator=torch.Generator().manual_seed(1)).abs()
    features[:, 7] *= times

    drawn = Sampled(head, mask_bank(2000, 512, 0.03, 0), "mean")(features).mean_distance
    ratio = ClosedForm(head, 0.03)(features).mean_distance / drawn
    assert ((ratio > 0.95) & (ratio < most)).all(), ratio
