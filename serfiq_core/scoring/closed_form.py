"""The limit of equation (1) for infinitely many passes, without drawing; docs/method.md derives it.

This file sees a recogniser only through the three products of `DropoutHead`; it knows no images,
no networks and no files. `closed_form_triton.py` computes the same on GPUs.

Shape letters: `B` images, `P` probes, `F` features, `E` embedding size, 2 or more.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch.linalg import vecdot

from serfiq_core.gpu.kernel import check_tensor_cores, fused_or_none
from serfiq_core.product import product_with, within_float16
from serfiq_core.scoring.score import Estimate, check_rate, raw_score
from serfiq_core.types import DropoutHead

TRACE_PROBES = 32
"""Directions from which `tr Σ²` is estimated; it moves the mean distance by about one per cent.
Fewer let their error show in the ranking of faces, more change little; docs/method.md."""

PROBE_SEED = 0
"""Probes, like masks, are the same for every image."""

FURTHEST = math.sqrt(2)
"""No mean distance is beyond the root of the mean square, `2 − 2‖E u‖²`. That of the log-normal is
where nearly all is dropped."""

FUSED_TOLERANCE = 1e-3
"""Relative. torch rounds some sums to 16 bits that the kernel keeps in float32."""

FusedDistances = Callable[[torch.Tensor], torch.Tensor]
"""Features `B × F` → mean distances `B` float64."""


class ClosedForm:
    """The mean distance for `m → ∞`, from the moments of the dropout noise; docs/method.md.

    `y = μ + η`, `η = Σ_k f_k w_k ξ_k` with independent `ξ_k` of mean 0, variance `a` and higher
    cumulants `κ₃`, `κ₄`. With `n = ‖μ‖²`, `t = tr Σ`, `N = n + t` and `c = n/N`: the mean and
    the variance of `u_i · u_j` to second order in the fluctuation of `‖y‖²`, carried through the
    root as if the squared distance were log-normal.

    Args:
        head: affine.
        rate: the dropout rate `p`.

    Raises:
        ConfigurationError: `rate` outside [0, 1).
    """

    def __init__(self, head: DropoutHead, rate: float) -> None:
        check_rate(rate)
        self.head = head
        # Cumulants of ξ = z − 1, with z = 1/(1 − p) at probability 1 − p, and 0 else.
        self.a = rate / (1 - rate)
        self.kappa_3 = rate * (2 * rate - 1) / (1 - rate) ** 2
        self.kappa_4 = rate * (1 - 6 * rate * (1 - rate)) / (1 - rate) ** 3
        self._fused: FusedDistances | None = None
        probes = _trace_probes(head.embedding_size).to(head.bias)
        through_head = head.multiply_transposed(probes)
        first, second = torch.triu_indices(len(probes), len(probes), offset=1)
        products = through_head[first] * through_head[second]
        # Divided by a power of two, as the features that they meet: `within_float16`.
        self._probe_power = 2.0 ** math.frexp(float(products.abs().max()))[1]
        products = (products / self._probe_power).to(head.precision)
        self._multiply_probes = product_with(products)
        if products.device.type == "cuda":
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
        return self._second_order(features, mean, weighted, n, t)

    def _fused_distances(self, products: torch.Tensor) -> FusedDistances | None:
        """The kernels that take the place of what follows, if they run and agree with it here."""
        weight = self.head.weight
        if weight is None:
            return None

        def load() -> FusedDistances:
            check_tensor_cores(products.device, products.dtype)
            from serfiq_core.scoring.closed_form_triton import fused_mean_distances

            return partial(
                fused_mean_distances,
                weight=weight,
                bias=self.head.bias,
                squared_column_norms=self.head.squared_column_norms,
                probe_products=products,
                probe_power=self._probe_power,
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
        n: torch.Tensor,
        t: torch.Tensor,
    ) -> torch.Tensor:
        """`weighted`: `f_k²‖w_k‖²`, `B × F`."""
        total = (n + t).clamp_min(torch.finfo(torch.float64).tiny)  # N
        c, chord = n / total, 2 * t / total  # 2 − 2c would cancel for very stable faces
        along = features * self.head.multiply_transposed(mean)  # f_k w_k · μ
        # Each divided by N², and named for what it is: μᵀΣμ, tr Σ², and what the third and fourth
        # cumulants add to the covariance of μ·η with ‖η‖² and to the variance of ‖η‖².
        scale = total.square()
        s = self.a * vecdot(along, along).double() / scale
        r = self._trace_of_square(features, t) / scale
        third = self.kappa_3 * vecdot(weighted, along).double() / scale
        fourth = self.kappa_4 * vecdot(weighted, weighted).double() / scale
        variance_of_norm = 4 * s + 2 * r + 4 * third + fourth
        shift = 0.75 * c * variance_of_norm - 2 * s - third
        variance = 2 * s + r - 2 * c * (2 * s + third) + 0.5 * c.square() * variance_of_norm
        # The squared distance has mean `h²` and variance `4V`; its root is that of a log-normal.
        h_squared = (chord - 2 * shift).clamp_min(torch.finfo(torch.float64).tiny)
        spread = 4 * variance.clamp_min(0) / h_squared / h_squared
        distance = h_squared.sqrt() / (1 + spread).sqrt().sqrt().sqrt()
        return torch.where(chord > 0, distance.clamp(max=FURTHEST), chord)

    def _trace_of_square(self, features: torch.Tensor, trace: torch.Tensor) -> torch.Tensor:
        """`tr Σ²` of `Σ = a W diag(f²) Wᵀ` with trace `t`: `B × F`, `B` → `B`.

        For two random orthonormal directions `v`, `v'` of the `E` dimensions,
        `E (vᵀΣv')² = (tr Σ² − t²/E) / ((E − 1)(E + 2))`, and each `vᵀΣv'` is a sum over features of
        products known in advance: no product with `W` is left.
        """
        size = self.head.embedding_size
        within, powers = within_float16(features, self.head.precision)
        forms = self._multiply_probes(within.square().to(self.head.precision)).double()
        forms = forms * powers.double().square() * self._probe_power
        mean_square = self.a**2 * forms.square().mean(1)
        return trace.square() / size + (size - 1) * (size + 2) * mean_square


def _trace_probes(embedding_size: int) -> torch.Tensor:
    """Random orthonormal directions, `P × E` float64, the same for every image."""
    count = min(TRACE_PROBES, embedding_size)
    normal = np.random.Generator(np.random.Philox(PROBE_SEED)).standard_normal
    basis, _ = np.linalg.qr(normal((embedding_size, count)))
    return torch.from_numpy(np.ascontiguousarray(basis.T))
