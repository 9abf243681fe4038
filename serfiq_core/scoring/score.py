"""Equation (1) of the paper: how far the stochastic embeddings of a face scatter.

Terhörst et al., "SER-FIQ: Unsupervised Estimation of Face Image Quality Based on Stochastic
Embedding Robustness", CVPR 2020. Two estimators of one quantity: `Sampled`, as published, and
`ClosedForm`, its limit for infinitely many passes (docs/method.md derives it).

This file sees a recogniser only through the three products of `DropoutHead`; it knows no images,
no networks and no files. `specification.py` says the same in plain loops.

Shape letters: `B` images, `m` passes, `F` features, `E` embedding size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import torch
from torch.linalg import vecdot

from serfiq_core.errors import ConfigurationError
from serfiq_core.gpu.kernel import fused_or_none
from serfiq_core.product import product_with
from serfiq_core.scoring.distances import distance_row_means
from serfiq_core.types import Convention, DropoutHead, StochasticHead

PAPER_PASSES = 100
"""`m` of the paper's experiments, section 4."""

FEWEST_PASSES = 3
"""The standard error leaves one pass out and needs a pair to remain."""

TRACE_PROBES = 32
"""Directions from which `tr Σ²` is estimated; it moves the mean distance by about one per cent.
Fewer let their error show in the ranking of faces, more change little; docs/method.md."""

OUTPUT_NUMBERS = 4 * 1024 * 1024
"""Stochastic embeddings held at once, in numbers: 64 faces at m = 100 and E = 512. With the float64
copies and the distances made of them, about 100 MB."""

GPU_OUTPUT_NUMBERS = 8 * OUTPUT_NUMBERS
"""There: 64 faces at m = 1000, 131 MB. A GPU is only busy with many at a time."""

FUSED_TOLERANCE = 1e-3
"""Relative, of a mean distance: sums that the one rounds to 16 bits, the other need not."""

PROBE_SEED = 0
"""Probes, like masks, are the same for every image."""

FusedDistances = Callable[[torch.Tensor], torch.Tensor]
"""Features `B × F` → mean distances `B` float64."""


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


