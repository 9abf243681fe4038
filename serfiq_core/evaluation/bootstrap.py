"""The bootstrap over subjects: how much a figure depends on who happened to be photographed.

The pairs of one subject stand or fall together, and a few subjects hold most pairs: intervals over
pairs would be far too narrow. So whole subjects are drawn with replacement, as many as there are
(Efron, 1979; Bolle et al., "Error analysis of pattern recognition systems: the subsets bootstrap",
CVIU 2004). A subject drawn twice counts twice, and its two copies are not compared with each other.
Each such draw is a resample, and what a figure is there is one replicate of it.

Whether the comparison threshold is set anew in each resample is up to the caller: `targets.py` does
so; in `figures.py` it stays as it is, and intervals are conditional on it. This file is numpy only.
Shape letters: `R` resamples, `G` subjects, `K` figures.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from serfiq_core.evaluation.error_rates import Counts

LEVEL_PERCENT = 95

RESAMPLES = 1000
"""Efron and Tibshirani, An Introduction to the Bootstrap, 1993: a thousand for percentiles."""

FEWEST_DRAWN_FROM = 2
"""Of one subject all replicates are alike, which says nothing of how sure a figure is."""

FEWEST_WITHOUT_EVENT = 3
"""The rule of 3: `3 / rate` independent trials without an error show, at 95 % confidence, that the
true rate is below `rate`. With fewer, "at most" is no claim. The trials are subjects and not pairs:
one who is hard to recognise fails in many pairs at once. (Of 100 simulated subjects with 10
photographs, 62 in 100 intervals held the FNMR where pairs were counted, 99 with subjects.)"""


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure, and the central 95 % of its replicates.

    Nan where it cannot be told, infinite where it is never reached.
    """

    value: float
    low: float
    high: float

    def of_share(self, independent: float) -> "Interval":
        """As it is for a share of so many: where all or none fail, replicates all say so."""
        low, high = lowest_share(self.low, independent), highest_share(self.high, independent)
        return replace(self, low=float(low), high=float(high))


def lowest_share(low: npt.ArrayLike, independent: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Lower ends of shares: no higher than the rule of 3 has it, as for `highest_share`."""
    return np.minimum(np.asarray(low, np.float64), 1 - highest_share(0, independent))


def highest_share(high: npt.ArrayLike, independent: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Upper ends of shares: no lower than the rule of 3 has it, nan as it is.

    Args:
        high: what the replicates say.
        independent: how many cases stand behind each. Of mated pairs these are the subjects: one
            who is hard to recognise fails in many pairs at once. Of non-mated pairs it is how many
            pairs of subjects there are.
    """
    at_least = FEWEST_WITHOUT_EVENT / np.maximum(independent, FEWEST_WITHOUT_EVENT)
    return np.maximum(np.asarray(high, np.float64), at_least)


def draws_of_subjects(subjects: int, count: int, seed: int) -> Iterator[Counts]:
    """How often each subject is drawn, `G`, summing to `G`: `count` resamples."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        yield rng.multinomial(subjects, np.full(subjects, 1 / subjects))


def interval(value: float, replicates: npt.ArrayLike) -> Interval:
    """The percentile interval of `R` replicates, those left out that are nan."""
    low, high = band(np.asarray(replicates, np.float64)[:, None])
    return Interval(value, float(low[0]), float(high[0]))


def band(
    replicates: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Lower and upper ends for each column of `R × K`.

    Actual replicates: between a number and infinity lies nothing. Rounded outwards, so that as many
    lie beyond the one end as beyond the other: of a thousand, 24.
    """
    ordered = np.sort(replicates, axis=0)  # nan comes last
    last = (~np.isnan(ordered)).sum(axis=0) - 1
    tail = (1 - LEVEL_PERCENT / 100) / 2
    columns = np.arange(ordered.shape[1])
    low = ordered[np.floor(tail * last).astype(int), columns]
    high = ordered[np.ceil((1 - tail) * last).astype(int), columns]
    return low, high
