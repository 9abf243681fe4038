"""The `quality_threshold` that reaches a target, and how sure that is.

Two targets: an FNMR at the `comparison_threshold` of an FMR, or a share of photographs rejected.
The `comparison_threshold` comes from all non-mated pairs and stays where it is while photographs
are discarded, as it does in a recogniser in use. Whether the data can support an answer is judged
in `sufficiency.py`. This file is numpy only: it knows no images and no files.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isinf, nan
from typing import Literal, NamedTuple

import numpy as np

from serfiq_core.errors import EvaluationError
from serfiq_core.evaluation import sufficiency
from serfiq_core.evaluation.bootstrap import RESAMPLES, Interval, draws_of_subjects, interval
from serfiq_core.evaluation.discarding import DiscardCurve, Evidence, rank_photographs
from serfiq_core.evaluation.error_rates import Counts, Labels
from serfiq_core.evaluation.weighted_pairs import WeightedPairs


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be reached: an FNMR, or a share of photographs rejected, of at most `rate`.

    `fmr`: where FNMR is counted; None, which the kind `reject` allows, leaves it uncounted.

    Raises:
        EvaluationError: a rate is out of its range, or the FMR of an FNMR is missing.
    """

    kind: Literal["fnmr", "reject"]
    rate: float
    fmr: float | None

    def __post_init__(self) -> None:
        if not 0 < self.rate < 1:
            raise EvaluationError(f"a target lies between 0 and 1, not at {self.rate:g}")
        if self.fmr is None:
            if self.kind == "fnmr":
                raise EvaluationError("an FNMR is counted at an FMR: name one")
        elif not 0 < self.fmr <= sufficiency.LARGEST_FMR:
            raise EvaluationError(
                f"the FMR must lie above 0 and not above {sufficiency.LARGEST_FMR:g}, "
                f"not at {self.fmr:g}"
            )


@dataclass(frozen=True, slots=True)
class ErrorRates:
    """What the `quality_threshold` does to the FNMR at one FMR.

    `largest_subject`: share of the mated pairs that one subject has, before any is discarded.
    `discarded`: share of the mated pairs. `fnmr_after`: both photographs of a pair must pass.
    `fnmr_after_one_gated`: one must, as at a desk that does not choose what it compares with.
    """

    fmr: float
    comparison_threshold: float
    mated_pairs: int
    non_mated_pairs: int
    largest_subject: float
    discarded: float
    fnmr_before: Interval
    fnmr_after: Interval
    fnmr_after_one_gated: Interval


@dataclass(frozen=True, slots=True)
class Answer:
    """The `quality_threshold` that reaches a target, and the data that say so.

    `rejected`: share of the photographs. `error_rates`: None when the target names no FMR.
    """

    target: Target
    photographs: int
    subjects: int
    quality_threshold: Interval
    rejected: Interval
    error_rates: ErrorRates | None
    resamples: int
    seed: int


def check_labels(subjects: Labels, target: Target) -> None:
    """Refuse photographs that are too few for a target, whatever they show.

    Args:
        subjects: `N`, numbers from 0; of those that are there, or of those that can be used.
        target: what is to be reached.

    Raises:
        InsufficientDataError: says how much more is needed.
    """
    sizes = np.bincount(subjects)
    sufficiency.check_subjects(len(sizes))
    if target.kind == "reject":
        sufficiency.check_photographs(len(subjects), target.rate)
    if target.fmr is not None:
        sufficiency.check_non_mated(sizes, target.fmr)
        sufficiency.check_mated(sizes, target.rate if target.kind == "fnmr" else None)


class _Figures(NamedTuple):
    """What one resample says: the threshold that it asks for, and what another one does to it."""

    quality_threshold: float
    rejected: float
    discarded: float
    fnmr_before: float
    fnmr_after: float
    fnmr_after_one_gated: float


