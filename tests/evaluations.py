"""A made-up evaluation in which no two figures are the same number: none can stand for another."""

from collections.abc import Callable
from itertools import count

import numpy as np

from serfiq_core.evaluation.bootstrap import Interval
from serfiq_core.evaluation.cohorts import CohortRates
from serfiq_core.evaluation.det import Det
from serfiq_core.evaluation.edc import Edc
from serfiq_core.evaluation.error_rates import HISTOGRAM_BINS
from serfiq_core.evaluation.figures import Evaluation, OperatingPoint
from serfiq_core.evaluation.method_figures import BAND_DISCARDS, Area, MethodFigures

TEN_PAIRS = Edc(
    discarded=np.array([0, 0.1, 0.3, 0.4, 0.5, 0.8, 0.9]),
    fnmr=np.array([4 / 10, 3 / 9, 2 / 7, 2 / 6, 1 / 5, 0, 0]),
    quality_threshold=np.array([1.0, 2, 3, 4, 5, 6, 7]),
)
"""The curve that tests/unit/test_edc.py works out by hand."""

FMRS = (0.01, 0.001)
METHODS = ("sampled", "other")


def made_up_evaluation() -> Evaluation:
    """At two FMRs, of two methods and two cohorts; intervals are of thousandths, rising from 1."""
    numbers = count(1)

    def thousandth() -> float:
        return next(numbers) / 1000

    def interval() -> Interval:
        low, value, high = (thousandth() for _ in range(3))
        return Interval(value, low, high)

    return Evaluation(
        photographs=next(numbers),
        subjects=next(numbers),
        subjects_with_pairs=next(numbers),
        mated_pairs=next(numbers),
        non_mated_pairs=next(numbers),
        fmrs=FMRS,
        points=tuple(
            OperatingPoint(fmr, thousandth(), thousandth(), interval(), next(numbers))
            for fmr in FMRS
        ),
        refused={},
        figures=tuple(_figures(method, fmr, interval) for method in METHODS for fmr in FMRS),
        spearman={method: thousandth() for method in METHODS},
        det=Det(np.array([-1, 0, 0.5]), np.array([0.8, 0.4, 0.1]), np.array([0.05, 0.2, 0.6])),
        mated_histogram=_histogram({0.505: 3, 0.535: 1}),
        non_mated_histogram=_histogram({0.005: 9, -0.995: 1}),
        cohorts=tuple(
            CohortRates(
                cohort,
                fmr,
                photographs=next(numbers),
                left_out=next(numbers),
                mated_pairs=next(numbers),
                non_mated_pairs=next(numbers),
                fnmr_in_cohort=interval(),
                fmr_in_cohort=interval(),
                discard=interval(),
                fnmr_after_discard=interval(),
            )
            for fmr in FMRS
            for cohort in ("north", "south")
        ),
    )


def _figures(method: str, fmr: float, interval: Callable[[], Interval]) -> MethodFigures:
    return MethodFigures(
        method=method,
        fmr=fmr,
        curve=TEN_PAIRS,
        band=(np.zeros_like(BAND_DISCARDS), np.ones_like(BAND_DISCARDS)),
        fnmr=tuple(interval() for _ in range(5)),
        areas=tuple(Area(limit, interval(), interval(), interval()) for limit in (0.2, 0.5)),
        halving=interval(),
    )


def _histogram(counts: dict[float, int]) -> np.ndarray:
    """So many similarities in the bin of each."""
    histogram = np.zeros(HISTOGRAM_BINS, np.int64)
    for similarity, times in counts.items():
        histogram[int((similarity + 1) / 2 * HISTOGRAM_BINS)] = times
    return histogram
