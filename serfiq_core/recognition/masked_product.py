"""The product that dropout repeats: `Y[b, s] = W (f_b ⊙ z_s) + β`, for every face and every mask.

At F = 25,088, E = 512, m = 100 and 64 faces the masked features `f ⊙ z` alone are 321 MB in
float16. They need not exist: a mask is one bit a feature, the same for every face, and a kernel can
apply it on the way into the product (`masked_product_triton.py`). `masked_product_torch` says what
that kernel computes, and takes its place where it cannot run.

Shape letters: `B` images, `m` passes, `F` features, `E` embedding size.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Self

import numpy as np
import torch

from serfiq_core.errors import ConfigurationError
from serfiq_core.gpu.kernel import check_tensor_cores, fused_or_none
from serfiq_core.product import float32_product

BITS = 32
"""Masks in one word."""

MATERIALISED_BYTES = 64 * 1024**2
"""Of masked features at a time, without the kernel: 1,337 rows of 25,088 float16, which fill a GPU,
in a thirtieth of the 2 GiB that a batch may take."""

PROBE_FEATURES, PROBE_PASSES = 512, 4
"""Triton compiles once for sizes that 16 divides, and once for others. These fall where the 25,088
and 100 of an IResNet fall. Outputs are as many as the head has, on which the tiles depend: its
kernel is compiled by the probe, and not twice."""

PROBE_TOLERANCE = 1e-3
"""Relative, of the kernel's norm of error. Both sides multiply the same 16-bit numbers; sums in
another order differ by 1e-6, those of a Hopper's tensor cores by 3e-5, and a float16 result by 3e-4
where torch can give no other."""

FusedProduct = Callable[
    [torch.Tensor, torch.Tensor, float, torch.Tensor, torch.Tensor], torch.Tensor
]
"""Features `B × F`, words, scale, weight `E × F`, bias `E` → `B × m × E` float32."""


@dataclass(frozen=True, slots=True, eq=False)
class BitMasks:
    """A bank of dropout masks, one bit a feature.

    `words`: `m × ceil(F / 32)` int32; bit `k % 32` of word `k // 32` is set where feature `k` is
    kept, and clear behind the last feature. `scale`: of what is kept, `1/(1 − p)`.
    """

    words: torch.Tensor
    feature_count: int
    scale: float

    @classmethod
    def pack(cls, bank: torch.Tensor) -> Self:
        """From a bank as `score.mask_bank` draws it: `m × F` of 0 and one positive number.

        Raises:
            ConfigurationError: it holds other numbers.
        """
        scale = float(bank.max())
        kept = bank != 0
        if scale <= 0 or not torch.equal(bank, kept * scale):
            raise ConfigurationError("a dropout mask holds 0 and 1/(1 − p), and nothing else")
        octets = np.packbits(kept.cpu().numpy(), axis=1, bitorder="little")
        octets = np.pad(octets, ((0, 0), (0, -octets.shape[1] % 4)))
        words = torch.from_numpy(octets.view("<i4").astype(np.int32)).to(bank.device)
        return cls(words, bank.shape[1], scale)

    def unpack(self) -> torch.Tensor:
        """The bank again: `m × F` float32."""
        return _kept(self.words, self.feature_count) * self.scale

    def to(self, device: torch.device | str) -> Self:
        """The same masks on another device."""
        return replace(self, words=self.words.to(device))

    def __len__(self) -> int:
        """`m`."""
        return len(self.words)


def masked_product(
    features: torch.Tensor, masks: BitMasks, weight: torch.Tensor, bias: torch.Tensor
) -> torch.Tensor:
    """`W (f_b ⊙ z_s) + β`: by the fused kernel on a GPU where Triton runs, by torch elsewhere.

    Args:
        features: `B × F`, any floating type; multiplied in the weight's.
        masks: on the same device.
        weight: `E × F`, float16, bfloat16 or float32, on the same device.
        bias: `E`, float32, on the same device.

    Returns:
        `B × m × E` float32. The kernel's numbers do not depend on `B`; the other's only up to
        rounding.
    """
    if features.device.type == "cuda":
        fused = _fused_product(features.device, weight.dtype, len(weight))
        if fused is not None:
            return fused(features, masks.words, masks.scale, weight, bias)
    return masked_product_torch(features, masks, weight, bias)


def masked_product_torch(
    features: torch.Tensor, masks: BitMasks, weight: torch.Tensor, bias: torch.Tensor
) -> torch.Tensor:
    """`masked_product` as torch says it: masks few enough rows at a time, and multiplies those.

    In 16-bit types on a CPU the sums are float32 and the results are rounded to the type.
    """
    rows = max(1, MATERIALISED_BYTES // (masks.feature_count * weight.itemsize))
    passes = min(rows, len(masks))
    images = rows // passes
    outputs = features.new_empty(len(features), len(masks), len(weight), dtype=torch.float32)
    zero = features.new_zeros((), dtype=weight.dtype)
    for first in range(0, len(masks), passes):
        kept = _kept(masks.words[first : first + passes], masks.feature_count)
        for start in range(0, len(features), images):
            part = features[start : start + images].to(weight.dtype)
            masked = torch.where(kept, part[:, None], zero)  # images × passes × F
            block = outputs[start : start + images, first : first + passes]
            block.copy_(float32_product(masked.flatten(0, 1), weight).view_as(block))
    return outputs.mul_(masks.scale).add_(bias)


def _kept(words: torch.Tensor, feature_count: int) -> torch.Tensor:
    """`n × ceil(F / 32)` → `n × F` bool."""
    places = torch.arange(BITS, dtype=torch.int32, device=words.device)
    bits = (words[:, :, None] >> places) & 1
    return bits.flatten(1)[:, :feature_count].bool()


@cache
def _fused_product(device: torch.device, dtype: torch.dtype, outputs: int) -> FusedProduct | None:
    """The kernel, if it gives the right numbers on this device for `E` outputs; found out once."""

    def load() -> FusedProduct:
        check_tensor_cores(device, dtype)
        from serfiq_core.recognition.masked_product_triton import fused_masked_product

        return fused_masked_product

    return fused_or_none(
        f"dropout product on {device} in {dtype}",
        load,
        lambda fused: _agrees(fused, device, dtype, outputs),
    )


def _agrees(fused: FusedProduct, device: torch.device, dtype: torch.dtype, outputs: int) -> bool:
    """Whether the kernel gives what the torch version gives, on a small product."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(3, PROBE_FEATURES, generator=generator).to(device, dtype)
    weight = torch.randn(outputs, PROBE_FEATURES, generator=generator).to(device, dtype)
    bias = torch.randn(outputs, generator=generator).to(device)
    bank = torch.randint(2, (PROBE_PASSES, PROBE_FEATURES), generator=generator).float()
    masks = BitMasks.pack(bank).to(device)
    expected = masked_product_torch(features, masks, weight, bias)
    error = fused(features, masks.words, masks.scale, weight, bias) - expected
    return bool(error.norm() <= PROBE_TOLERANCE * expected.norm())
