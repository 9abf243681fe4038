"""The closed form at order 0, docs/method.md: the service has no use for it."""

import torch

from serfiq_core.types import DropoutHead


def order_zero(head: DropoutHead, rate: float, features: torch.Tensor) -> torch.Tensor:
    """Mean distances `sqrt(2t/(n + t))`, as if `‖y‖²` were constant: `B × F` → `B`."""
    n = head.embed(features).square().sum(1)
    t = rate / (1 - rate) * features.square() @ head.squared_column_norms
    return (2 * t / (n + t)).sqrt()
