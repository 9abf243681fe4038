"""Where on the face the stochastic embeddings come apart: the closed form, position by position.

It sees a recogniser only through the products of `DropoutHead`.
"""

import torch

from serfiq_core.types import DropoutHead


def instability_map(features: torch.Tensor, head: DropoutHead, rate: float) -> torch.Tensor | None:
    """How far each position is noise, as shares of the whole: `B × h × w`, summing to 1.

    Where the features are a flattened `C × h × w` map, both sums of the closed form split exactly
    by position: the noise `t = a Σ_k f_k² ‖w_k‖²`, and the signal `n = ‖μ‖² = Σ_k f_k w_k·μ + β·μ`.
    A position has `t_p / (t_p + n_p)`, `n_p` counted as 0 where it is negative, as the whole face
    has `t / (t + n)`, half its squared distance at order 0. `t_p` alone would not do: it is small
    where a position answers little, which is what covering it brings about (docs/explaining.md).

    Args:
        features: `B × F`.
        head: affine.
        rate: the dropout rate `p`.

    Returns:
        None when the features are no spatial map. All zero where they are all zero.
    """
    if head.map_shape is None:
        return None
    features = features.float()
    noise = rate / (1 - rate) * features.square() * head.squared_column_norms
    signal = features * head.multiply_transposed(head.embed(features))
    noise, signal = (part.reshape(-1, *head.map_shape).sum(1) for part in (noise, signal))
    tiny = torch.finfo(noise.dtype).tiny
    fractions = noise / (noise + signal.clamp_min(0)).clamp_min(tiny)
    return fractions / fractions.sum((1, 2), keepdim=True).clamp_min(tiny)
