"""The scatter of a student's outputs under dropout: how large, and among how many it is shared.

`t = tr Σ` and `Σ` are those of the closed form (docs/method.md), by a batch's statistics.
Nothing here is drawn.
"""

import torch

from serfiq_core.recognition.compact import DROPOUT_RATE, Compact

ODDS = DROPOUT_RATE / (1 - DROPOUT_RATE)
"""`a = p/(1 − p)`: the variance of a mask."""


def mean_and_shares(
    network: Compact, features: torch.Tensor, raw: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """`μ`, `B × E`, and what each feature adds to `t = tr Σ`, `B × F`, by a batch's statistics.

    Args:
        network: in training.
        features: `B × F`, without dropout.
        raw: `B × E`, what the last batch norm saw of the passes, whose statistics it used.
    """
    mean = (network.fc(features) - raw.mean(0)) * _scale(network, raw) + network.bn.bias
    column_norms = _matrix(network, raw).square().sum(0)
    return mean, ODDS * features.square() * column_norms


def covariances(network: Compact, features: torch.Tensor, raw: torch.Tensor) -> torch.Tensor:
    """`Σ` of each face's outputs under dropout, `B × E × E`; arguments as of `mean_and_shares`."""
    matrix = _matrix(network, raw)
    return (ODDS * features.square()[:, None] * matrix) @ matrix.T


def _matrix(network: Compact, raw: torch.Tensor) -> torch.Tensor:
    """`W`, `E × F`, with the last batch norm in it."""
    return network.fc.weight * _scale(network, raw)[:, None]


def _scale(network: Compact, raw: torch.Tensor) -> torch.Tensor:
    return network.bn.weight * (raw.var(0, unbiased=False) + network.bn.eps).rsqrt()


def breadth(shares: torch.Tensor) -> torch.Tensor:
    """`(Σ_k t_k)² / Σ_k t_k²`, the participation ratio, of `t_k`, `B × F`.

    1 where one feature has it all, `F` where all share alike.
    """
    return shares.sum(1).square() / shares.square().sum(1)


def directions(covariances: torch.Tensor) -> torch.Tensor:
    """`(tr Σ)² / tr Σ²`, the same ratio, of the eigenvalues of `Σ`, `B × E × E`: at most `E`."""
    traces = covariances.diagonal(dim1=1, dim2=2).sum(1)
    return traces.square() / covariances.square().sum((1, 2))


def breadth_loss(shares: torch.Tensor, least: float) -> torch.Tensor:
    """How far the scatter is from being that of `least` features of equal share.

    The logarithm of what the breadth lacks, the mean over faces.

    Args:
        shares: `t_k`, `B × F`, not negative.
        least: no loss from there on.
    """
    return _shortfall(breadth(shares), least)


def directions_loss(covariances: torch.Tensor, least: float) -> torch.Tensor:
    """How far scatter is from being that of `least` directions of equal share.

    Args:
        covariances: `Σ`, `B × E × E`.
        least: no loss from there on.
    """
    return _shortfall(directions(covariances), least)


def _shortfall(count: torch.Tensor, least: float) -> torch.Tensor:
    """Mean of `ln(least / count)`, where that is positive."""
    return (least / count).log().relu().mean()
