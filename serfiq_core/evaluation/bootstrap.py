"""Intervals from drawing subjects, not pairs, again and again.

The pairs of one subject stand or fall together, and a few subjects hold most pairs: intervals over
pairs would be far too narrow. So whole subjects are drawn with replacement (Efron, 1979; Bolle et
al., "Error analysis of pattern recognition systems: the subsets bootstrap", CVIU 2004), and all
methods meet the same draws. The comparison threshold stays as it is: intervals are conditional on
it. This file is numpy only. Shape letters: `R` replicates, `G` subjects.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from serfiq_core.evaluation.sufficiency import FEWEST_WITHOUT_EVENT

LEVEL_PERCENT = 95

FEWEST_DRAWN_FROM = 2
"""Of one subject all replicates are alike, which says nothing of how sure a figure is."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure, and the central 95 % of what it is in the replicates.

    Nan where it cannot be told, infinite where it is never reached.
    """

    value: float
    low: float
    high: float

    def of_share(self, independent: float) -> "Interval":
        """As it is for a share of so many: replicates without an error all say 0."""
        return replace(self, high=float(highest_share(self.high, independent)))


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


def draws_of_subjects(subjects: int, replicates: int, seed: int) -> npt.NDArray[np.int64]:
    """How often each subject is drawn: `R × G`, each row summing to `G`."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(subjects, np.full(subjects, 1 / subjects), size=replicates)


def interval(value: float, replicates: npt.ArrayLike) -> Interval:
    """The percentile interval of `R` replicates, those left out that are nan."""
    low, high = band(np.asarray(replicates, np.float64)[:, None])
    return Interval(value, float(low[0]), float(high[0]))


def band(
    replicates: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Lower and upper ends for each column of `R × K`.

    Actual replicates, the nearest ones outwards: between a number and infinity lies nothing.
    """
    ordered = np.sort(replicates, axis=0)  # nan comes last
    last = (~np.isnan(ordered)).sum(axis=0) - 1
    tail = (1 - LEVEL_PERCENT / 100) / 2
    columns = np.arange(ordered.shape[1])
    low = ordered[np.floor(tail * last).astype(int), columns]
    high = ordered[np.ceil((1 - tail) * last).astype(int), columns]
    return low, high
