"""Which pixels a score hangs on: the gradient of the mean distance with respect to them.

It sees the recogniser only through two functions, pixels → features and features → mean distance;
it knows no networks and no formula of its own.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from serfiq_core.types import ALIGNED_SIDE_PX, AlignedFace

GRADIENT_GRID = 28
"""Cells along a side, of 4 × 4 pixels: finer than any recogniser's map, and coarse enough that the
checkerboard which strided convolutions leave in a gradient is summed away."""

GRADIENT_SCALE = 2.0**12
"""Of the mean distance, whose gradient passes through float16 on a GPU: far from what is rounded to
nothing there, and from what overflows. A power of two changes no bit elsewhere."""

CELL_PX = ALIGNED_SIDE_PX // GRADIENT_GRID


def gradient_map(
    face: AlignedFace,
    features: Callable[[torch.Tensor], torch.Tensor],
    mean_distance: Callable[[torch.Tensor], torch.Tensor],
    device: torch.device,
) -> npt.NDArray[np.float32] | None:
    """Each cell's share of `Σ |∂D / ∂pixel|`: `28 × 28`, summing to 1.

    `D` is the mean distance; the sum goes over the three channels and the 4 × 4 pixels of a cell.

    Args:
        face: one aligned face.
        features: `1 × 112 × 112 × 3` float32, 0 to 255 → `1 × F` float32; differentiable.
        mean_distance: `1 × F` → `1`; differentiable.
        device: where both compute.

    Returns:
        The map; None where the gradient is zero everywhere, or no number.
    """
    with torch.enable_grad():
        pixels = torch.tensor(face[None], dtype=torch.float32, device=device, requires_grad=True)
        at_site = features(pixels)
        leaf = at_site.detach().requires_grad_()
        [by_feature] = torch.autograd.grad(GRADIENT_SCALE * mean_distance(leaf).sum(), leaf)
        # The backbone may compute in half precision, in which a gradient as small as this one would
        # round to nothing. Shares do not depend on its size.
        by_feature = by_feature / by_feature.abs().max()
        [by_pixel] = torch.autograd.grad(at_site, pixels, by_feature)
    cells = (
        by_pixel[0].abs().double().sum(2).reshape(GRADIENT_GRID, CELL_PX, GRADIENT_GRID, CELL_PX)
    )
    sums = cells.sum((1, 3))
    total = sums.sum()
    if not (torch.isfinite(total) and total > 0):
        return None
    shares: npt.NDArray[np.float32] = (sums / total).float().cpu().numpy()
    return shares
