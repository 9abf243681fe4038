"""Error and discard rates of each cohort, at the comparison threshold and the score common to all.

A pair belongs to a cohort when both its photographs do. This file is numpy only.
Shape letters: `N` photographs, `G` subjects of the cohort.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import SupportsInt

import numpy as np
import numpy.typing as npt

from serfiq_core.evaluation.bootstrap import (
    FEWEST_DRAWN_FROM,
    Interval,
    draws_of_subjects,
    interval,
)
from serfiq_core.evaluation.comparisons import Comparisons
from serfiq_core.evaluation.discarding import ROUNDING
from serfiq_core.evaluation.edc import Values
from serfiq_core.evaluation.error_rates import Counts, Labels, Pairs, non_mated_count

COHORT_DISCARD = 0.2
"""Share of all photographs that the common quality threshold discards."""

OUTSIDE = -1


@dataclass(frozen=True, slots=True)
class CohortRates:
    """One cohort at one FMR. Rates are nan where the cohort has no such pair.

    `left_out`: photographs of it that were not compared.

    `discard`: share of its photographs among the `COHORT_DISCARD` worst of all.
    `fnmr_after_discard`: of its mated pairs that none of these is in.
    """

    cohort: str
    fmr: float
    photographs: int
    left_out: int
    mated_pairs: int
    non_mated_pairs: int
    fnmr_in_cohort: Interval
    fmr_in_cohort: Interval
    discard: Interval
    fnmr_after_discard: Interval


@dataclass(frozen=True, slots=True)
class _Cohort:
    """What its rates depend on, with its subjects numbered from 0.

    `sizes`, `discarded`: `G`, photographs of each subject, and those below the quality threshold.
    `owners`: of each mated pair; `fails`: whether it does not match; `kept`: whether neither of
    its photographs is discarded. `false_matches`, `listed`: the two subjects of each non-mated pair
    that matches, and of each there is.
    """

    sizes: Counts
    discarded: Counts
    owners: Labels
    fails: npt.NDArray[np.bool_]
    kept: npt.NDArray[np.bool_]
    false_matches: tuple[Labels, Labels]
    listed: tuple[Labels, Labels] | None

    def rates(self, w: Counts) -> tuple[float, float, float, float]:
        """FNMR, FMR, discard rate and FNMR after that, each subject counting `w` times: `G`."""
        pairs = w[self.owners]
        return (
            _share(pairs @ self.fails, pairs.sum()),
            _share(w[self.false_matches[0]] @ w[self.false_matches[1]], self.non_mated(w)),
            _share(w @ self.discarded, w @ self.sizes),
            _share(pairs @ (self.fails & self.kept), pairs @ self.kept),
        )

    def intervals(self, resamples: int, seed: int) -> Iterator[Interval]:
        """The intervals of `rates`; without ends where too few subjects stand behind a rate."""
        subjects = len(self.sizes)
        values = self.rates(np.ones(subjects, np.int64))
        draws = draws_of_subjects(max(1, subjects), resamples, seed)
        columns = np.array([self.rates(weights[:subjects]) for weights in draws]).T
        # Two subjects make one pair of subjects: a resample has all of its pairs or none.
        behind = (self.subjects_with_pairs, subjects - 1, subjects, self.subjects_kept)
        for value, column, drawn_from in zip(values, columns, behind, strict=True):
            told = drawn_from >= FEWEST_DRAWN_FROM
            yield interval(value, column if told else np.full_like(column, np.nan))

    @property
    def subjects_with_pairs(self) -> int:
        """Those behind the mated pairs."""
        return len(np.unique(self.owners))

    @property
    def subjects_kept(self) -> int:
        """Those behind the mated pairs that are not discarded."""
        return len(np.unique(self.owners[self.kept]))

    @property
    def pairs_of_subjects(self) -> int:
        """Those behind the non-mated pairs."""
        if self.listed is None:
            return non_mated_count(np.ones_like(self.sizes))
        return len(np.unique(np.sort(np.stack(self.listed, axis=1), axis=1), axis=0))

    def non_mated(self, w: Counts) -> int:
        """Non-mated pairs; a subject drawn twice makes none with itself."""
        if self.listed is not None:
            return int(w[self.listed[0]] @ w[self.listed[1]])
        return non_mated_count(w * self.sizes)


def cohort_rates(
    comparisons: Comparisons,
    comparison_threshold: float,
    fmr: float,
    quality: Values,
    *,
    seed: int,
    resamples: int,
) -> Iterator[CohortRates]:
    """The rates of every cohort, by name; none where no photograph has one.

    Args:
        comparisons: of all photographs.
        comparison_threshold: common to all cohorts.
        fmr: that it was set for.
        quality: `N` scores.
        seed: of the bootstrap over subjects.
        resamples: of it.
    """
    names = np.array(comparisons.cohorts, dtype=object)
    quality_threshold = np.sort(quality)[int(COHORT_DISCARD * len(quality) + ROUNDING)]
    for name in sorted({*comparisons.cohorts, *comparisons.left_out} - {""}):
        below = quality < quality_threshold
        cohort = _cohort(comparisons, names == name, comparison_threshold, below)
        once = np.ones(len(cohort.sizes), np.int64)
        non_mated = cohort.non_mated(once)
        fnmr, false, discard, after = cohort.intervals(resamples, seed)
        yield CohortRates(
            cohort=name,
            fmr=fmr,
            photographs=int(cohort.sizes.sum()),
            left_out=comparisons.left_out.count(name),
            mated_pairs=len(cohort.owners),
            non_mated_pairs=non_mated,
            fnmr_in_cohort=fnmr.of_share(cohort.subjects_with_pairs),
            fmr_in_cohort=false.of_share(cohort.pairs_of_subjects),
            discard=discard.of_share(len(cohort.sizes)),
            fnmr_after_discard=after.of_share(cohort.subjects_kept),
        )


def _cohort(
    comparisons: Comparisons,
    inside: npt.NDArray[np.bool_],
    comparison_threshold: float,
    below: npt.NDArray[np.bool_],
) -> _Cohort:
    names, numbers = np.unique(comparisons.subjects[inside], return_inverse=True)
    place = np.full(len(inside), OUTSIDE)
    place[inside] = numbers

    def ours(pairs: Pairs, chosen: npt.NDArray[np.bool_]) -> tuple[Labels, Labels]:
        first, second = place[pairs.first[chosen]], place[pairs.second[chosen]]
        both = (first != OUTSIDE) & (second != OUTSIDE)
        return first[both], second[both]

    mated, non_mated, listed = comparisons.mated, comparisons.non_mated, comparisons.listed
    in_cohort = inside[mated.first] & inside[mated.second]
    return _Cohort(
        sizes=np.bincount(numbers, minlength=len(names)),
        discarded=np.bincount(numbers[below[inside]], minlength=len(names)),
        owners=place[mated.first[in_cohort]],
        fails=comparisons.mated_similarities[in_cohort] < comparison_threshold,
        kept=~(below[mated.first] | below[mated.second])[in_cohort],
        false_matches=ours(non_mated.pairs, non_mated.highest >= comparison_threshold),
        listed=None if listed is None else ours(listed, np.ones(len(listed), bool)),
    )


def _share(part: SupportsInt, whole: SupportsInt) -> float:
    return int(part) / int(whole) if int(whole) else float("nan")
