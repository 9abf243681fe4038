"""Steps for convolutions that go equally far in every direction: Muon, torch's own.

A gradient's few large directions decide an ordinary step, and the others hardly move. Muon (Jordan
et al., 2024) makes of the momentum the nearest matrix whose directions are all of one size. It
takes matrices: one row for each filter of a convolution.
"""

from collections.abc import Sequence

import torch
from torch import nn


class FilterSteps:
    """Steps of convolutions' weights.

    Args:
        weights: `C' × C × H × W` each, channels last.
        learning_rate: on the scale of AdamW's, as Liu et al. (2025) match them.
        weight_decay: decoupled.
    """

    def __init__(
        self, weights: Sequence[nn.Parameter], learning_rate: float, weight_decay: float
    ) -> None:
        self._weights = weights
        # Of the same memory: what moves the rows moves the weights.
        self._rows = [nn.Parameter(_rows(weight.detach())) for weight in weights]
        self.optimiser = torch.optim.Muon(
            self._rows, learning_rate, weight_decay, adjust_lr_fn="match_rms_adamw"
        )

    def step(self) -> None:
        """One step, by the gradients that the weights have."""
        for weight, rows in zip(self._weights, self._rows, strict=True):
            assert weight.grad is not None
            rows.grad = _rows(weight.grad.contiguous(memory_format=torch.channels_last))
        self.optimiser.step()  # type: ignore[no-untyped-call]


def _rows(weight: torch.Tensor) -> torch.Tensor:
    """A view of it: `C' × H W C`, the order in which channels last lie in memory."""
    return weight.permute(0, 2, 3, 1).view(len(weight), -1)
