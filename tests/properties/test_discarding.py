"""The fast count of what a quality_threshold discards against its plainest reading, in loops."""

from math import inf

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from serfiq_core.evaluation.discarding import (
    RankedPairs,
    RankedPhotographs,
    discard_curve,
)

# Few different values, so that qualities and similarities tie.
QUALITIES = st.integers(0, 8).map(float)
PAIRS = st.lists(
    st.tuples(QUALITIES, st.integers(0, 4), st.integers(0, 3)), min_size=1, max_size=25
)
DRAWS = st.lists(st.integers(0, 3), min_size=4, max_size=4).filter(any)


@given(PAIRS, DRAWS, st.integers(0, 5), st.floats(0.01, 0.99), st.integers(1, 6))
def test_the_threshold_that_discards_least(pairs, draws, comparison_threshold, fnmr, fewest):
    copies = [
        (quality, similarity, (subject, copy))
        for quality, similarity, subject in pairs
        for copy in range(draws[subject])
    ]

    def reaches(quality_threshold):
        kept = [each for each in copies if each[0] >= quality_threshold]
        missed = sum(similarity < comparison_threshold for _, similarity, _ in kept)
        subjects = {subject for _, _, subject in kept}
        return len(subjects) >= fewest and missed <= fnmr * len(kept) + 1e-9

    lowest = min((quality for quality, _, _ in copies), default=inf)
    candidates = sorted({quality for quality, _, _ in copies if reaches(quality)})
    expected = next(iter(candidates), inf)
    if expected == lowest != inf:
        expected = 0.0

    ordered = sorted(pairs, reverse=True)
    subjects = [subject for _, _, subject in ordered]
    qualities = np.array([quality for quality, _, _ in ordered])
    ranked = RankedPairs(
        qualities,
        qualities,
        np.array([similarity for _, similarity, _ in ordered], np.float32),
        np.array(subjects),
        np.array([subject not in subjects[:place] for place, subject in enumerate(subjects)]),
    )
    curve = discard_curve(ranked, comparison_threshold, np.array(draws))
    assert curve.lowest_reaching(fnmr, fewest) == expected


@given(
    st.lists(st.tuples(QUALITIES, st.integers(0, 3)), min_size=1, max_size=25),
    DRAWS,
    st.floats(0.01, 0.99),
)
def test_the_threshold_that_rejects_most(photographs, draws, rejected):
    copies = [quality for quality, subject in photographs for _ in range(draws[subject])]
    if not copies:
        return
    expected = max(
        each
        for each in copies
        if sum(quality < each for quality in copies) <= rejected * len(copies) + 1e-9
    )
    ordered = sorted(photographs)
    ranked = RankedPhotographs(
        np.array([quality for quality, _ in ordered]),
        np.array([subject for _, subject in ordered]),
    )
    weights = np.array(draws)
    found = ranked.highest_quality_threshold(rejected, weights)
    assert ranked.share_below(found, weights) == ranked.share_below(expected, weights)
    assert found == expected
