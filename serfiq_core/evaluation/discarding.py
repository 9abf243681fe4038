"""What is left when photographs below a `quality_threshold` are discarded, and which one to choose.

A pair is discarded when the lower `quality_score` of its two photographs lies below the threshold.
Every subject may count several times or not at all, as a resample drew it. This file is numpy only:
it knows scores, similarities and labels, no images and no files.
Shape letters: `N` photographs, `S` subjects, `P` mated pairs.
"""

from dataclasses import dataclass
from math import inf

import numpy as np
import numpy.typing as npt

from serfiq_core.evaluation.edc import pair_minima
from serfiq_core.evaluation.error_rates import (
    Counts,
    Embeddings,
    Labels,
    Similarities,
    mated_pairs,
    similarities,
)

QualityScores = npt.NDArray[np.float64]

ROUNDING = 1e-9
"""Products such as 0.05 · 20 may come out a hair below the whole number they are."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """`N` photographs of known subjects, as the recogniser saw them.

    `embeddings`: `N × E`, unit norm. `subjects`: `N`, numbers from 0 to `S − 1`.
    `quality_scores`: `N`, 0 to 100.
    """

    embeddings: Embeddings
    subjects: Labels
    quality_scores: QualityScores


@dataclass(frozen=True, slots=True)
class RankedPhotographs:
    """The `N` photographs, the worst first: `quality_scores` never fall."""

    quality_scores: QualityScores
    subjects: Labels

    def highest_quality_threshold(self, rejected: float, draws: Counts) -> float:
        """The highest quality below which no more than a share of the photographs lies.

        Args:
            rejected: the share, in (0, 1).
            draws: `S`, how often each subject counts.
        """
        firsts = np.flatnonzero(np.diff(self.quality_scores, prepend=-inf))
        weights = draws[self.subjects]
        below = (np.cumsum(weights) - weights)[firsts]
        taken = firsts[below <= rejected * weights.sum() + ROUNDING]
        return float(self.quality_scores[taken[-1]])

    def share_below(self, quality_threshold: float, draws: Counts) -> float:
        """Share of the photographs that a `quality_threshold` rejects."""
        weights = draws[self.subjects]
        below = np.searchsorted(self.quality_scores, quality_threshold)
        return float(weights[:below].sum() / weights.sum())

    def shortest(self, quality_threshold: float) -> float:
        """The threshold with the fewest decimals that rejects the same photographs."""
        place = int(np.searchsorted(self.quality_scores, quality_threshold))
        lower = self.quality_scores[place - 1] if place else -inf
        for decimals in range(16):
            rounded = np.floor(quality_threshold * 10.0**decimals) / 10.0**decimals
            if lower < rounded <= quality_threshold:
                return float(rounded)
        return quality_threshold


@dataclass(frozen=True, slots=True)
class RankedPairs:
    """The `P` mated pairs, the best first.

    `quality_scores`: the lower of the two, never rising. `higher_scores`: the other. `subjects`:
    whose pair it is. `firsts`: whether it is the first of its subject.
    """

    quality_scores: QualityScores
    higher_scores: QualityScores
    similarities: Similarities
    subjects: Labels
    firsts: npt.NDArray[np.bool_]

    def passing(self, quality_threshold: float) -> Counts:
        """How many of the two photographs pass: `P`."""
        lower, higher = (s >= quality_threshold for s in (self.quality_scores, self.higher_scores))
        return lower.astype(np.int64) + higher


@dataclass(frozen=True, slots=True)
class DiscardCurve:
    """FNMR against `quality_threshold`: one point for every quality of a pair that counts.

    `quality_thresholds`: falling; at the last nothing is discarded. `left`: how many pairs lie at
    or above each. `missed`: how many of these do not match. `subjects`: how many subjects the pairs
    left are of.
    """

    quality_thresholds: QualityScores
    left: Counts
    missed: Counts
    subjects: Counts

    def lowest_reaching(self, fnmr: float, fewest_subjects: float) -> float:
        """The threshold that discards least among those with an FNMR of at most `fnmr`.

        Args:
            fnmr: in (0, 1).
            fewest_subjects: points where pairs of fewer subjects are left say nothing.

        Returns:
            0 where nothing need be discarded, infinity where no point will do.
        """
        reached = self.reaches(fnmr) & (self.subjects >= fewest_subjects)
        if not reached.any():
            return inf
        point = np.flatnonzero(reached)[-1]
        return 0.0 if point == len(reached) - 1 else float(self.quality_thresholds[point])

    def reaches(self, fnmr: float) -> npt.NDArray[np.bool_]:
        """Whether FNMR is at most `fnmr`, at each point."""
        return self.missed <= fnmr * self.left + ROUNDING

    def left_at(self, quality_threshold: float) -> int:
        """How many pairs are left."""
        point = self._point(quality_threshold)
        return 0 if point < 0 else int(self.left[point])

    def subjects_at(self, quality_threshold: float) -> int:
        """How many subjects the pairs left are of."""
        point = self._point(quality_threshold)
        return 0 if point < 0 else int(self.subjects[point])

    def fnmr_at(self, quality_threshold: float) -> float:
        """Share of the pairs left that do not match; 1 where none is left to claim anything of."""
        point = self._point(quality_threshold)
        return 1.0 if point < 0 else float(self.missed[point] / self.left[point])

    def _point(self, quality_threshold: float) -> int:
        kept = np.searchsorted(-self.quality_thresholds, -quality_threshold, side="right")
        return int(kept) - 1


def rank_photographs(evidence: Evidence) -> RankedPhotographs:
    """All photographs, by rising quality."""
    order = np.argsort(evidence.quality_scores, kind="stable")
    return RankedPhotographs(evidence.quality_scores[order], evidence.subjects[order])


def rank_mated_pairs(evidence: Evidence) -> RankedPairs:
    """All mated pairs, by falling quality."""
    pairs = mated_pairs(evidence.subjects)
    scores = pair_minima(evidence.quality_scores, pairs)
    higher = -pair_minima(-evidence.quality_scores, pairs)
    order = np.argsort(-scores, kind="stable")
    compared = similarities(evidence.embeddings, pairs)
    subjects = evidence.subjects[pairs.first[order]]
    firsts = np.zeros(len(order), bool)
    firsts[np.unique(subjects, return_index=True)[1]] = True
    return RankedPairs(scores[order], higher[order], compared[order], subjects, firsts)


def discard_curve(pairs: RankedPairs, comparison_threshold: float, draws: Counts) -> DiscardCurve:
    """Count what is left, and what of it does not match, at every quality of a pair.

    Args:
        pairs: `P`.
        comparison_threshold: at or above it two faces match.
        draws: `S`, how often each subject, and so each of its pairs, counts.
    """
    weights = draws[pairs.subjects]
    left = np.cumsum(weights)
    missed = np.cumsum(weights * (pairs.similarities < comparison_threshold))
    subjects = np.cumsum(weights * pairs.firsts)
    # Pairs of equal quality are kept or discarded together: the last of them is the point.
    lasts = np.flatnonzero(np.diff(pairs.quality_scores, append=-inf))
    points = lasts[np.diff(left[lasts], prepend=0) > 0]
    thresholds = pairs.quality_scores[points]
    return DiscardCurve(thresholds, left[points], missed[points], subjects[points])
