"""The error-versus-discard characteristic (EDC): the FNMR that remains as poor captures go.

A pair is as good as the worse of its two photographs (its *pair minimum*). Pairs are discarded from
the lowest minimum upwards, at a fixed comparison threshold: ISO/IEC 29794-1; Grother and Tabassi,
"Performance of Biometric Quality Measures", PAMI 2007. Only whole groups of equal minima can be
discarded, so the curve is a staircase and is never interpolated (Schlett et al., "Considerations on
the Evaluation of Biometric Quality Assessment Algorithms", 2023).

This file is numpy only and knows no photographs. `edc_specification.py` says the same in plain
loops. Shape letters: `P` mated pairs, `S` steps.
"""

from dataclasses import dataclass
from math import inf

import numpy as np
import numpy.typing as npt

from serfiq_core.evaluation.error_rates import Indices, Pairs

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Edc:
    """A staircase of `S` steps.

    `discarded`: share of the mated pairs left out, rising from 0. `fnmr`: of those kept; it holds
    from its own `discarded` up to the next one's, the last up to 1. `quality_threshold`: pairs kept
    have a minimum at or above it.
    """

    discarded: Values
    fnmr: Values
    quality_threshold: Values


@dataclass(frozen=True, slots=True)
class Ranking:
    """Mated pairs by rising minimum: what curves of the same scores share.

    `order`: `P`. `starts`: `S`, where in that order each group of equal minima begins.
    """

    order: Indices
    starts: Indices
    quality_threshold: Values


def pair_minima(quality: Values, pairs: Pairs) -> Values:
    """The score of the worse photograph of each pair: `N` scores → `P`."""
    return np.minimum(quality[pairs.first], quality[pairs.second])


def rank(minima: Values) -> Ranking:
    """Order `P` pair minima."""
    order = np.argsort(minima, kind="stable").astype(np.int32)
    ordered = minima[order]
    begins = np.concatenate([[True], ordered[1:] != ordered[:-1]])
    starts = np.flatnonzero(begins).astype(np.int32)
    return Ranking(order, starts, ordered[starts])


def edc(
    ranking: Ranking, non_match: npt.NDArray[np.bool_], weights: npt.NDArray[np.int64] | None = None
) -> Edc:
    """The curve of `P ≥ 1` mated pairs.

    Args:
        ranking: of the pairs.
        non_match: `P`, whether a pair does not match at the comparison threshold.
        weights: `P`, how often each pair counts, at least one of them more than 0; once when None.
    """
    counts = np.ones(len(non_match), np.int64) if weights is None else weights
    ordered = counts[ranking.order]
    pairs_below = _sum_before(ordered, ranking.starts)
    errors_below = _sum_before(np.where(non_match[ranking.order], ordered, 0), ranking.starts)
    total = ordered.sum()
    kept = total - pairs_below
    errors = np.dot(ordered, non_match[ranking.order]) - errors_below
    some = kept > 0  # all pairs of the highest steps may have the weight 0
    return Edc(
        pairs_below[some] / total,
        errors[some] / kept[some],
        ranking.quality_threshold[some],
    )


def fnmr_at_discard(curve: Edc, discard: float | Values) -> Values:
    """FNMR when as many pairs are discarded as can be without passing `discard`, in [0, 1]."""
    return curve.fnmr[np.searchsorted(curve.discarded, discard, side="right") - 1]


def partial_area(curve: Edc, limit: float) -> float:
    """Area under the staircase from 0 to `limit`, in (0, 1]."""
    edges = np.append(curve.discarded, 1.0).clip(max=limit)
    return float(np.dot(np.diff(edges), curve.fnmr))


def ideal_area(fnmr: float, limit: float) -> float:
    """Area under `max(FNMR − discard, 0)` up to `limit`: only errors go, as shares of all pairs.

    A bound that no score reaches: FNMR is of the pairs kept, `(FNMR − discard)/(1 − discard)` when
    only errors go.
    """
    reached = min(fnmr, limit)
    return reached * fnmr - reached**2 / 2


def relative_area(curve: Edc, limit: float) -> float:
    """Where the partial area lies between the ideal line's, 0, and that of a flat curve, 1.

    Flat is what a score that knows nothing gives on average. Nan where no pair fails.
    """
    start = float(curve.fnmr[0])
    ideal, flat = ideal_area(start, limit), start * limit
    return (partial_area(curve, limit) - ideal) / (flat - ideal) if start > 0 else float("nan")


def halving_discard(curve: Edc) -> float:
    """The smallest discarded share at which FNMR is half of what it was, or less.

    Infinite when it never is; nan where no pair fails.
    """
    if curve.fnmr[0] == 0:
        return float("nan")
    halved = np.flatnonzero(curve.fnmr <= curve.fnmr[0] / 2)
    return float(curve.discarded[halved[0]]) if len(halved) else inf


def _sum_before(values: npt.NDArray[np.int64], starts: Indices) -> npt.NDArray[np.int64]:
    sums = np.concatenate([[0], np.cumsum(values)])
    before: npt.NDArray[np.int64] = sums[starts]
    return before
