"""A network cut in two at its dropout site, and the folding that the cut allows."""

from dataclasses import dataclass

import torch
from torch import nn

from serfiq_core.recognition.head import AffineHead


@dataclass(frozen=True, slots=True)
class Network:
    """`backbone`: `B × 3 × 112 × 112` float32 → `B × F`. `head`: what follows the dropout."""

    backbone: nn.Module
    head: AffineHead


def fold_batch_norm(linear: nn.Linear, norm: nn.BatchNorm1d) -> nn.Linear:
    """One linear layer that computes `norm(linear(x))` with the running statistics."""
    scale, shift = batch_norm_scale_and_shift(norm)
    folded = nn.Linear(linear.in_features, linear.out_features)
    bias = torch.zeros(linear.out_features) if linear.bias is None else linear.bias
    folded.weight = nn.Parameter(linear.weight * scale[:, None])
    folded.bias = nn.Parameter(bias * scale + shift)
    return folded


def batch_norm_scale_and_shift(
    norm: nn.BatchNorm1d | nn.BatchNorm2d,
) -> tuple[torch.Tensor, torch.Tensor]:
    """`scale`, `shift` with `norm(x) = scale · x + shift` per channel, at inference."""
    mean, variance = norm.running_mean, norm.running_var
    assert mean is not None  # every norm here was made with running statistics
    assert variance is not None
    scale = norm.weight / torch.sqrt(variance + norm.eps)
    return scale, norm.bias - mean * scale
