"""Equation (1) of the paper: how far the stochastic embeddings of a face scatter.

Terhörst et al., "SER-FIQ: Unsupervised Estimation of Face Image Quality Based on Stochastic
Embedding Robustness", CVPR 2020. `Sampled` is the estimator as published; `closed_form.py` has its
limit for infinitely many passes.

This file sees a recogniser only through `StochasticHead`; it knows no images, no networks and no
files. `specification.py` says the same in plain loops.

Shape letters: `B` images, `m` passes, `F` features, `E` embedding size.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from serfiq_core.errors import ConfigurationError
from serfiq_core.scoring.distances import distance_row_means
from serfiq_core.types import FEWEST_PASSES, Convention, StochasticHead

PAPER_PASSES = 100
"""`m` of the paper's experiments, section 4."""

OUTPUT_NUMBERS = 4 * 1024 * 1024
"""Stochastic embeddings held at once, in numbers: 64 faces at m = 100 and E = 512. With the float64
copies and the distances made of them, about 100 MB."""

GPU_OUTPUT_NUMBERS = 8 * OUTPUT_NUMBERS
"""The same on a GPU, which only many at a time keep busy: 64 faces at m = 1000, 131 MB."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """One estimator's answer for `B` images; every field is `B` float64 on the CPU.

    `mean_distance`: of two stochastic embeddings, in [0, 2]. `raw_score`: equation (1), in [0, 1].
    `standard_error`: of `raw_score`, from the draw of the masks; None where none are drawn.
    """

    mean_distance: torch.Tensor
    raw_score: torch.Tensor
    standard_error: torch.Tensor | None


def mask_bank(passes: int, feature_count: int, rate: float, seed: int) -> torch.Tensor:
    """The dropout masks that every image meets: `m × F` float32 of 0 and `1/(1 − p)`.

    The bits come straight from the counter-based generator Philox (Salmon et al., SC 2011), whose
    stream NumPy keeps stable, so that a bank is the same on every machine and in every version.

    Raises:
        ConfigurationError: fewer than three passes, or `rate` outside [0, 1).
    """
    if passes < FEWEST_PASSES:
        raise ConfigurationError(f"at least {FEWEST_PASSES} passes are needed, not {passes}")
    check_rate(rate)
    words = np.random.Philox(key=seed).random_raw((passes * feature_count + 1) // 2)
    draws = words.astype("<u8").view("<u4")[: passes * feature_count]
    dropped = draws < round(rate * 2**32)
    bank = np.where(dropped, np.float32(0), np.float32(1 / (1 - rate)))
    return torch.from_numpy(bank.reshape(passes, feature_count))


def check_rate(rate: float) -> None:
    """Refuse a dropout rate outside [0, 1).

    Raises:
        ConfigurationError: it is.
    """
    if not 0 <= rate < 1:
        raise ConfigurationError(f"a dropout rate lies in [0, 1), not at {rate}")


def raw_score(mean_distance: torch.Tensor, divisor_ratio: float = 1.0) -> torch.Tensor:
    """`2σ(−D)`, with `D` the mean distance, `B`; equation (1) for `divisor_ratio = (m − 1)/m`.

    The sum over the `m(m − 1)/2` pairs is `D` times their number; equation (1) divides it by
    `m²/2`, the authors' published code by the number of pairs.
    """
    score: torch.Tensor = 2 * torch.sigmoid(-divisor_ratio * mean_distance)
    return score


class Sampled:
    """Equation (1), by drawing.

    Args:
        head: any.
        masks: `m × F`, from `mask_bank`.
        convention: what the sum over pairs is divided by.
    """

    def __init__(
        self, head: StochasticHead, masks: torch.Tensor, convention: Convention = "paper"
    ) -> None:
        self._embed = head.under_masks(masks)
        self._passes = len(masks)
        self._ratio = (self._passes - 1) / self._passes if convention == "paper" else 1.0
        self._numbers = self._passes * head.embedding_size

    def __call__(self, features: torch.Tensor) -> Estimate:
        """`features` `B × F`."""
        return self.estimate(self.row_means(features).cpu())

    def row_means(self, features: torch.Tensor) -> torch.Tensor:
        """Mean distance of each pass to the others, on the device: `B × F` → `B × m` float64."""
        most = OUTPUT_NUMBERS if features.device.type == "cpu" else GPU_OUTPUT_NUMBERS
        parts = torch.split(features, max(1, most // self._numbers))
        means = [distance_row_means(self._embed(part)) for part in parts]
        return means[0] if len(means) == 1 else torch.cat(means)

    def estimate(self, rows: torch.Tensor) -> Estimate:
        """What `row_means` says of the faces, `B × m` float64 on the CPU."""
        passes = self._passes
        mean_distance = rows.mean(1)
        score = raw_score(mean_distance, self._ratio)
        # The jackknife over passes of a mean over pairs depends only on the row means:
        # D − D₍₋ᵢ₎ = 2 (rᵢ − D) / (m − 2). The score's slope carries it over.
        spread = (rows - mean_distance[:, None]).square().sum(1)
        of_distance = 2 / (passes - 2) * torch.sqrt((passes - 1) / passes * spread)
        slope = self._ratio * score * (1 - score / 2)
        return Estimate(mean_distance, score, slope * of_distance)
