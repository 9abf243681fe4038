"""Several embeddings of one subject: fused by their quality, and held against each other.

Pure functions of arrays: this file knows numpy, no torch, no images and no profiles.
Shape letters: `n` captures, `E` embedding size. How well it works is in docs/best-of-several.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

LEAST_MEAN_DISTANCE = 0.01
"""Of 2. No photograph scatters so little; below it one capture's weight would have no bound."""


@dataclass(frozen=True, slots=True)
class Consistency:
    """How captures agree with each other.

    `cosines`: `n`, of each capture to the others fused; in [-1, 1], NaN where there are no others.
    `consistent`: `n`; None without a limit, or without others.
    """

    cosines: Floats
    consistent: npt.NDArray[np.bool_] | None


def fusion_weights(mean_distances: npt.ArrayLike) -> Floats:
    """The share of each capture in a fused embedding: `n`, summing to 1.

    `1/D²`. For captures that scatter little it is inverse variance, the most precise of all
    weighted means: stochastic embeddings of total variance `v` lie `√(2v)` apart. Shi and Jain,
    Probabilistic Face Embeddings, ICCV 2019, fuse by that rule. Embeddings of unit norm end at
    `D = √2`: captures that scatter much weigh more here than by the best weight, `√c/(1−c)` with
    `c = 1 − D²/2`.

    Args:
        mean_distances: `n`, `D` of each capture, in [0, 2].
    """
    precisions = 1 / np.maximum(np.asarray(mean_distances, np.float64), LEAST_MEAN_DISTANCE) ** 2
    return np.asarray(precisions / precisions.sum())


def fuse(embeddings: Floats, weights: Floats) -> Floats | None:
    """The weighted mean of `n × E` unit embeddings, brought back to unit norm: `E`.

    None when they cancel each other out, or there are none.
    """
    mean = weights @ embeddings
    norm = float(np.linalg.norm(mean))
    return mean / norm if norm > np.finfo(np.float32).eps * weights.sum() else None


def consistency(embeddings: Floats, weights: Floats, limit: float | None) -> Consistency:
    """Whether captures show one person: the cosine of each to the others, fused.

    A capture is never held against itself, or an outlier would pull the mean towards itself. And
    others are fused only where they agree: with captures of several people, the reference is the
    group that holds more than half of them. Where there is no such group nobody can say whose
    captures these are: all are held against all others, and none is consistent.

    Args:
        embeddings: `n × E`, unit norm, finite.
        weights: `n`, positive.
        limit: the least cosine between captures of one person; None leaves `consistent` open.
    """
    count = len(embeddings)
    everyone = np.ones(count, bool)
    if limit is None or count < 2:
        return Consistency(_cosines_to_others(embeddings, weights, everyone), None)
    largest = max(_groups(embeddings, weights, limit), key=len)
    if 2 * len(largest) <= count:
        cosines = _cosines_to_others(embeddings, weights, everyone)
        return Consistency(cosines, np.zeros(count, bool))
    reference = np.isin(np.arange(count), largest)
    cosines = _cosines_to_others(embeddings, weights, reference)
    return Consistency(cosines, cosines >= limit)


def _cosines_to_others(
    embeddings: Floats, weights: Floats, reference: npt.NDArray[np.bool_]
) -> Floats:
    """Of each capture to those of the reference, itself left out, fused."""
    cosines = np.full(len(embeddings), np.nan)
    for index, embedding in enumerate(embeddings):
        others = reference & (np.arange(len(embeddings)) != index)
        if (fused := fuse(embeddings[others], weights[others])) is not None:
            cosines[index] = np.clip(fused @ embedding, -1, 1)
    return cosines


def _groups(embeddings: Floats, weights: Floats, limit: float) -> Sequence[Sequence[int]]:
    """Captures that agree: the two nearest groups become one, as long as their fused embeddings
    are as near as those of one person."""
    groups = [[index] for index in range(len(embeddings))]
    sums = weights[:, None] * embeddings
    while len(groups) > 1:
        units = sums / np.linalg.norm(sums, axis=1, keepdims=True)
        # −3: a group is never nearest to itself.
        cosines = units @ units.T - 3 * np.eye(len(groups))
        first, second = sorted(divmod(int(cosines.argmax()), len(groups)))
        if cosines[first, second] < limit:
            break
        groups[first] += groups.pop(second)
        sums[first] += sums[second]
        sums = np.delete(sums, second, axis=0)
    return groups