class _Search:
    """The evidence ranked and compared once, to be counted for every resample."""

    def __init__(self, evidence: Evidence, target: Target) -> None:
        self.target = target
        self.photographs = rank_photographs(evidence)
        self.subjects = len(np.unique(evidence.subjects))
        self.everybody: Counts = np.ones(self.subjects, np.int64)
        check_labels(evidence.subjects, target)
        self.pairs = None if target.fmr is None else WeightedPairs(evidence, target.fmr)

    def curve(self, draws: Counts) -> DiscardCurve | None:
        return None if self.pairs is None else self.pairs.curve(draws)

    def found(self) -> float:
        """The threshold that the data themselves ask for."""
        curve = self.curve(self.everybody)
        if curve is not None and self.target.kind == "fnmr":
            sufficiency.check_reached(curve, self.target.rate, self.subjects)
        return self._asked_for(self.everybody, curve)

    def figures(self, draws: Counts, quality_threshold: float) -> _Figures:
        """What a resample asks for, and what `quality_threshold` does to it."""
        curve = self.curve(draws)
        asked_for = self._asked_for(draws, curve)
        rejected = self.photographs.share_below(quality_threshold, draws)
        if curve is None or self.pairs is None:
            return _Figures(asked_for, rejected, nan, nan, nan, nan)
        return _Figures(
            asked_for,
            rejected,
            discarded=1 - curve.left_at(quality_threshold) / max(1, curve.left_at(0)),
            fnmr_before=curve.fnmr_at(0),
            fnmr_after=curve.fnmr_at(quality_threshold),
            fnmr_after_one_gated=self.pairs.fnmr_one_gated(quality_threshold, draws),
        )

    def _asked_for(self, draws: Counts, curve: DiscardCurve | None) -> float:
        """The threshold that leaves as large a share of the subjects with pairs as the data must.

        How many of these a resample draws is chance. (Of 200 simulated sets of 120 such subjects 90
        were answered, and with 240 others added 84; 50 when resamples must have a number left. The
        upper end held in all; it need not where one subject may be left.)
        """
        rate = self.target.rate
        if self.target.kind == "reject" or curve is None or self.pairs is None:
            return self.photographs.highest_quality_threshold(rate, draws)
        of_all = int(self.pairs.mated.firsts.sum())
        fewest = sufficiency.fewest_left(rate) * curve.subjects_at(0) / of_all
        return curve.lowest_reaching(rate, fewest)


def find_quality_threshold(
    evidence: Evidence, target: Target, *, count: int = RESAMPLES, seed: int = 0
) -> Answer:
    """The threshold that discards least (`fnmr`), or most (`reject`), within the target.

    Args:
        evidence: photographs with embeddings, subjects and quality scores.
        target: what is to be reached.
        count: of resamples.
        seed: of the resamples.

    Raises:
        InsufficientDataError: the data cannot support an answer; says how much more is needed.
    """
    search = _Search(evidence, target)
    found = search.found()
    whole = search.figures(search.everybody, found)
    resamples = draws_of_subjects(search.subjects, count, seed)
    drawn = [search.figures(draws, found) for draws in resamples]
    threshold = interval(found, [each.quality_threshold for each in drawn])
    missed = sum(isinf(each.quality_threshold) for each in drawn) / count
    sufficiency.check_interval(threshold, missed, search.photographs, search.subjects)
    shortest = search.photographs.shortest
    return Answer(
        target,
        photographs=len(evidence.subjects),
        subjects=search.subjects,
        quality_threshold=Interval(
            shortest(threshold.value), shortest(threshold.low), shortest(threshold.high)
        ),
        rejected=interval(whole.rejected, [each.rejected for each in drawn]),
        error_rates=_error_rates(search, found, whole, drawn),
        resamples=count,
        seed=seed,
    )


def _error_rates(
    search: _Search, quality_threshold: float, whole: _Figures, drawn: Sequence[_Figures]
) -> ErrorRates | None:
    curve = search.curve(search.everybody)
    if search.pairs is None or curve is None:
        return None
    mated = search.pairs.mated
    of_subjects = np.bincount(mated.subjects)
    pairs = int(of_subjects.sum())
    gated = mated.subjects[mated.passing(quality_threshold) > 0]

    def share(figure: Callable[[_Figures], float], subjects: int) -> Interval:
        return interval(figure(whole), [figure(each) for each in drawn]).of_share(subjects)

    return ErrorRates(
        fmr=search.pairs.fmr,
        comparison_threshold=search.pairs.comparison_threshold(search.everybody),
        mated_pairs=pairs,
        non_mated_pairs=search.pairs.non_mated.count,
        largest_subject=float(of_subjects.max() / pairs),
        discarded=whole.discarded,
        fnmr_before=share(lambda each: each.fnmr_before, curve.subjects_at(0)),
        fnmr_after=share(lambda each: each.fnmr_after, curve.subjects_at(quality_threshold)),
        fnmr_after_one_gated=share(lambda each: each.fnmr_after_one_gated, len(np.unique(gated))),
    )
