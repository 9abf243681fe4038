"""The fast EDC agrees with the plain one on whatever pairs there are, ties above all."""

import math

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from scipy.stats import spearmanr

from serfiq_core.correlation import spearman
from serfiq_core.evaluation import edc as fast
from serfiq_core.evaluation import edc_specification as plain
from serfiq_core.evaluation.error_rates import Pairs

# Few different scores, so that ties are the rule; exact in binary.
QUALITIES = st.sampled_from([-1.0, 0.0, 0.25, 0.5, 0.75, 1.0]) | st.floats(-1e6, 1e6)


@st.composite
def evaluations(draw):
    """Scores of photographs, pairs of them, and whether these match."""
    quality = draw(st.lists(QUALITIES, min_size=2, max_size=12))
    numbers = st.integers(0, len(quality) - 1)
    rows = draw(st.lists(st.tuples(numbers, numbers, st.booleans()), min_size=1, max_size=40))
    first, second, matches = zip(*rows, strict=True)
    pairs = Pairs(np.array(first, np.int32), np.array(second, np.int32))
    return np.array(quality), pairs, np.array(matches)


def both(quality, pairs, matches):
    ranking = fast.rank(fast.pair_minima(quality, pairs))
    steps = plain.edc(
        [
            plain.MatedPair(quality[i], quality[j], bool(match))
            for i, j, match in zip(pairs.first, pairs.second, matches, strict=True)
        ]
    )
    return fast.edc(ranking, ~matches), steps


@given(evaluations())
def test_every_step(evaluation):
    curve, steps = both(*evaluation)
    assert curve.quality_threshold.tolist() == [step.quality_threshold for step in steps]
    assert curve.discarded.tolist() == [float(step.discarded) for step in steps]
    assert curve.fnmr.tolist() == [float(step.fnmr) for step in steps]


@given(evaluations(), st.fractions(0, 1, max_denominator=64))
def test_every_reading_of_it(evaluation, limit):
    curve, steps = both(*evaluation)
    # The float nearest to a share may lie below it: the same rounding on both sides.
    rounded = float(limit)
    expected = [float(s.fnmr) for s in steps if float(s.discarded) <= rounded][-1]
    assert fast.fnmr_at_discard(curve, rounded) == expected
    area = float(plain.partial_area(steps, limit))
    assert fast.partial_area(curve, rounded) == pytest.approx(area, abs=1e-12)
    halved = plain.halving_discard(steps)
    if steps[0].fnmr == 0:
        assert math.isnan(fast.halving_discard(curve))
    elif halved is None:
        assert fast.halving_discard(curve) == math.inf
    else:
        assert fast.halving_discard(curve) == float(halved)


@given(evaluations(), st.data())
def test_a_weight_is_a_repetition(evaluation, data):
    quality, pairs, matches = evaluation
    size = len(matches)
    weights = np.array(data.draw(st.lists(st.integers(0, 3), min_size=size, max_size=size)))
    if not weights.any():
        weights[0] = 1
    ranking = fast.rank(fast.pair_minima(quality, pairs))
    weighted = fast.edc(ranking, ~matches, weights)
    often = np.repeat(np.arange(size), weights)
    repeated, _ = both(quality, Pairs(pairs.first[often], pairs.second[often]), matches[often])
    for discard in np.linspace(0, 1, 17):
        assert fast.fnmr_at_discard(weighted, discard) == fast.fnmr_at_discard(repeated, discard)
    assert fast.partial_area(weighted, 0.5) == pytest.approx(fast.partial_area(repeated, 0.5))


@given(evaluations(), st.floats(0.01, 1))
def test_no_score_beats_the_ideal_line(evaluation, limit):
    curve, _ = both(*evaluation)
    start = curve.fnmr[0]
    assert (curve.fnmr >= start - curve.discarded - 1e-12).all()
    assert fast.partial_area(curve, limit) >= fast.ideal_area(start, limit) - 1e-12


@given(st.lists(st.tuples(QUALITIES, QUALITIES), min_size=2, max_size=30))
def test_spearman_is_scipys(rows):
    first, second = np.array(rows).T
    if len(set(first)) == 1 or len(set(second)) == 1:
        assert math.isnan(spearman(first, second))
    else:
        assert spearman(first, second) == pytest.approx(spearmanr(first, second).statistic)
