"""A network cut in two at its dropout site, and the folding that the cut allows."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from serfiq_core.recognition.head import AffineHead


@dataclass(frozen=True, slots=True)
class Network:
    """`backbone`: `B × 3 × 112 × 112` float32 → `B × F`. `head`: what follows the dropout."""

    backbone: nn.Module
    head: AffineHead


def without_batch_norms(backbone: nn.Module) -> nn.Module:
    """The same function, each batch norm that follows a convolution folded into it."""
    traced = torch.fx.symbolic_trace(backbone.eval())
    modules = dict(traced.named_modules())
    for node in list(traced.graph.nodes):
        before = node.args[0] if node.op == "call_module" else None
        if not isinstance(before, torch.fx.Node) or before.op != "call_module":
            continue
        norm, convolution = modules[str(node.target)], modules[str(before.target)]
        if not isinstance(norm, nn.BatchNorm2d) or not isinstance(convolution, nn.Conv2d):
            continue
        if len(before.users) == 1:
            traced.set_submodule(str(before.target), fuse_conv_bn_eval(convolution, norm))
            node.replace_all_uses_with(before)
            traced.graph.erase_node(node)
    traced.delete_all_unused_submodules()
    traced.recompile()
    return traced


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
