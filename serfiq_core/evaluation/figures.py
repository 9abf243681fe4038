"""All figures of an evaluation, from embeddings, labels and scores.

Composes this folder's parts. Numpy only: it knows no photographs and no files.
Shape letters: `N` photographs, `P` mated pairs, `G` subjects with mated pairs, `R` resamples.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from serfiq_core.correlation import spearman
from serfiq_core.errors import EvaluationError
from serfiq_core.evaluation.bootstrap import Interval, draws_of_subjects, interval
from serfiq_core.evaluation.cohorts import CohortRates, cohort_rates
from serfiq_core.evaluation.comparisons import Comparisons
from serfiq_core.evaluation.det import Det, det
from serfiq_core.evaluation.edc import Values, pair_minima, rank
from serfiq_core.evaluation.error_rates import (
    comparison_threshold,
    false_matches_allowed,
    fmr_at,
    fnmr_at,
    histogram_of,
)
from serfiq_core.evaluation.method_figures import (
    FEWEST_FAILING,
    Draws,
    Measured,
    MethodFigures,
    measure_method,
    method_figures,
)
from serfiq_core.evaluation.sufficiency import FEWEST_EVENTS, FEWEST_SUBJECTS

FMRS = (1e-2, 1e-3, 1e-4)
MAIN_FMR = 1e-3
"""The FMR of the paper's curves, and of a gate that names none."""

