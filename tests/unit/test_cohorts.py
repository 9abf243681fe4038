"""The rates of a cohort in each draw of subjects, held against plain counts of physical copies."""

from collections.abc import Iterable
from itertools import combinations

import numpy as np
import pytest

from serfiq_core.evaluation import bootstrap
from serfiq_core.evaluation.bootstrap import draws_of_subjects
from serfiq_core.evaluation.cohorts import cohort_rates
from serfiq_core.evaluation.comparisons import Comparisons
from serfiq_core.evaluation.error_rates import (
    Pairs,
    all_non_mated,
    mated_pairs,
    similarities,
    some_non_mated,
)

OURS = 5
SUBJECTS = np.repeat(np.arange(8), [1, 4, 2, 3, 2, 1, 5, 2])
"""Twenty photographs of eight subjects; the first five subjects are the cohort."""
QUALITY = np.random.default_rng(8).permutation(20).astype(float)
BELOW = 4
"""Of all twenty the worst fifth is discarded."""
LIMIT = 0.2
EMBEDDINGS = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
EMBEDDINGS /= np.linalg.norm(EMBEDDINGS, axis=1, keepdims=True)
SIMILARITIES = EMBEDDINGS @ EMBEDDINGS.T


def some_pairs() -> Pairs:
    """A third of the non-mated pairs, either photograph first."""
    first, second = np.nonzero(SUBJECTS[:, None] != SUBJECTS[None])
    unordered = np.flatnonzero((first < second) == ((first + second) % 2 == 0))[::3]
    return Pairs(first[unordered].astype(np.int32), second[unordered].astype(np.int32))


def comparisons(listed: Pairs | None) -> Comparisons:
    mated = mated_pairs(SUBJECTS)
    return Comparisons(
        subjects=SUBJECTS,
        cohorts=["ours" if subject < OURS else "theirs" for subject in SUBJECTS],
        mated=mated,
        mated_similarities=similarities(EMBEDDINGS, mated),
        non_mated=all_non_mated(EMBEDDINGS, SUBJECTS, 0.99)
        if listed is None
        else some_non_mated(EMBEDDINGS, listed, 0.99),
        listed=listed,
    )


def share(outcomes: Iterable[bool]) -> float:
    found = list(outcomes)
    return sum(found) / len(found) if found else float("nan")


def counted(drawn: Iterable[int], listed: Pairs | None) -> list[float]:
    """FNMR, FMR, discard rate, and FNMR of what it leaves.

    Of the copies of a subject none is compared with another.
    """
    copies = [
        (copy, subject, int(photograph))
        for copy, subject in enumerate(drawn)
        for photograph in np.flatnonzero(subject == SUBJECTS)
    ]
    among = None if listed is None else {*zip(listed.first, listed.second, strict=True)}
    mated, left, non_mated = [], [], []
    for (copy, subject, one), (its_copy, its_subject, other) in combinations(copies, 2):
        matches = bool(SIMILARITIES[one, other] >= LIMIT)
        if copy == its_copy:
            mated.append(matches)
            if min(QUALITY[one], QUALITY[other]) >= BELOW:
                left.append(matches)
        elif subject != its_subject and (among is None or among & {(one, other), (other, one)}):
            non_mated.append(matches)
    discarded = share(QUALITY[photograph] < BELOW for _, _, photograph in copies)
    fnmr, after = (share(not matches for matches in each) for each in (mated, left))
    return [fnmr, share(non_mated), discarded, after]


@pytest.mark.parametrize("listed", [None, some_pairs()], ids=["all pairs", "listed pairs"])
def test_a_subject_drawn_again_is_a_copy_that_is_not_compared_with_the_first(listed, monkeypatch):
    # Without the rule of 3, which would have its own ends of so few subjects.
    monkeypatch.setattr(bootstrap, "FEWEST_WITHOUT_EVENT", 1e-9)
    several_times = 0
    for seed in range(25):
        # The interval of one resample is what is found in it.
        ours = next(cohort_rates(comparisons(listed), LIMIT, 0.01, QUALITY, seed=seed, resamples=1))
        [draws] = draws_of_subjects(OURS, 1, seed)
        found = (ours.fnmr_in_cohort, ours.fmr_in_cohort, ours.discard, ours.fnmr_after_discard)
        everybody = counted(range(OURS), listed)
        assert [each.value for each in found] == pytest.approx(everybody)
        expected = counted(np.repeat(np.arange(OURS), draws), listed)
        assert [each.low for each in found] == pytest.approx(expected, nan_ok=True)
        several_times += draws.max() > 1
    assert several_times > 20
