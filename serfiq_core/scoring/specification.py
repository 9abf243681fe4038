"""Equation (1) as plain float64 loops: the specification that `score.py` is tested against.

Terhörst et al., "SER-FIQ: Unsupervised Estimation of Face Image Quality Based on Stochastic
Embedding Robustness", CVPR 2020. Nothing here is fast, and nothing else imports it but tests.
"""

import math

import numpy as np
import numpy.typing as npt

from serfiq_core.types import Convention

Vector = npt.NDArray[np.float64]


def unit(vector: Vector) -> Vector:
    """`v / ‖v‖`; a zero vector has no direction and stays zero."""
    length = math.sqrt(float(vector @ vector))
    return vector / length if length > 0 else vector


def stochastic_embeddings(
    features: Vector, weight: Vector, bias: Vector, masks: Vector
) -> list[Vector]:
    """`u_s = y_s / ‖y_s‖`, `y_s = W (f ⊙ z_s) + β`, for each mask `z_s` of `m × F`."""
    return [unit(weight @ (features * mask) + bias) for mask in masks]


def mean_distance(embeddings: list[Vector]) -> float:
    """Mean Euclidean distance over all pairs of two different passes."""
    distances = [
        math.sqrt(float((u - v) @ (u - v)))
        for i, u in enumerate(embeddings)
        for v in embeddings[i + 1 :]
    ]
    return sum(distances) / len(distances)


def raw_score(embeddings: list[Vector], convention: Convention) -> float:
    """`q = 2σ(−(2/m²) Σ_{i<j} ‖u_i − u_j‖)`, equation (1); `mean` divides by the pairs instead."""
    passes = len(embeddings)
    pairs = passes * (passes - 1) / 2
    total = mean_distance(embeddings) * pairs
    divisor = passes**2 / 2 if convention == "paper" else pairs
    return 2 / (1 + math.exp(total / divisor))


def jackknife_standard_error(embeddings: list[Vector]) -> float:
    """Of the mean distance: each pass left out once (Efron, 1982)."""
    passes = len(embeddings)
    left_out = [mean_distance(embeddings[:i] + embeddings[i + 1 :]) for i in range(passes)]
    centre = sum(left_out) / passes
    return math.sqrt((passes - 1) / passes * sum((x - centre) ** 2 for x in left_out))