RESAMPLES = 200
"""Of the bootstrap: the ends of a 95 % interval are then its fifth values from either side."""


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """The comparison threshold of one FMR, and what it reaches without any discarding.

    `failing_subjects`: those with mated pairs that do not match.
    """

    fmr: float
    comparison_threshold: float
    fmr_reached: float
    fnmr: Interval
    failing_subjects: int


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All figures. `fmrs`: as asked for; `refused`: those that these pairs cannot tell, and why.

    `subjects_with_pairs`: mated ones; the bootstrap draws from these. `spearman`: of pair minimum
    and mated similarity, by method; nan for constant scores.
    """

    photographs: int
    subjects: int
    subjects_with_pairs: int
    mated_pairs: int
    non_mated_pairs: int
    fmrs: tuple[float, ...]
    points: tuple[OperatingPoint, ...]
    refused: Mapping[float, str]
    figures: tuple[MethodFigures, ...]
    spearman: Mapping[str, float]
    det: Det
    mated_histogram: npt.NDArray[np.int64]
    non_mated_histogram: npt.NDArray[np.int64]
    cohorts: tuple[CohortRates, ...]

    @property
    def warnings(self) -> tuple[str, ...]:
        """What makes intervals too narrow; empty where nothing does."""
        return tuple(self._warnings())

    def _warnings(self) -> Iterator[str]:
        if self.subjects_with_pairs < FEWEST_SUBJECTS:
            yield (
                f"subjects with mated pairs: only {self.subjects_with_pairs}; intervals from fewer "
                f"than {FEWEST_SUBJECTS} are too narrow"
            )
        for point in self.points:
            allowed = false_matches_allowed(self.non_mated_pairs, point.fmr)
            if allowed < FEWEST_EVENTS:
                yield (
                    f"false matches at an FMR of {point.fmr:g}: only {allowed} of "
                    f"{self.non_mated_pairs:,} non-mated pairs; with fewer than {FEWEST_EVENTS} "
                    "the comparison threshold is unsure, and intervals are too narrow"
                )
            if point.failing_subjects < FEWEST_SUBJECTS:
                yield (
                    f"subjects with failing pairs at an FMR of {point.fmr:g}: only "
                    f"{point.failing_subjects}; with fewer than {FEWEST_SUBJECTS} the intervals of "
                    "relative areas, of what is minus first and of halving are too narrow, and "
                    f"with fewer than {FEWEST_FAILING} there are none"
                )

    @property
    def main_fmr(self) -> float:
        """`MAIN_FMR` where it was asked for, else the first that was; it may have been refused."""
        return MAIN_FMR if MAIN_FMR in self.fmrs else self.fmrs[0]

    def of(self, method: str, fmr: float) -> MethodFigures:
        """The figures of one method.

        Raises:
            EvaluationError: there is no such method, or the FMR was not evaluated.
        """
        if fmr not in [point.fmr for point in self.points]:
            raise EvaluationError(self.refused.get(fmr, f"an FMR of {fmr:g} was not evaluated"))
        for figures in self.figures:
            if (figures.method, figures.fmr) == (method, fmr):
                return figures
        names = dict.fromkeys(figures.method for figures in self.figures)
        raise EvaluationError(f"there is no method {method}; there are {', '.join(names)}")


def evaluate(
    comparisons: Comparisons,
    methods: Mapping[str, Values],
    fmrs: Sequence[float],
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
    advance: Callable[[], None] = lambda: None,
) -> Evaluation:
    """Compute all figures.

    Args:
        comparisons: mated and non-mated pairs.
        methods: name → `N` scores, finite, higher is better. `cohorts` discards by the first.
        fmrs: false match rates; those that cannot be told from the pairs are refused by themselves.
        seed: of the bootstrap.
        resamples: of the bootstrap.
        advance: called when a method is done.

    Raises:
        EvaluationError: there is no mated pair, or no FMR can be told from the non-mated pairs.
    """
    mated = comparisons.mated_similarities
    names, subject_of_pair = np.unique(
        comparisons.subjects[comparisons.mated.first], return_inverse=True
    )
    if not len(names):
        raise EvaluationError("there is no mated pair among the photographs with a face")
    draws = Draws([*draws_of_subjects(len(names), resamples, seed)], subject_of_pair)
    points, refused = _points(comparisons, fmrs, draws)
    figures, correlations = _of_methods(comparisons, methods, points, draws, advance)
    histogram = histogram_of(mated)
    return Evaluation(
        photographs=len(comparisons.subjects),
        subjects=len(np.unique(comparisons.subjects)),
        subjects_with_pairs=len(names),
        mated_pairs=len(mated),
        non_mated_pairs=comparisons.non_mated.count,
        fmrs=tuple(fmrs),
        points=points,
        refused=refused,
        figures=tuple(figures),
        spearman=correlations,
        det=det(histogram, comparisons.non_mated.histogram),
        mated_histogram=histogram,
        non_mated_histogram=comparisons.non_mated.histogram,
        cohorts=_cohorts(comparisons, points, next(iter(methods.values())), seed, resamples),
    )


def _of_methods(
    comparisons: Comparisons,
    methods: Mapping[str, Values],
    points: Sequence[OperatingPoint],
    draws: Draws,
    advance: Callable[[], None],
) -> tuple[list[MethodFigures], dict[str, float]]:
    """The figures of each method at each point, and its correlation with mated similarity."""
    mated = comparisons.mated_similarities
    figures: list[MethodFigures] = []
    firsts: dict[float, Measured] = {}
    correlations: dict[str, float] = {}
    for name, quality in methods.items():
        minima = pair_minima(quality, comparisons.mated)
        correlations[name] = spearman(minima, mated)
        ranking = rank(minima)
        for point in points:
            measured = measure_method(ranking, mated < point.comparison_threshold, draws)
            first = firsts.setdefault(point.fmr, measured)
            figures.append(method_figures(name, point.fmr, measured, first))
        advance()
    return figures, correlations


def _cohorts(
    comparisons: Comparisons,
    points: Sequence[OperatingPoint],
    quality: Values,
    seed: int,
    resamples: int,
) -> tuple[CohortRates, ...]:
    return tuple(
        rates
        for point in points
        for rates in cohort_rates(
            comparisons,
            point.comparison_threshold,
            point.fmr,
            quality,
            seed=seed,
            resamples=resamples,
        )
    )


def _points(
    comparisons: Comparisons, fmrs: Sequence[float], draws: Draws
) -> tuple[tuple[OperatingPoint, ...], dict[float, str]]:
    points, refused = [], {}
    for fmr in fmrs:
        try:
            limit = comparison_threshold(comparisons.non_mated, fmr)
        except EvaluationError as error:
            refused[fmr] = str(error)
            continue
        mated = comparisons.mated_similarities
        non_match = mated < limit
        replicates = draws.each(lambda w, fails=non_match: np.array([w @ fails / w.sum()]))  # type: ignore[misc]
        fnmr = interval(fnmr_at(mated, limit), replicates[:, 0]).of_share(draws.subjects)
        reached, failing = fmr_at(comparisons.non_mated, limit), draws.subjects_of(non_match)
        points.append(OperatingPoint(fmr, limit, reached, fnmr, failing))
    if not points:
        raise EvaluationError("; ".join(refused.values()))
    return tuple(points), refused
