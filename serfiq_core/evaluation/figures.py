"""All figures of an evaluation, from embeddings, labels and scores.

Composes this folder's parts. Numpy only: it knows no photographs and no files.
Shape letters: `N` photographs, `P` mated pairs, `G` subjects with mated pairs, `R` replicates.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from serfiq_core.correlation import spearman
from serfiq_core.errors import EvaluationError
from serfiq_core.evaluation.bootstrap import (
    FEWEST_DRAWN_FROM,
    Interval,
    band,
    draws_of_subjects,
    highest_share,
    interval,
)
from serfiq_core.evaluation.cohorts import CohortRates, Comparisons, cohort_rates
from serfiq_core.evaluation.det import Det, det
from serfiq_core.evaluation.edc import (
    Edc,
    Ranking,
    Values,
    edc,
    fnmr_at_discard,
    halving_discard,
    pair_minima,
    partial_area,
    rank,
    relative_area,
)
from serfiq_core.evaluation.error_rates import (
    Labels,
    comparison_threshold,
    fmr_at,
    fnmr_at,
    histogram_of,
)
from serfiq_core.evaluation.sufficiency import FEWEST_SUBJECTS

FMRS = (1e-2, 1e-3, 1e-4)
MAIN_FMR = 1e-3
"""That of the paper's curves, and what a gate means that names none."""

DISCARDS = (0.05, 0.1, 0.2, 0.3, 0.5)
"""Shares of the mated pairs at which FNMR is tabled."""

LIMITS = (0.2, 0.5)
"""Of the partial areas."""

BAND_DISCARDS = np.linspace(0, 0.5, 101)
"""Where the bootstrap bands are computed; the plots end where they do."""

REPLICATES = 200
"""Of the bootstrap: the ends of a 95 % interval are then its fifth values from either side."""


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """The comparison threshold of one FMR, and what it reaches without any discarding."""

    fmr: float
    comparison_threshold: float
    fmr_reached: float
    fnmr: Interval


@dataclass(frozen=True, slots=True)
class Area:
    """Partial area under the staircase up to `limit`.

    `relative`: 0 is the ideal line's, 1 that of a flat curve. `difference`: `relative` minus that
    of the first method, both in the same draw of subjects; below 0 where this method is better.
    Two intervals may overlap widely and their difference be clear: all methods suffer from the same
    subjects.
    """

    limit: float
    area: Interval
    relative: Interval
    difference: Interval


