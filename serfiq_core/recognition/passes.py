"""The one product that is repeated: `m` stochastic embeddings of each face.

`Y[b, s] = W (f_b ⊙ z_s) + β`. Nearly all the time of a sampled score goes here, so each form of the
head, and each device, has its own way. All give the same numbers, up to rounding.
"""

from collections.abc import Callable

import torch

from serfiq_core.product import product_with
from serfiq_core.recognition.masked_product import BitMasks, masked_product

Passes = Callable[[torch.Tensor], torch.Tensor]
"""`B × F` → `B × m × E` float32."""

MASKED_BYTES = 4 * 1024 * 1024
"""Of masked features at a time: they are written and read at once, and should stay in the cache."""

FEWEST_ROWS = 256
"""Of masked features at a time, whatever their bytes: with fewer, reading `W` takes the time, and
with more nothing is gained. IResNet-50 with 100 passes over its backbone alone, on a Zen 3: 1.257
with 128, 1.213 with 256 and with 512, 1.225 with 1,024."""


def passes_of(
    matrix: torch.Tensor, kernel: torch.Tensor | None, bias: torch.Tensor, bank: torch.Tensor
) -> Passes:
    """The way of a head: `matrix` `E × F`, or `E × C` behind a `kernel` `C × P`; `bank` `m × F`."""
    bank = bank.to(matrix.device)
    if kernel is not None:
        return SeparatedPasses(matrix, kernel, bias, bank)
    if matrix.device.type == "cuda":
        return FusedPasses(matrix, bias, bank)
    return DensePasses(matrix, bias, bank)


class FusedPasses:
    """`W` is one matrix on a GPU: one bit a mask, applied on the way into the product."""

    def __init__(self, matrix: torch.Tensor, bias: torch.Tensor, bank: torch.Tensor) -> None:
        self._matrix = matrix
        self._bias = bias
        self._masks = BitMasks.pack(bank)

    def __call__(self, features: torch.Tensor) -> torch.Tensor:
        """`B × F` → `B × m × E`."""
        return masked_product(features, self._masks, self._matrix, self._bias)


class DensePasses:
    """`W` is one matrix: the masked features of a few images, or of a few passes, times `Wᵀ`.

    How many rows are multiplied at once depends on `F` and `m`, and not on the batch, but for what
    is left at its end.
    """

    def __init__(self, matrix: torch.Tensor, bias: torch.Tensor, bank: torch.Tensor) -> None:
        bank = bank.to(matrix.dtype)
        self._bias = bias
        self._product = product_with(matrix, many_rows=True)
        rows = max(FEWEST_ROWS, MASKED_BYTES // (bank.shape[1] * bank.element_size()))
        self._banks = bank.tensor_split(-(-len(bank) // rows))
        self._images = max(1, rows // len(bank))

    def __call__(self, features: torch.Tensor) -> torch.Tensor:
        """`B × F` → `B × m × E`."""
        parts = torch.split(features.to(self._banks[0].dtype), self._images)
        # Written over again and again: fresh memory would cost a page fault every 4 kB.
        buffer = self._banks[0].new_empty(len(parts[0]), *self._banks[0].shape)
        return torch.cat([self._few(part, buffer) for part in parts]).float() + self._bias

    def _few(self, features: torch.Tensor, buffer: torch.Tensor) -> torch.Tensor:
        outputs = []
        for bank in self._banks:
            masked = buffer[: len(features), : len(bank)]
            torch.mul(features[:, None], bank, out=masked)
            outputs.append(self._product(masked.flatten(0, 1)).view(*masked.shape[:2], -1))
        return torch.cat(outputs, 1)


class SeparatedPasses:
    """A kernel over positions, then a matrix: masks are summed over the positions of each channel.

    `Σ_p kernel[c, p] f[b, c, p] z[s, c, p]` is, for each channel, a product of a `B × P` and a
    `P × m` matrix: nothing of size `B × m × F` ever exists.
    """

    def __init__(
        self, matrix: torch.Tensor, kernel: torch.Tensor, bias: torch.Tensor, bank: torch.Tensor
    ) -> None:
        self._product = product_with(matrix, many_rows=True)
        self._precision = matrix.dtype
        self._kernel = kernel.float()
        self._bias = bias
        by_channel = bank.view(-1, *kernel.shape).permute(1, 2, 0)
        self._bank = by_channel.float().contiguous()  # C × P × m
        self._images = max(1, MASKED_BYTES // (4 * len(bank) * len(kernel)))

    def __call__(self, features: torch.Tensor) -> torch.Tensor:
        """`B × F` → `B × m × E`."""
        return torch.cat([self._few(part) for part in torch.split(features, self._images)])

    def _few(self, features: torch.Tensor) -> torch.Tensor:
        weighted = features.float().view(-1, *self._kernel.shape) * self._kernel
        sums = torch.bmm(weighted.transpose(0, 1), self._bank)  # C × B × m
        rows = sums.permute(1, 2, 0).flatten(0, 1).to(self._precision)
        return self._product(rows).float().view(len(features), -1, len(self._bias)) + self._bias
