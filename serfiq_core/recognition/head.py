"""The affine dropout head, `y = W x + β`, in the shortest form it has.

Whatever chain of affine layers a recogniser ends in, two forms are enough: one matrix; or, where
the chain first sums a map over its positions, channel by channel (a global depthwise convolution, a
pooling), a kernel `C × P` and a matrix `E × C` with `W[e, c·P + p] = matrix[e, c] · kernel[c, p]`.
A MobileFaceNet's head then is 25,088 + 65,536 numbers instead of 3,211,264.
"""

import copy
from collections.abc import Callable
from typing import Self

import torch
from torch import nn

from serfiq_core.errors import WeightsError
from serfiq_core.product import product_with, within_float16
from serfiq_core.recognition.passes import Passes, passes_of

ROWS_AT_ONCE = 64
"""Of `W`, while it is read off the chain: 64 × 25,088 float32 is 6.4 MB."""

SEPARABLE_RESIDUAL = 1e-5
"""Largest share of `W` that two factors may miss. Chains that are separable miss about 1e-7, the
rounding of their products; a matrix that was trained as one misses most of itself."""


class AffineHead:
    """Implements `DropoutHead`. Products are float32, from weights of any precision.

    Args:
        chain: maps `N × F`, or `N × C × H × W` when `map_shape` is given, to `N × E`; affine.
        feature_count: `F`.
        map_shape: `C, H, W` with `C·H·W = F` when the features are a flattened map.

    Raises:
        WeightsError: the chain is not affine, or its output is not `N × E` with `E > 1`: of one
            value, normalised, only the sign is left.
    """

    def __init__(
        self,
        chain: nn.Module,
        feature_count: int,
        map_shape: tuple[int, int, int] | None = None,
    ) -> None:
        self.feature_count = feature_count
        self.map_shape = map_shape
        chain = chain.eval().requires_grad_(False)
        input_shape = (feature_count,) if map_shape is None else map_shape

        def through(features: torch.Tensor) -> torch.Tensor:
            output: torch.Tensor = chain(features.reshape(-1, *input_shape))
            return output

        bias = through(torch.zeros(1, feature_count))
        if bias.ndim != 2 or bias.shape[1] < 2:
            raise WeightsError(f"the head gives {tuple(bias.shape)} for one face, not 1 × E, E > 1")
        _check_affine(through, feature_count, bias)
        weight = _only_matrix(chain)
        if weight is None:
            weight = _weight(through, feature_count, bias.shape[1])
        self.bias = bias[0]
        self.embedding_size = len(self.bias)
        self.squared_column_norms = weight.square().sum(0)
        kernel, matrix = (None, weight) if map_shape is None else _separated(weight, map_shape)
        self._set_weights(kernel, matrix)

    @property
    def precision(self) -> torch.dtype:
        """Of the weights. What the products give is float32."""
        return self._matrix.dtype

    @property
    def weight(self) -> torch.Tensor | None:
        """`W`, `E × F`, unless a kernel sums positions first."""
        return self._matrix if self._kernel is None else None

    @property
    def matrix(self) -> torch.Tensor:
        """`E × C`: all of `W`, or what follows the sums over positions; `C` is `F` or fewer."""
        return self._matrix

    def into_matrix(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What the matrix is applied to, and the variance that dropout gives it, for `a = 1`.

        `N × F` → `N × C` twice. Dropout keeps the former in the mean; the noise of different
        columns is independent.
        """
        if self._kernel is None:
            return features, features.square()
        terms = features.reshape(-1, *self._kernel.shape) * self._kernel
        return terms.sum(2), terms.square().sum(2)

    def refitted(self, matrix: torch.Tensor, bias: torch.Tensor) -> Self:
        """A head of the same form with another matrix, `E × C`, and bias, `E`.

        Raises:
            WeightsError: their shapes are not those of this head's, or they are no numbers.
        """
        for name, new, old in (("matrix", matrix, self._matrix), ("bias", bias, self.bias)):
            if new.shape != old.shape:
                shapes = f"{tuple(new.shape)}, not {tuple(old.shape)}"
                raise WeightsError(f"the {name} of the adapted head is {shapes}")
            if not new.is_floating_point() or not new.isfinite().all():
                raise WeightsError(f"the {name} of the adapted head holds what is no number")
        made = copy.copy(self)
        made.bias = bias.to(self.bias)
        squares = matrix.to(self.bias).square().sum(0)
        if self._kernel is not None:
            squares = (self._kernel.square() * squares[:, None]).flatten()
        made.squared_column_norms = squares
        made._set_weights(self._kernel, matrix.to(self._matrix))
        return made

    def to(self, device: torch.device, precision: torch.dtype) -> Self:
        """The same head elsewhere, its weights in another precision."""
        moved = copy.copy(self)
        moved.bias = self.bias.to(device)
        moved.squared_column_norms = self.squared_column_norms.to(device)
        kernel = None if self._kernel is None else self._kernel.to(device)
        moved._set_weights(kernel, self._matrix.to(device, precision))
        return moved

    def embed(self, features: torch.Tensor) -> torch.Tensor:
        """`W x + β` for each row: `N × F` → `N × E`."""
        if self._kernel is not None:
            features = (features.reshape(-1, *self._kernel.shape) * self._kernel).sum(2)
        return self._product(features.to(self.precision)).float() + self.bias

    def multiply_transposed(self, vectors: torch.Tensor) -> torch.Tensor:
        """`Wᵀ v` for each row: `N × E` → `N × F`."""
        vectors, powers = within_float16(vectors, self.precision)
        product = self._transposed(vectors.to(self.precision)).float() * powers
        if self._kernel is None:
            return product
        return (product[:, :, None] * self._kernel).flatten(1)

    def under_masks(self, bank: torch.Tensor) -> Passes:
        """`W (f ⊙ z) + β` for each mask `z`: `bank` `m × F` → a map `B × F` → `B × m × E`."""
        return passes_of(self._matrix, self._kernel, self.bias, bank)

    def _set_weights(self, kernel: torch.Tensor | None, matrix: torch.Tensor) -> None:
        self._kernel = kernel
        self._matrix = matrix
        self._product = product_with(matrix)
        self._transposed = product_with(matrix.T.contiguous())


def _check_affine(
    through: Callable[[torch.Tensor], torch.Tensor], feature_count: int, bias: torch.Tensor
) -> None:
    """`A(x) + A(y) − A(0) = A(x + y)`, on two random points."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, feature_count, generator=generator)
    y = torch.randn(1, feature_count, generator=generator)
    together = through(x + y)
    apart = through(x) + through(y) - bias
    if not torch.allclose(together, apart, rtol=1e-3, atol=1e-3 * float(together.abs().max())):
        raise WeightsError("the layers behind the dropout site are not affine")


def _only_matrix(chain: nn.Module) -> torch.Tensor | None:
    """The weight of the one linear layer of a chain, if that is all it has."""
    match list(chain.children()) or [chain]:
        case [nn.Linear() as linear] | [nn.Flatten(), nn.Linear() as linear]:
            return linear.weight.detach()
    return None


def _weight(
    through: Callable[[torch.Tensor], torch.Tensor], feature_count: int, embedding_size: int
) -> torch.Tensor:
    """`W`, `E × F`, by reverse-mode differentiation, which for an affine map is exact."""
    pull_back = torch.func.vjp(through, torch.zeros(1, feature_count))[1]
    rows = torch.func.vmap(lambda row: pull_back(row[None])[0][0])
    return torch.cat([rows(part) for part in torch.split(torch.eye(embedding_size), ROWS_AT_ONCE)])


def _separated(
    weight: torch.Tensor, map_shape: tuple[int, int, int]
) -> tuple[torch.Tensor | None, torch.Tensor]:
    """`kernel` `C × P` and `matrix` `E × C`, or None and the weight when it does not separate.

    The matrix is `W` at the position where each channel weighs most; the kernel follows by least
    squares, and says the rest exactly when there are such factors.
    """
    blocks = weight.reshape(len(weight), map_shape[0], -1)  # E × C × P
    heaviest = blocks.square().sum(0).argmax(1)  # C
    matrix = blocks[:, torch.arange(map_shape[0]), heaviest]
    squares = matrix.square().sum(0).clamp_min(torch.finfo(weight.dtype).tiny)
    kernel = torch.einsum("ecp,ec->cp", blocks, matrix) / squares[:, None]
    missed = blocks - matrix[:, :, None] * kernel
    if missed.norm() > SEPARABLE_RESIDUAL * blocks.norm():
        return None, weight
    return kernel, matrix
