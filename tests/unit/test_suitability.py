"""Figures and verdicts from made-up scores, whose right answers are known."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.stats

from serfiq_core.suitability.criteria import Ladders, figures, judge, mean_rhos, within_face_rho
from serfiq_core.suitability.degradations import KINDS
from serfiq_core.types import MeanRho, SuitabilityFigures

FACES = 40
GOOD = MeanRho(-0.9, -0.95, -0.85)
SOUND = SuitabilityFigures(
    faces=FACES,
    spread=0.02,
    standard_error=0.004,
    agreement=0.99,
    sampled=dict.fromkeys(KINDS, GOOD),
    closed_form=dict.fromkeys(KINDS, GOOD),
)


def ladders(step, noise=0.0, seed=0):
    """Faces that differ by 0.02, and change by `step` with each severity of every kind."""
    rng = np.random.default_rng(seed)
    clean = 0.8 + 0.02 * rng.standard_normal(FACES)
    changes = step * np.arange(1, 6)
    noisy = {k: clean[:, None] + changes + noise * rng.standard_normal((FACES, 5)) for k in KINDS}
    return Ladders(clean, noisy)


def with_rho(kind, rho, estimator="sampled"):
    return replace(SOUND, **{estimator: {**getattr(SOUND, estimator), kind: rho}})


def test_within_face_rho_is_scipys_with_ties_and_without():
    scores = np.random.default_rng(0).integers(0, 4, (50, 6)).astype(float)
    scores[0] = 0.5
    expected = [scipy.stats.spearmanr(range(6), row).statistic for row in scores[1:]]
    found = within_face_rho(scores)
    assert found[0] == 0
    assert np.allclose(found[1:], expected)


def test_scores_that_always_fall_have_minus_one_and_no_doubt():
    assert set(mean_rhos(ladders(-0.01)).values()) == {MeanRho(-1, -1, -1)}
    assert set(mean_rhos(ladders(0.01)).values()) == {MeanRho(1, 1, 1)}


def test_the_interval_holds_the_mean_of_a_ranking_by_chance():
    for seed in range(5):
        for rho in mean_rhos(ladders(0, noise=1.0, seed=seed)).values():
            assert rho.low < rho.mean < rho.high
            assert 0.15 < rho.high - rho.low < 0.4
            assert rho.low < 0.1
            assert rho.high > -0.1


def test_the_interval_is_of_95_per_cent():
    """As wide as the normal distribution has it, on the average over seeds."""
    widths, expected = [], []
    for seed in range(20):
        made_up = ladders(0, noise=1.0, seed=seed)
        rho = mean_rhos(made_up)["blur"]
        each = within_face_rho(np.column_stack([made_up.clean, made_up.degraded["blur"]]))
        widths.append(rho.high - rho.low)
        expected.append(2 * 1.96 * each.std() / np.sqrt(FACES))
    assert np.mean(widths) == pytest.approx(np.mean(expected), rel=0.02)


def test_the_figures_are_those_of_the_clean_faces():
    falling = ladders(-0.01)
    # Their median: one face that nothing is known of says nothing of the others.
    errors = np.append(np.linspace(0.001, 0.003, FACES - 1), 0.5)
    measured = figures(falling, errors, falling)
    assert measured.faces == FACES
    assert measured.spread == pytest.approx(falling.clean.std(ddof=1), rel=0.005)
    assert measured.standard_error == 0.00203  # between the two in the middle
    assert measured.agreement == 1
    reversed_order = Ladders(-falling.clean, falling.degraded)
    assert figures(falling, falling.clean, reversed_order).agreement == -1
    rising = figures(falling, falling.clean, ladders(0.01))
    assert set(rising.sampled.values()) == {MeanRho(-1, -1, -1)}
    assert set(rising.closed_form.values()) == {MeanRho(1, 1, 1)}


def test_a_sound_recogniser_is_suitable():
    assert judge(SOUND) == ("suitable", ())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("estimator", ["sampled", "closed_form"])
def test_one_kind_backwards_in_one_estimator_is_unsuitable(kind, estimator):
    verdict, (reason,) = judge(with_rho(kind, MeanRho(0.4, 0.1, 0.6), estimator))
    assert verdict == "unsuitable"
    assert kind.replace("_", "-") in reason
    assert estimator.replace("_", " ") in reason
    assert "+0.40" in reason


@pytest.mark.parametrize(
    "rho",
    [
        MeanRho(0.0, -0.1, 0.1),
        MeanRho(0.1, 0.05, 0.15),  # surely not falling, and hardly rising
        MeanRho(0.3, -0.05, 0.6),  # perhaps rising
        MeanRho(-0.6, -0.75, -0.45),  # perhaps falling enough
    ],
)
def test_a_kind_hardly_seen_is_weak(rho):
    verdict, (reason,) = judge(with_rho("darkness", rho))
    assert verdict == "weak"
    assert "hardly sees darkness" in reason


@pytest.mark.parametrize(
    ("standard_error", "verdict"),
    [(0.0099, "suitable"), (0.0101, "weak"), (0.0199, "weak"), (0.0201, "unsuitable")],
)
def test_noise_is_held_against_the_spread(standard_error, verdict):
    found, reasons = judge(replace(SOUND, standard_error=standard_error))
    assert found == verdict
    assert len(reasons) == (verdict != "suitable")


def test_a_recogniser_that_gives_every_face_the_same_score_is_unsuitable():
    assert judge(replace(SOUND, spread=0.0, standard_error=0.0))[0] == "unsuitable"


def test_estimators_that_disagree_are_weak():
    verdict, (reason,) = judge(replace(SOUND, agreement=0.7))
    assert verdict == "weak"
    assert "0.70" in reason


def test_grave_reasons_come_first_and_light_ones_are_kept():
    both = replace(with_rho("jpeg", MeanRho(0.5, 0.4, 0.6)), agreement=0.5)
    verdict, reasons = judge(both)
    assert verdict == "unsuitable"
    assert "backwards" in reasons[0]
    assert "differently" in reasons[1]
