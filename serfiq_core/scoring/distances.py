"""The distances between the stochastic embeddings of a face: what equation (1) is a sum of.

On a GPU two kernels take the place of all that follows (`distances_triton.py`), where they run.

Shape letters: `B` images, `m` passes, `E` embedding size.
"""

from collections.abc import Callable
from functools import cache, partial

import torch

from serfiq_core.gpu.kernel import fused_or_none

FLOAT32_ERROR = 4 * 2**-24
"""Of a squared distance from float32 products, as a share of the two squared lengths: a few units
in the last place."""

SPLIT_ERROR = 4 * FLOAT32_ERROR
"""The same of products of numbers split into two of float16: what both leave is not multiplied."""

DISTANCE_ERROR = 1e-6
"""A tenth of what the property tests allow against the plain loops."""

GRAM_BLOCK = 256
"""Passes on each side of a block of distances: at m = 1000 four tenths of the pairs are never
computed twice, and a block of 256 × 256 stays in the cache."""

PROBE_IMAGES, PROBE_PASSES = 2, 67
"""That a kernel is tried on: more passes than one tile has rows. Its numbers are as many as an
embedding has, which are compiled in: what the probe compiles is used."""

PROBE_TOLERANCE = 1e-6
"""Of a mean distance."""

RowMeans = Callable[[torch.Tensor], torch.Tensor]
"""`B × m × E` → `B × m` float64."""


def distance_row_means(outputs: torch.Tensor) -> torch.Tensor:
    """Mean distance of each pass to the others: `B × m × E` → `B × m` float64."""
    if outputs.device.type == "cuda":
        fused = _fused_row_means(outputs.device, outputs.shape[2])
        if fused is not None:
            return fused(outputs)
    return distance_row_means_torch(outputs)


def distance_row_means_torch(outputs: torch.Tensor) -> torch.Tensor:
    """`distance_row_means` as torch says it."""
    vectors = outputs.double()
    # A zero output has no direction; it stays zero instead of becoming not-a-number.
    tiny = torch.finfo(torch.float64).tiny
    units = vectors / torch.linalg.vector_norm(vectors, dim=2, keepdim=True).clamp_min(tiny)
    # Without their mean, which no distance depends on, less cancels in the products.
    units -= units.mean(1, keepdim=True)
    passes = units.shape[1]
    sums = vectors.new_zeros(units.shape[:2])
    for first in range(0, passes, GRAM_BLOCK):
        rows = slice(first, first + GRAM_BLOCK)
        for second in range(first, passes, GRAM_BLOCK):  # the other half is its mirror image
            columns = slice(second, second + GRAM_BLOCK)
            distances = _distances(units[:, rows], units[:, columns], itself=first == second)
            if first != second:
                sums[:, columns] += distances.sum(1, dtype=torch.float64)
            sums[:, rows] += distances.sum(2, dtype=torch.float64)
    means: torch.Tensor = sums / (passes - 1)
    return means


def _distances(left: torch.Tensor, right: torch.Tensor, itself: bool) -> torch.Tensor:
    """`B × m × E` and `B × n × E` float64 → `B × m × n`, in the precision that suffices.

    `‖u − v‖² = ‖u‖² + ‖v‖² − 2u·v` cancels for close pairs, and rounding under the root would show.
    In float32 it is twice as fast on a CPU, and good to `FLOAT32_ERROR (‖u‖² + ‖v‖²) / 2d`: where
    that is more than `DISTANCE_ERROR` for any pair of an image, that image is recomputed in
    float64; the others keep what they have, so that no face's bits depend on who is beside it. A
    GPU without the kernels takes float64 at once: to look at the pairs first would stop it.
    """
    if left.device.type != "cpu":
        return _distances_by_products(left, right, itself)[0]
    distances, squares = _distances_by_products(left.float(), right.float(), itself)
    uncertain = distances < FLOAT32_ERROR / (2 * DISTANCE_ERROR) * squares
    if itself:
        uncertain.diagonal(dim1=1, dim2=2).zero_()
    again = uncertain.flatten(1).any(1)
    if not again.any():
        return distances
    distances = distances.double()
    distances[again] = _distances_by_products(left[again], right[again], itself)[0]
    return distances


def _distances_by_products(
    left: torch.Tensor, right: torch.Tensor, itself: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """The distances, and `‖u‖² + ‖v‖²`, both `B × m × n`."""
    squares = left.square().sum(2)[:, :, None] + right.square().sum(2)[:, None]
    distances = torch.baddbmm(squares, left, right.mT, alpha=-2).clamp_min_(0).sqrt_()
    if itself:
        distances.diagonal(dim1=1, dim2=2).zero_()
    return distances, squares


@cache
def _fused_row_means(device: torch.device, size: int) -> RowMeans | None:
    """The kernel, if it gives the right numbers on this device for `E = size`; found out once."""

    def load() -> RowMeans:
        from serfiq_core.scoring.distances_triton import fused_row_means

        return partial(fused_row_means, close=SPLIT_ERROR / (2 * DISTANCE_ERROR))

    def agrees(fused: RowMeans) -> bool:
        generator = torch.Generator().manual_seed(0)
        outputs = torch.randn(PROBE_IMAGES, PROBE_PASSES, size, generator=generator).to(device)
        error = fused(outputs) - distance_row_means_torch(outputs)
        return bool(error.abs().max() <= PROBE_TOLERANCE)

    return fused_or_none(f"distances on {device}", load, agrees)
