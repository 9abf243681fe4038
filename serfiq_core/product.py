"""A product with fixed weights, in the fastest way that the device and the precision have."""

from collections.abc import Callable

import torch
import torch.nn.functional as F

Product = Callable[[torch.Tensor], torch.Tensor]
"""`N × K` in the precision of the weights → `N × M` in that or in float32."""


def product_with(matrix: torch.Tensor, *, many_rows: bool = False) -> Product:
    """`x → x · matrixᵀ` for a `matrix` `M × K`; `many_rows`: hundreds at a time.

    In float32 on a CPU through oneDNN, in its own layout: half the time of the BLAS that torch
    calls otherwise (100 × 25,088 by 25,088 × 512 on a Zen 5: 6.7 and 13.9 ms). Without AVX-512 that
    BLAS is the faster one for many rows (400 by the same on a Zen 3: 73 and 113 ms). Reduced
    precisions go to oneDNN by themselves. On a GPU their sums are not rounded to them.
    """
    on_cpu = matrix.device.type == "cpu" and matrix.dtype == torch.float32
    if on_cpu and _has_onednn() and (_has_avx512() or not many_rows):
        packed = matrix.to_mkldnn()

        def product(rows: torch.Tensor) -> torch.Tensor:
            if rows.requires_grad:
                # In that layout torch cannot differentiate. Unpacked each time: gradients are rare,
                # and a second copy of the weights would stay.
                return F.linear(rows, packed.to_dense())
            return F.linear(rows.to_mkldnn(), packed).to_dense()

        return product
    if matrix.device.type == "cuda":
        return lambda rows: float32_product(rows, matrix)
    return lambda rows: F.linear(rows, matrix)


def float32_product(rows: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    """`N × K` and `M × K`, of one type → `N × M` float32, as nearly as torch gives it there.

    On a GPU the sums are kept; elsewhere they are rounded to the type first.
    """
    halves = rows.device.type == "cuda" and rows.dtype != torch.float32
    if halves and not rows.requires_grad:  # such a product cannot be differentiated
        return torch.mm(rows, matrix.T, out_dtype=torch.float32)
    return F.linear(rows, matrix).float()


def within_float16(rows: torch.Tensor, precision: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """`rows`, `N × K` float32, as float16 can hold them and their squares; and by what to multiply.

    float16 ends at 65,504 and at 2⁻²⁴: each row is divided by the power of two above its largest
    number, which rounds nothing. The other types have the range of float32, and stay as they are.

    Returns:
        `N × K` and `N × 1`.
    """
    if precision != torch.float16:
        return rows, rows.new_ones(len(rows), 1)
    largest = torch.linalg.vector_norm(rows.detach(), torch.inf, dim=1, keepdim=True)
    powers = torch.where(largest > 0, largest / torch.frexp(largest).mantissa, 1)
    return rows / powers, powers


def _has_onednn() -> bool:
    return bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]


def _has_avx512() -> bool:
    return "AVX512" in torch.backends.cpu.get_cpu_capability()