@dataclass(frozen=True, slots=True)
class MethodFigures:
    """What discarding by one method's score does at one FMR.

    `fnmr`: for each of `DISCARDS`. `band`: lower and upper ends at `BAND_DISCARDS`.
    """

    method: str
    fmr: float
    curve: Edc
    band: tuple[Values, Values]
    fnmr: tuple[Interval, ...]
    areas: tuple[Area, ...]
    halving: Interval


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All of it. `fmrs`: as asked for; `refused`: those that these pairs cannot tell, and why.

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
    def too_few_subjects(self) -> str:
        """What to think of the intervals; empty where there are enough subjects."""
        if self.subjects_with_pairs >= FEWEST_SUBJECTS:
            return ""
        return (
            f"subjects with mated pairs: only {self.subjects_with_pairs}; intervals from fewer "
            f"than {FEWEST_SUBJECTS} are too narrow"
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


@dataclass(frozen=True, slots=True)
class _Draws:
    """How often each mated pair counts in each replicate, `P` at a time."""

    of_subjects: npt.NDArray[np.int64]
    subject_of_pair: Labels

    def each(self, figure: Callable[[npt.NDArray[np.int64]], Values]) -> Values:
        """`figure` of the weights of every replicate: `R × K`; nan where there is one subject."""
        rows = np.array([figure(counts[self.subject_of_pair]) for counts in self.of_subjects])
        enough = self.of_subjects.shape[1] >= FEWEST_DRAWN_FROM
        return rows if enough else np.full_like(rows, np.nan)


def evaluate(
    comparisons: Comparisons,
    methods: Mapping[str, Values],
    fmrs: Sequence[float],
    *,
    seed: int = 0,
    replicates: int = REPLICATES,
    advance: Callable[[], None] = lambda: None,
) -> Evaluation:
    """Compute all figures.

    Args:
        comparisons: mated and non-mated pairs.
        methods: name → `N` scores, finite, higher is better. `cohorts` discards by the first.
        fmrs: false match rates; those that cannot be told from the pairs are refused by themselves.
        seed: of the bootstrap.
        replicates: of the bootstrap.
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
    draws = _Draws(draws_of_subjects(len(names), replicates, seed), subject_of_pair)
    points, refused = _points(comparisons, fmrs, draws)
    figures: list[MethodFigures] = []
    firsts: dict[float, _Measured] = {}
    correlations = {}
    for name, quality in methods.items():
        minima = pair_minima(quality, comparisons.mated)
        correlations[name] = spearman(minima, mated)
        ranking = rank(minima)
        for point in points:
            measured = _measure(ranking, mated < point.comparison_threshold, draws)
            first = firsts.setdefault(point.fmr, measured)
            figures.append(_method_figures(name, point.fmr, measured, first))
        advance()
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
        cohorts=tuple(
            rates
            for point in points
            for rates in cohort_rates(
                comparisons,
                point.comparison_threshold,
                point.fmr,
                next(iter(methods.values())),
                seed=seed,
                replicates=replicates,
            )
        ),
    )


def _points(
    comparisons: Comparisons, fmrs: Sequence[float], draws: _Draws
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
        fnmr = interval(fnmr_at(mated, limit), replicates[:, 0]).of_pairs(len(mated))
        points.append(OperatingPoint(fmr, limit, fmr_at(comparisons.non_mated, limit), fnmr))
    if not points:
        raise EvaluationError("; ".join(refused.values()))
    return tuple(points), refused


_RATES = slice(0, len(DISCARDS))
_AREAS = slice(_RATES.stop, _RATES.stop + len(LIMITS))
_RELATIVE = slice(_AREAS.stop, _AREAS.stop + len(LIMITS))
_HALVING = slice(_RELATIVE.stop, _RELATIVE.stop + 1)
_BAND = slice(_HALVING.stop, None)
"""Where what stands in a row of figures."""


@dataclass(frozen=True, slots=True)
class _Measured:
    """One method at one FMR. `values`: a row of figures; `replicates`: `R` rows."""

    pairs: int
    curve: Edc
    values: Values
    replicates: Values

    def intervals(self, columns: slice) -> tuple[Interval, ...]:
        """Of each figure of these columns."""
        return _intervals(self.values[columns], self.replicates[:, columns])

    def pairs_left(self, discards: npt.ArrayLike) -> Values:
        """When as many are discarded as can be without passing each of `discards`."""
        steps = np.searchsorted(self.curve.discarded, discards, side="right") - 1
        return self.pairs * (1 - self.curve.discarded[steps])


def _measure(ranking: Ranking, non_match: npt.NDArray[np.bool_], draws: _Draws) -> _Measured:
    """Every figure as one row, so that value and replicates come from the same lines."""

    def row(curve: Edc) -> Values:
        return np.array(
            [
                *fnmr_at_discard(curve, np.array(DISCARDS)),
                *(partial_area(curve, limit) for limit in LIMITS),
                *(relative_area(curve, limit) for limit in LIMITS),
                halving_discard(curve),
                *fnmr_at_discard(curve, BAND_DISCARDS),
            ]
        )

    curve = edc(ranking, non_match)
    replicates = draws.each(lambda weights: row(edc(ranking, non_match, weights)))
    return _Measured(len(non_match), curve, row(curve), replicates)


def _method_figures(
    method: str, fmr: float, measured: _Measured, first: _Measured
) -> MethodFigures:
    """`first`: of the method that all are held against."""
    differences = _intervals(
        measured.values[_RELATIVE] - first.values[_RELATIVE],
        measured.replicates[:, _RELATIVE] - first.replicates[:, _RELATIVE],
    )
    rates = zip(measured.intervals(_RATES), measured.pairs_left(DISCARDS), strict=True)
    low, high = band(measured.replicates[:, _BAND])
    areas = (measured.intervals(_AREAS), measured.intervals(_RELATIVE), differences)
    return MethodFigures(
        method=method,
        fmr=fmr,
        curve=measured.curve,
        band=(low, highest_share(high, measured.pairs_left(BAND_DISCARDS))),
        fnmr=tuple(found.of_pairs(pairs) for found, pairs in rates),
        areas=tuple(Area(*each) for each in zip(LIMITS, *areas, strict=True)),
        halving=measured.intervals(_HALVING)[0],
    )


def _intervals(values: Values, replicates: Values) -> tuple[Interval, ...]:
    columns = zip(values.tolist(), replicates.T, strict=True)
    return tuple(interval(value, column) for value, column in columns)
