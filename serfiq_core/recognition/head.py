"""The affine dropout head: a chain of layers, kept in its structured form.

A chain may be a linear layer, or a depthwise convolution followed by a matrix, or whatever affine
layers an imported graph ends in. It is never multiplied out into one `E × F` matrix: the products
the estimators need come from the chain itself, those with `Wᵀ` by reverse-mode differentiation,
which for an affine map is exact.
"""

import torch
from torch import nn

from serfiq_core.errors import WeightsError

COLUMN_NORM_ROWS = 64
"""Rows of `W` held at once while column norms are computed: 64 × 25,088 float32 is 6.4 MB."""


class AffineHead(nn.Module):
    """`y = W x + β` behind the dropout site, as a chain of affine layers.

    Args:
        chain: maps `N × F`, or `N × C × H × W` when `map_shape` is given, to `N × E`; affine.
        feature_count: `F`.
        map_shape: `C, H, W` with `C·H·W = F` when the features are a flattened map.

    Raises:
        WeightsError: the chain is not affine, or its output is not `N × E`.
    """

    bias: torch.Tensor
    squared_column_norms: torch.Tensor

    def __init__(
        self,
        chain: nn.Module,
        feature_count: int,
        map_shape: tuple[int, int, int] | None = None,
    ) -> None:
        super().__init__()
        self.chain = chain.eval().requires_grad_(False)
        self.feature_count = feature_count
        self.map_shape = map_shape
        bias = self.embed(torch.zeros(1, feature_count))
        if bias.ndim != 2:
            raise WeightsError(f"the head gives {tuple(bias.shape)} for one face, not 1 × E")
        self.embedding_size = bias.shape[1]
        self.register_buffer("bias", bias[0], persistent=False)
        self._check_affine()
        self.register_buffer("squared_column_norms", self._column_norms(), persistent=False)

    def embed(self, features: torch.Tensor) -> torch.Tensor:
        """`W x + β` for each row: `N × F` → `N × E`."""
        if self.map_shape is not None:
            features = features.reshape(-1, *self.map_shape)
        output: torch.Tensor = self.chain(features)
        return output

    def multiply_transposed(self, vectors: torch.Tensor) -> torch.Tensor:
        """`Wᵀ v` for each row: `N × E` → `N × F`."""
        matrix = self._matrix()
        if matrix is not None:
            return vectors @ matrix.weight
        anywhere = vectors.new_zeros(len(vectors), self.feature_count)
        pull_back = torch.func.vjp(self.embed, anywhere)[1]
        product: torch.Tensor = pull_back(vectors)[0]
        return product

    def _matrix(self) -> nn.Linear | None:
        """The one linear layer of the chain, if that is all it has: no need to differentiate."""
        match list(self.chain.children()) or [self.chain]:
            case [nn.Linear() as matrix] | [nn.Flatten(), nn.Linear() as matrix]:
                return matrix
        return None

    def _column_norms(self) -> torch.Tensor:
        rows = torch.split(torch.eye(self.embedding_size), COLUMN_NORM_ROWS)
        return torch.stack([self.multiply_transposed(r).square().sum(0) for r in rows]).sum(0)

    def _check_affine(self) -> None:
        """`A(x) + A(y) − A(0) = A(x + y)`, on two random points."""
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(1, self.feature_count, generator=generator)
        y = torch.randn(1, self.feature_count, generator=generator)
        together = self.embed(x + y)
        apart = self.embed(x) + self.embed(y) - self.bias
        if not torch.allclose(together, apart, rtol=1e-3, atol=1e-3 * float(together.abs().max())):
            raise WeightsError("the layers behind the dropout site are not affine")
