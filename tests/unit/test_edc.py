"""Error-versus-discard values worked by hand, with the working shown."""

import math

import numpy as np
import pytest

from serfiq_core.evaluation.bootstrap import draws_of_subjects, interval
from serfiq_core.evaluation.det import det
from serfiq_core.evaluation.edc import (
    edc,
    fnmr_at_discard,
    halving_discard,
    ideal_area,
    pair_minima,
    partial_area,
    rank,
    relative_area,
)
from serfiq_core.evaluation.error_rates import HISTOGRAM_BINS, Pairs, histogram_of

# Ten mated pairs by pair minimum; × does not match:
#
#   minimum   1×  2×  2  3  4×  5  5  5×  6  7
#
# Keeping from 1 on: 4 of 10 fail. From 2 on (0.1 discarded): 3 of 9. From 3 on (0.3): 2 of 7. From
# 4 on (0.4): 2 of 6. From 5 on (0.5): 1 of 5. From 6 on (0.8): 0 of 2. From 7 on (0.9): 0 of 1.
MINIMA = np.array([1.0, 2, 2, 3, 4, 5, 5, 5, 6, 7])
NON_MATCH = np.array([1, 1, 0, 0, 1, 0, 0, 1, 0, 0], bool)
SHUFFLED = np.random.default_rng(0).permutation(10)


@pytest.fixture
def curve():
    return edc(rank(MINIMA[SHUFFLED]), NON_MATCH[SHUFFLED])


def test_each_quality_of_a_pair_is_a_step_of_the_staircase(curve):
    assert curve.discarded.tolist() == [0, 0.1, 0.3, 0.4, 0.5, 0.8, 0.9]
    assert curve.fnmr.tolist() == [4 / 10, 3 / 9, 2 / 7, 2 / 6, 1 / 5, 0, 0]
    assert curve.quality_threshold.tolist() == [1, 2, 3, 4, 5, 6, 7]


def test_between_its_steps_nothing_is_interpolated(curve):
    assert fnmr_at_discard(curve, 0.0999) == 4 / 10
    assert fnmr_at_discard(curve, 0.1) == 3 / 9
    # The two pairs of minimum 2 go together, so that at 0.2 only one pair is gone.
    assert fnmr_at_discard(curve, 0.2) == 3 / 9
    assert fnmr_at_discard(curve, 1) == 0


def test_areas_are_those_under_the_staircase_by_hand(curve):
    # 0.1 · 4/10 + 0.1 · 3/9
    assert partial_area(curve, 0.2) == pytest.approx(0.04 + 1 / 30)
    # 0.1 · 4/10 + 0.2 · 3/9 + 0.1 · 2/7 + 0.1 · 2/6
    assert partial_area(curve, 0.5) == pytest.approx(0.04 + 1 / 15 + 2 / 70 + 1 / 30)
    # The ideal line from 0.4 to 0.2 over 0.2: a trapezium; over 0.5: the triangle 0.4 · 0.4 / 2.
    assert ideal_area(0.4, 0.2) == pytest.approx(0.06)
    assert ideal_area(0.4, 0.5) == pytest.approx(0.08)
    # Flat: 0.4 · 0.2 = 0.08. (0.07333 − 0.06) / (0.08 − 0.06) = 2/3.
    assert relative_area(curve, 0.2) == pytest.approx(2 / 3)


def test_halving_discard_is_the_first_step_with_half_of_the_fnmr(curve):
    assert halving_discard(curve) == 0.5  # 1/5, half of 4/10
    never = edc(rank(np.array([1.0, 2, 3])), np.array([False, False, True]))
    assert halving_discard(never) == math.inf
    nothing = edc(rank(np.array([1.0, 2, 3])), np.zeros(3, bool))
    assert math.isnan(halving_discard(nothing))
    assert math.isnan(relative_area(nothing, 0.2))


def test_constant_scores_discard_nothing():
    curve = edc(rank(np.full(4, 0.7)), np.array([True, False, False, False]))
    assert curve.discarded.tolist() == [0]
    assert fnmr_at_discard(curve, 0.99) == 0.25
    assert partial_area(curve, 0.2) == pytest.approx(0.05)
    assert relative_area(curve, 0.2) == pytest.approx(1)


def test_a_pair_is_as_good_as_its_worse_photograph():
    pairs = Pairs(np.array([0, 1], np.int32), np.array([1, 2], np.int32))
    assert pair_minima(np.array([3.0, 1.0, 2.0]), pairs).tolist() == [1, 1]


def test_det_counts_a_similarity_at_the_threshold_as_a_match():
    mated, non_mated = np.float32([0.5, 0.9]), np.float32([-1, 0.5, 0.5, 0.6])
    curve = det(histogram_of(mated), histogram_of(non_mated))
    half = HISTOGRAM_BINS * 3 // 4  # the edge at 0.5
    assert curve.comparison_threshold[half] == pytest.approx(0.5)
    assert (curve.fmr[half], curve.fnmr[half]) == (0.75, 0)
    assert (curve.fmr[half + 1], curve.fnmr[half + 1]) == (0.25, 0.5)
    assert (curve.fmr[0], curve.fnmr[0]) == (1, 0)


def test_whole_subjects_are_drawn():
    draws = np.stack([*draws_of_subjects(7, 500, seed=1)])
    assert draws.shape == (500, 7)
    assert (draws.sum(axis=1) == 7).all()
    assert draws.std(axis=0) == pytest.approx(np.sqrt(6 / 7), abs=0.1)
    assert (draws == np.stack([*draws_of_subjects(7, 500, seed=1)])).all()
    assert (draws != np.stack([*draws_of_subjects(7, 500, seed=2)])).any()


def test_an_interval_is_of_actual_replicates():
    found = interval(0.5, [*range(1000), math.nan])
    assert (found.value, found.low, found.high) == (0.5, 24, 975)
    reaching = interval(0.5, [0.1] * 90 + [math.inf] * 10)
    assert (reaching.low, reaching.high) == (0.1, math.inf)
    unknown = interval(math.nan, [math.nan] * 5)
    assert math.isnan(unknown.low)


@pytest.mark.parametrize(("missed", "end"), [(24, 975), (25, math.inf)])
def test_an_end_is_infinite_as_soon_as_a_fortieth_is(missed, end):
    assert interval(0.5, [*range(1000 - missed), *[math.inf] * missed]).high == end