class ClosedForm:
    """The mean distance for `m → ∞`, from the moments of the dropout noise; docs/method.md.

    `y = μ + η`, `η = Σ_k f_k w_k ξ_k` with independent `ξ_k` of mean 0, variance `a` and higher
    cumulants `κ₃`, `κ₄`. With `n = ‖μ‖²`, `t = tr Σ`, `N = n + t` and `c = n/N`:

    - order 0: `sqrt(2t/N)`, as if `‖y‖²` were the constant `N`;
    - order 2: the mean and the variance of `u_i · u_j` to second order in the fluctuation of
      `‖y‖²`, carried through the root.

    Args:
        head: affine.
        rate: the dropout rate `p`.
        order: 0 or 2.

    Raises:
        ConfigurationError: `rate` outside [0, 1).
    """

    def __init__(self, head: DropoutHead, rate: float, order: Literal[0, 2] = 2) -> None:
        check_rate(rate)
        self.head = head
        self.order = order
        # Cumulants of ξ = z − 1, with z = 1/(1 − p) at probability 1 − p, and 0 else.
        self.a = rate / (1 - rate)
        self.kappa_3 = rate * (2 * rate - 1) / (1 - rate) ** 2
        self.kappa_4 = rate * (1 - 6 * rate * (1 - rate)) / (1 - rate) ** 3
        self._fused: FusedDistances | None = None
        probes = _trace_probes(head.embedding_size).to(head.bias)
        through_head = head.multiply_transposed(probes)
        first, second = torch.triu_indices(len(probes), len(probes), offset=1)
        products = (through_head[first] * through_head[second]).to(head.precision)
        self._multiply_probes = product_with(products)
        if products.device.type == "cuda" and order == 2:
            self._fused = self._fused_distances(products)

    def __call__(self, features: torch.Tensor) -> Estimate:
        """`features` `B × F`."""
        return self.estimate(self.mean_distances(features).cpu())

    @staticmethod
    def estimate(distances: torch.Tensor) -> Estimate:
        """What `mean_distances` says of the faces, `B` float64 on the CPU."""
        return Estimate(distances, raw_score(distances), None)

    def mean_distances(self, features: torch.Tensor) -> torch.Tensor:
        """`E‖u − v‖` on the device: `B × F` → `B` float64."""
        if self._fused is not None and not features.requires_grad:
            return self._fused(features)
        return self._mean_distances_torch(features.float() if features.itemsize < 4 else features)

    def _mean_distances_torch(self, features: torch.Tensor) -> torch.Tensor:
        mean = self.head.embed(features)
        weighted = features.square() * self.head.squared_column_norms
        n = mean.square().sum(1).double()
        t = self.a * weighted.sum(1).double()
        total = (n + t).clamp_min(torch.finfo(torch.float64).tiny)
        # 2 − 2c would cancel for very stable faces.
        chord = 2 * t / total
        distance = chord.sqrt()
        if self.order == 2:
            distance = self._second_order(features, mean, weighted, n / total, total, chord)
        return distance

    def _fused_distances(self, products: torch.Tensor) -> FusedDistances | None:
        """The kernels that take the place of what follows, if they run and agree with it here."""
        weight = self.head.weight
        if weight is None or self.head.embedding_size == 1:
            return None

        def load() -> FusedDistances:
            from serfiq_core.scoring.closed_form_triton import fused_mean_distances

            return partial(
                fused_mean_distances,
                weight=weight,
                bias=self.head.bias,
                squared_column_norms=self.head.squared_column_norms,
                probe_products=products,
                cumulants=(self.a, self.kappa_3, self.kappa_4),
            )

        def agrees(fused: FusedDistances) -> bool:
            generator = torch.Generator().manual_seed(0)
            features = torch.randn(3, self.head.feature_count, generator=generator)
            features = features.to(products)  # as the network gives them
            expected = self._mean_distances_torch(features.float())
            error = fused(features) - expected
            return bool((error.abs() <= FUSED_TOLERANCE * expected).all())

        return fused_or_none(f"closed form on {products.device}", load, agrees)

    def _second_order(
        self,
        features: torch.Tensor,
        mean: torch.Tensor,
        weighted: torch.Tensor,
        c: torch.Tensor,
        total: torch.Tensor,
        chord: torch.Tensor,
    ) -> torch.Tensor:
        """`total` is `N`, `chord` `2 − 2c`, `weighted` `f_k²‖w_k‖²`, `B × F`."""
        along = features * self.head.multiply_transposed(mean)  # f_k w_k · μ
        # Each divided by N², and named for what it is: μᵀΣμ, tr Σ², and what the third and fourth
        # cumulants add to the covariance of μ·η with ‖η‖² and to the variance of ‖η‖².
        scale = total.square()
        s = self.a * vecdot(along, along).double() / scale
        r = self._trace_of_square(features.square(), self.a * weighted.sum(1).double()) / scale
        third = self.kappa_3 * vecdot(weighted, along).double() / scale
        fourth = self.kappa_4 * vecdot(weighted, weighted).double() / scale
        variance_of_norm = 4 * s + 2 * r + 4 * third + fourth
        shift = 0.75 * c * variance_of_norm - 2 * s - third
        variance = 2 * s + r - 2 * c * (2 * s + third) + 0.5 * c.square() * variance_of_norm
        # E‖u − v‖ ≈ h − V/(2h³); at h = 0, where nothing scatters, the correction is 0/0.
        h = (chord - 2 * shift).clamp_min(torch.finfo(torch.float64).tiny).sqrt()
        corrected = h - variance.clamp_min(0) / (2 * h**3)
        return torch.where(chord > 0, corrected.clamp(0, 2), chord)

    def _trace_of_square(self, squares: torch.Tensor, trace: torch.Tensor) -> torch.Tensor:
        """`tr Σ²` of `Σ = a W diag(f²) Wᵀ` with trace `t`: `B × F`, `B` → `B`.

        For two random orthonormal directions `v`, `v'` of the `E` dimensions,
        `E (vᵀΣv')² = (tr Σ² − t²/E) / ((E − 1)(E + 2))`, and each `vᵀΣv'` is a sum over features of
        products known in advance: no product with `W` is left.
        """
        size = self.head.embedding_size
        if size == 1:  # Σ is its own trace
            return trace.square()
        forms = self._multiply_probes(squares.to(self.head.precision)).double()
        mean_square = self.a**2 * forms.square().mean(1)
        return trace.square() / size + (size - 1) * (size + 2) * mean_square


def _trace_probes(embedding_size: int) -> torch.Tensor:
    """Random orthonormal directions, `P × E` float64, the same for every image."""
    count = min(TRACE_PROBES, embedding_size)
    normal = np.random.Generator(np.random.Philox(PROBE_SEED)).standard_normal
    basis, _ = np.linalg.qr(normal((embedding_size, count)))
    return torch.from_numpy(np.ascontiguousarray(basis.T))
