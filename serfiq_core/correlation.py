"""Spearman's rank correlation. This file is numpy only."""

import numpy as np
import numpy.typing as npt


def spearman(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """Pearson's correlation of the ranks, ties sharing their mean rank; nan for a constant."""
    ranks = np.stack([_mean_ranks(np.asarray(first)), _mean_ranks(np.asarray(second))])
    ranks -= ranks.mean(axis=1, keepdims=True)
    squares = (ranks**2).sum(axis=1)
    if not squares.all():
        return float("nan")
    return float(ranks[0] @ ranks[1] / np.sqrt(squares.prod()))


def _mean_ranks(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    ranks: npt.NDArray[np.float64] = (np.cumsum(sizes) - (sizes - 1) / 2)[group]
    return ranks
