"""All pairs of photographs compared once, and counted anew for every resample of the subjects.

A subject drawn twice counts twice, and its two copies are not compared with each other. This file
is numpy only. Shape letters: `S` subjects.
"""

import numpy as np

from serfiq_core.evaluation.discarding import (
    ROUNDING,
    DiscardCurve,
    Evidence,
    discard_curve,
    rank_mated_pairs,
)
from serfiq_core.evaluation.error_rates import Counts, all_non_mated

SPARE = 3
"""A resample may need more of the most similar non-mated pairs than the data themselves do."""


class WeightedPairs:
    """All pairs compared once, and counted anew for every resample, at one FMR.

    Args:
        evidence: whose photographs are compared.
        fmr: in (0, 1).
    """

    def __init__(self, evidence: Evidence, fmr: float) -> None:
        self.fmr = fmr
        self.mated = rank_mated_pairs(evidence)
        self.non_mated = all_non_mated(
            evidence.embeddings, evidence.subjects, min(1.0, SPARE * fmr)
        )
        self._first = evidence.subjects[self.non_mated.pairs.first]
        self._second = evidence.subjects[self.non_mated.pairs.second]
        self._photographs = np.bincount(evidence.subjects)

    def comparison_threshold(self, draws: Counts) -> float:
        """The lowest threshold at which no more than the FMR of the non-mated pairs match.

        `error_rates.comparison_threshold`, with weights. Where even the spare pairs do not suffice,
        the lowest similarity among them stands in: too high a threshold, which makes the FNMR look
        worse, and never better.

        Args:
            draws: `S`, how often each subject counts.
        """
        photographs = (draws * self._photographs).astype(np.float64)
        pairs = (photographs.sum() ** 2 - (photographs**2).sum()) / 2
        matches = np.cumsum(draws[self._first] * draws[self._second])
        refused = np.searchsorted(matches, self.fmr * pairs + ROUNDING, side="right")
        highest = self.non_mated.highest[min(int(refused), len(matches) - 1)]
        return float(np.nextafter(highest, np.float32(np.inf)))

    def fnmr_one_gated(self, quality_threshold: float, draws: Counts) -> float:
        """FNMR where one photograph of a pair must pass, and the other is what it is.

        Each pair counts once for each photograph of it that passes. 1 where none does.
        """
        weights = draws[self.mated.subjects] * self.mated.passing(quality_threshold)
        fails = self.mated.similarities < self.comparison_threshold(draws)
        return float(weights @ fails / weights.sum()) if weights.any() else 1.0

    def curve(self, draws: Counts) -> DiscardCurve:
        """FNMR against `quality_threshold` at that `comparison_threshold`."""
        return discard_curve(self.mated, self.comparison_threshold(draws), draws)
