"""What discarding by one method's scores does at one FMR, with intervals over subjects.

Numpy only. Shape letters: `P` mated pairs, `G` subjects who have them, `S` steps, `R` resamples.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from serfiq_core.evaluation.bootstrap import (
    FEWEST_DRAWN_FROM,
    Interval,
    band,
    highest_share,
    interval,
    lowest_share,
)
from serfiq_core.evaluation.edc import (
    Edc,
    Ranking,
    Values,
    edc,
    fnmr_at_discard,
    halving_discard,
    partial_area,
    relative_area,
)
from serfiq_core.evaluation.error_rates import Counts, Indices, Labels

DISCARDS = (0.05, 0.1, 0.2, 0.3, 0.5)
"""Shares of the mated pairs at which FNMR is tabled."""

LIMITS = (0.2, 0.5)
"""Of the partial areas."""

BAND_DISCARDS = np.linspace(0, 0.5, 101)
"""Where the bootstrap bands are computed; the plots end where they do."""

FEWEST_FAILING = 10
"""Subjects with failing pairs: of fewer, nothing tells how sure the shape of a curve is. (Of 300
simulated subjects and scores that know nothing, 95 % intervals of relative area held 1 in 7 of 100
cases where one subject failed, in 62 where 5 did, 77 with 10, 91 with 20 and 93 with 30.)"""


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
class Draws:
    """How often each mated pair counts in each resample, `P` at a time."""

    of_subjects: Sequence[Counts]
    subject_of_pair: Labels

    @property
    def subjects(self) -> int:
        """`G`."""
        return len(self.of_subjects[0])

    def subjects_of(self, chosen: npt.NDArray[np.bool_]) -> int:
        """How many subjects have pairs among some of the `P`."""
        return len(np.unique(self.subject_of_pair[chosen]))

    def each(self, figure: Callable[[Counts], Values]) -> Values:
        """`figure` of the weights of every resample: `R × K`; nan where there is one subject."""
        rows = np.array([figure(counts[self.subject_of_pair]) for counts in self.of_subjects])
        enough = self.subjects >= FEWEST_DRAWN_FROM
        return rows if enough else np.full_like(rows, np.nan)


_RATES = slice(0, len(DISCARDS))
_AREAS = slice(_RATES.stop, _RATES.stop + len(LIMITS))
_RELATIVE = slice(_AREAS.stop, _AREAS.stop + len(LIMITS))
_HALVING = slice(_RELATIVE.stop, _RELATIVE.stop + 1)
_BAND = slice(_HALVING.stop, None)
_OF_SHAPE = slice(_RELATIVE.start, _HALVING.stop)
"""Which columns of a row hold which figures."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One method at one FMR.

    `starts`: `S`, as in `Ranking`. `best_pairs`: where in that order the best pair of each of the
    `G` subjects stands, rising. `values`: a row of figures; `replicates`: `R` rows.
    """

    curve: Edc
    starts: Indices
    best_pairs: Indices
    values: Values
    replicates: Values

    def intervals(self, columns: slice) -> tuple[Interval, ...]:
        """The interval of each of these columns."""
        return _intervals(self.values[columns], self.replicates[:, columns])

    def areas(self) -> tuple[Interval, ...]:
        """Of `LIMITS`; no upper end is lower than the area under the lowest ones of FNMR.

        Nor is a lower end higher than that under the highest ones.
        """
        least = highest_share(0, self.subjects_left(BAND_DISCARDS))
        under = [limit * least[limit >= BAND_DISCARDS].mean() for limit in LIMITS]
        return tuple(
            replace(
                found,
                low=float(np.minimum(found.low, limit - lowest)),
                high=float(np.maximum(found.high, lowest)),
            )
            for found, limit, lowest in zip(self.intervals(_AREAS), LIMITS, under, strict=True)
        )

    def subjects_left(self, discards: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """How many subjects have pairs left when as many go as can without passing a discard."""
        steps = np.searchsorted(self.curve.discarded, discards, side="right") - 1
        return len(self.best_pairs) - np.searchsorted(self.best_pairs, self.starts[steps])


def measure_method(ranking: Ranking, non_match: npt.NDArray[np.bool_], draws: Draws) -> Measured:
    """All figures of one method at one FMR.

    Args:
        ranking: of the mated pairs by the method's scores.
        non_match: `P`, which of them fall below the comparison threshold.
        draws: of the bootstrap.
    """

    def row(curve: Edc) -> Values:
        # One row, so that value and replicates come from the same lines.
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
    if draws.subjects_of(non_match) < FEWEST_FAILING:
        replicates[:, _OF_SHAPE] = np.nan
    return Measured(
        curve,
        ranking.starts,
        best_pairs=_best_pairs(draws.subject_of_pair[ranking.order]),
        values=row(curve),
        replicates=replicates,
    )


def method_figures(method: str, fmr: float, measured: Measured, first: Measured) -> MethodFigures:
    """What `measured` says, with intervals; `first`: of the method that all are held against."""
    differences = _intervals(
        measured.values[_RELATIVE] - first.values[_RELATIVE],
        measured.replicates[:, _RELATIVE] - first.replicates[:, _RELATIVE],
    )
    rates = zip(measured.intervals(_RATES), measured.subjects_left(DISCARDS), strict=True)
    low, high = band(measured.replicates[:, _BAND])
    subjects_left = measured.subjects_left(BAND_DISCARDS)
    areas = (measured.areas(), measured.intervals(_RELATIVE), differences)
    return MethodFigures(
        method=method,
        fmr=fmr,
        curve=measured.curve,
        band=(lowest_share(low, subjects_left), highest_share(high, subjects_left)),
        fnmr=tuple(found.of_share(subjects) for found, subjects in rates),
        areas=tuple(Area(*each) for each in zip(LIMITS, *areas, strict=True)),
        halving=measured.intervals(_HALVING)[0],
    )


def _best_pairs(subjects: Labels) -> Indices:
    """The last place of each subject among those of `P` pairs, rising."""
    _, from_behind = np.unique(subjects[::-1], return_index=True)
    return np.sort(len(subjects) - 1 - from_behind).astype(np.int32)


def _intervals(values: Values, replicates: Values) -> tuple[Interval, ...]:
    columns = zip(values.tolist(), replicates.T, strict=True)
    return tuple(interval(value, column) for value, column in columns)
