"""At which rate to sample a recogniser that was trained without dropout."""

import torch

from serfiq_core.errors import PackError
from serfiq_core.types import DropoutHead

TARGET_MEAN_DISTANCE = 0.7
"""Of reference faces, for recognisers trained without dropout: far enough from 0 and from √2 that
good and bad faces can both be told from the middle (docs/method.md)."""


@torch.no_grad()
def rate_for_mean_distance(features: torch.Tensor, head: DropoutHead) -> float:
    """The dropout rate that puts the median mean distance of these faces at 0.7.

    The closed form at order 0 (docs/method.md), `D² = 2t/(n + t)` with `t = a·v`,
    `v = Σ f²‖w‖²` and `a = p/(1 − p)`, solved for `p`. `D` rises with `a·v/n`, so the median face
    is the one of median `v/n` (of an even number, the lower of the two in the middle).

    Args:
        features: `B × F`.
        head: the affine head behind them.

    Returns:
        In (0, 1), to three significant digits.

    Raises:
        PackError: the faces' features or embeddings are zero or no numbers, or no rate below 1
            scatters them so far.
    """
    variance = features.double().square() @ head.squared_column_norms.double()  # B
    energy = head.embed(features).double().square().sum(1)  # B
    ratio = float((variance / energy).median())
    if not 0 < ratio < float("inf"):
        raise PackError("the recogniser answers faces with zeros, or with no numbers at all")
    odds = TARGET_MEAN_DISTANCE**2 / (2 - TARGET_MEAN_DISTANCE**2) / ratio
    rate = float(f"{odds / (1 + odds):.3g}")
    if rate == 1:
        raise PackError(
            f"the recogniser hardly answers to dropout: no rate gives faces a mean distance of "
            f"{TARGET_MEAN_DISTANCE:g}"
        )
    return rate
