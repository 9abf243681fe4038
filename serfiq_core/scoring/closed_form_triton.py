"""The closed form of order 2 as three Triton kernels, and two products of torch's.

`ClosedForm` in `closed_form.py` says what it computes, and imports this file only where it is used:
torch's CPU builds bring no Triton. There it is dozens of kernels, most of them on `B` numbers.

The product with the probes needs nothing of the embedding, and runs beside it: each alone reads its
25 MB at IResNet size at half the rate of the memory.

What is multiplied in 16 bits, squares of features and means, is divided by a power of two first, of
each face its own, which the last kernel multiplies with again: `within_float16` says why. One
kernel, run for the one and for the other, has a program for each row.

How the rest is cut. The second kernel has one program for 64 features of 64 images: it takes their
columns of `W` through shared memory once, multiplies them with the means, and leaves what its
features add to each of four sums. It is `W` that costs: 25.7 MB at E = 512 and F = 25,088 in 16
bits. The 392 programs fit on an H100's 132 multiprocessors at once, three each, as the 64 KiB of
their four stages allow; each reads the means again, as many bytes as its part of `W`, from the L2
cache. The third kernel has one program an image: it ends the sums in float64,
as everything behind them.

The kernels' numbers are the same, bit for bit, for a face alone: sums have one order, nothing is
tuned at run time, and the number of images is never compiled in. The products before and between
them are torch's.

Shape letters: `B` images, `F` features, `E` embedding size, `P` probe products.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import NamedTuple

import torch
import triton
import triton.language as tl

from serfiq_core.product import float32_product

SUMS = tl.constexpr(4)
"""Over features: of `f²‖w‖²`, of `(f w·μ)²`, of the product of `f²‖w‖²` and `f w·μ`, and of
`f⁴‖w‖⁴`. They lie as 2 × 2, so that one reduction makes them and one store writes them."""

TINY = tl.constexpr(torch.finfo(torch.float64).tiny)

FURTHEST = tl.constexpr(math.sqrt(2))
"""As in `closed_form.py`."""

ALIGNMENT = 16
"""Bytes. Triton compiles apart what starts elsewhere, and might sum in another order there."""


class Tiles(NamedTuple):
    """Images and features of one program, outputs of one of its steps, and how Triton runs it."""

    images: int
    features: int
    outputs: int
    warps: int
    stages: int


HALF_TILES = Tiles(images=64, features=64, outputs=64, warps=4, stages=4)
"""16-bit types: one warpgroup."""

FLOAT_TILES = Tiles(images=64, features=64, outputs=32, warps=8, stages=2)
"""float32, on the ordinary units and not in TF32: short steps, whose operands lie in registers."""

ROW_STEP = 8192
"""Numbers that the first kernel takes at a time: four steps for a row at F = 25,088."""

ROW_WARPS = 8

DISTANCE_WARPS = 4
"""Of the third kernel: at most four numbers of a row to a thread."""


def fused_mean_distances(
    features: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
    squared_column_norms: torch.Tensor,
    probe_products: torch.Tensor,
    probe_power: float,
    cumulants: tuple[float, float, float],
) -> torch.Tensor:
    """`ClosedForm.mean_distances`, with nothing on the way that waits for the GPU.

    Args:
        features: `B × F`, float32 or the weight's type.
        weight: `E × F`, float16, bfloat16 or float32, with `E` of 2 or more.
        bias: `E` float32.
        squared_column_norms: `F` float32.
        probe_products: `P × F` in the weight's type; for each pair of directions, feature by
            feature, the product of the two through `Wᵀ`.
        probe_power: what these were divided by. Compiled in.
        cumulants: `a`, `κ₃` and `κ₄` of the dropout noise. Compiled in.

    Returns:
        `B` float64, on the same device.
    """
    embedding_size, feature_count = weight.shape
    tiles = FLOAT_TILES if weight.dtype == torch.float32 else HALF_TILES
    blocks = triton.cdiv(feature_count, tiles.features)
    features = _aligned(features)
    partials = features.new_empty(len(features), blocks, SUMS.value, dtype=torch.float32)
    distances = features.new_empty(len(features), dtype=torch.float64)
    if not len(features):
        return distances
    with torch.cuda.device(features.get_device()):  # Triton launches on the current one
        with _second_stream(features.device) as beside:
            with beside:
                squares, feature_powers = _within(features, weight.dtype, squared=True)
                forms = float32_product(squares, probe_products)
            mean = float32_product(features.to(weight.dtype), weight) + bias
            mean_within, mean_powers = _within(mean, weight.dtype)
            _feature_sums[(triton.cdiv(len(features), tiles.images), blocks)](
                features,
                mean_within,
                weight,
                squared_column_norms,
                partials,
                len(features),
                feature_count,
                embedding_size,
                IMAGES=tiles.images,
                FEATURES=tiles.features,
                OUTPUTS=tiles.outputs,
                num_warps=tiles.warps,
                num_stages=tiles.stages,
            )
        _mean_distances[(len(features),)](
            partials,
            forms,
            mean,
            feature_powers,
            mean_powers,
            distances,
            *cumulants,
            PROBE_POWER=probe_power,
            BLOCKS=blocks,
            PROBES=len(probe_products),
            OUTPUTS=embedding_size,
            num_warps=DISTANCE_WARPS,
        )
    return distances


def _within(
    rows: torch.Tensor, precision: torch.dtype, *, squared: bool = False
) -> tuple[torch.Tensor, torch.Tensor]:
    """`product.within_float16` of contiguous rows, squared then if asked for, in `precision`.

    Returns:
        `B × K`, and `B` float32.
    """
    within = rows.new_empty(rows.shape, dtype=precision)
    powers = rows.new_empty(len(rows), dtype=torch.float32)
    _rows_within[(len(rows),)](
        rows,
        within,
        powers,
        rows.shape[1],
        STEP=min(triton.next_power_of_2(rows.shape[1]), ROW_STEP),
        SQUARED=squared,
        num_warps=ROW_WARPS,
    )
    return within, powers


@contextmanager
def _second_stream(device: torch.device) -> Iterator[torch.cuda.StreamContext]:
    """What is launched within the context that this gives runs beside what is launched outside it.

    At the end they join, also when memory runs out: else a graph that is being recorded could not
    be ended. Memory that the second stream takes is given back to it, and only taken again after
    the first has been waited for. On a CPU, for Triton's interpreter, there is no second.
    """
    if device.type == "cpu":
        yield torch.cuda.stream(None)
        return
    first, second = torch.cuda.current_stream(device), _stream_of(device)
    second.wait_stream(first)
    try:
        yield torch.cuda.stream(second)
    finally:
        first.wait_stream(second)


@cache
def _stream_of(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


def _aligned(rows: torch.Tensor) -> torch.Tensor:
    """The same rows, contiguous, where Triton need not compile again for where they start."""
    rows = rows.contiguous()
    return rows if rows.data_ptr() % ALIGNMENT == 0 else rows.clone()


@triton.jit
def _rows_within(
    rows_ptr: tl.tensor,  # B × count
    within_ptr: tl.tensor,  # B × count
    powers_ptr: tl.tensor,  # B float32
    count: tl.tensor,
    STEP: tl.constexpr,
    SQUARED: tl.constexpr,
) -> None:
    """One row, over the power of two above its largest number; and that power."""
    row = tl.program_id(0).to(tl.int64) * count
    largest = tl.zeros((STEP,), tl.float32)
    for start in range(0, count, STEP):
        k = start + tl.arange(0, STEP)
        numbers = tl.load(rows_ptr + row + k, mask=k < count, other=0.0)
        largest = tl.maximum(largest, tl.abs(numbers.to(tl.float32)))
    # The bits of a float32's exponent are the power of two below it.
    below = tl.max(largest, 0).to(tl.int32, bitcast=True) & 0x7F800000
    power = 2 * below.to(tl.float32, bitcast=True)
    power = tl.where(power > 0, power, 1.0)
    tl.store(powers_ptr + tl.program_id(0), power)
    inverse = tl.div_rn(1.0, power)
    for start in range(0, count, STEP):
        k = start + tl.arange(0, STEP)
        numbers = tl.load(rows_ptr + row + k, mask=k < count, other=0.0).to(tl.float32) * inverse
        if SQUARED:
            numbers = numbers * numbers
        tl.store(within_ptr + row + k, numbers.to(within_ptr.dtype.element_ty), mask=k < count)


@triton.jit(do_not_specialize=["image_count"])
def _feature_sums(
    features_ptr: tl.tensor,  # B × F
    mean_ptr: tl.tensor,  # B × E, within, in the weight's type
    weight_ptr: tl.tensor,  # E × F
    norms_ptr: tl.tensor,  # F float32
    partials_ptr: tl.tensor,  # B × blocks × SUMS float32
    image_count: tl.tensor,
    feature_count: tl.tensor,
    embedding_size: tl.tensor,
    IMAGES: tl.constexpr,
    FEATURES: tl.constexpr,
    OUTPUTS: tl.constexpr,
) -> None:
    b = tl.program_id(0).to(tl.int64) * IMAGES + tl.arange(0, IMAGES)
    k = tl.program_id(1) * FEATURES + tl.arange(0, FEATURES)
    present = b < image_count
    inside = present[:, None] & (k < feature_count)[None, :]
    places = b[:, None] * feature_count + k[None, :]
    # Asked for first and used last: they arrive while the product is made.
    features = tl.load(features_ptr + places, mask=inside, other=0.0)
    norms = tl.load(norms_ptr + k, mask=k < feature_count, other=0.0)

    means = mean_ptr + b[:, None] * embedding_size
    product = tl.zeros((IMAGES, FEATURES), tl.float32)  # w_k · μ, over the power of μ
    for start in range(0, embedding_size, OUTPUTS):
        e = start + tl.arange(0, OUTPUTS)
        mean = tl.load(
            means + e[None, :],
            mask=present[:, None] & (e < embedding_size)[None, :],
            other=0.0,
        )
        weight = tl.load(
            weight_ptr + e[:, None] * feature_count + k[None, :],
            mask=(e < embedding_size)[:, None] & (k < feature_count)[None, :],
            other=0.0,
        )
        product = tl.dot(mean, weight, product, input_precision="ieee")

    features = features.to(tl.float32)
    squares = features * features
    along = features * product
    weighted = squares * norms[None, :]
    left = tl.join(weighted, along * along)
    right = tl.join(weighted * along, weighted * weighted)
    block = b * tl.num_programs(1) + tl.program_id(1)
    tl.store(
        partials_ptr + block[:, None, None] * SUMS + _places_of_sums(),
        tl.sum(tl.join(left, right), 1),
        mask=present[:, None, None],
    )


@triton.jit
def _mean_distances(
    partials_ptr: tl.tensor,  # B × blocks × SUMS float32
    forms_ptr: tl.tensor,  # B × P float32
    mean_ptr: tl.tensor,  # B × E float32
    feature_powers_ptr: tl.tensor,  # B float32
    mean_powers_ptr: tl.tensor,  # B float32
    distances_ptr: tl.tensor,  # B float64
    A: tl.constexpr,
    KAPPA_3: tl.constexpr,
    KAPPA_4: tl.constexpr,
    PROBE_POWER: tl.constexpr,
    BLOCKS: tl.constexpr,
    PROBES: tl.constexpr,
    OUTPUTS: tl.constexpr,
) -> None:
    """The names are those of `ClosedForm`, whose steps these are, all in float64."""
    b = tl.program_id(0).to(tl.int64)
    block = tl.arange(0, triton.next_power_of_2(BLOCKS))[:, None, None]
    partials = tl.load(
        partials_ptr + (b * BLOCKS + block) * SUMS + _places_of_sums(),
        mask=block < BLOCKS,
        other=0.0,
    )
    forms = _row(forms_ptr + b * PROBES, PROBES)
    mean = _row(mean_ptr + b * OUTPUTS, OUTPUTS)
    feature_power = tl.load(feature_powers_ptr + b).to(tl.float64)
    mean_power = tl.load(mean_powers_ptr + b).to(tl.float64)
    left, right = tl.split(tl.sum(partials.to(tl.float64), 0))
    weighted, along_along = tl.split(left)
    weighted_along, weighted_weighted = tl.split(right)

    forms = forms * (feature_power * feature_power * PROBE_POWER)
    along_along = along_along * mean_power * mean_power
    weighted_along = weighted_along * mean_power
    n = tl.sum(mean * mean)
    t = A * weighted
    mean_square = A * A / PROBES * tl.sum(forms * forms)
    trace_of_square = t * t / OUTPUTS + (OUTPUTS - 1) * (OUTPUTS + 2) * mean_square

    total = _at_least(n + t, TINY)
    chord = 2 * t / total
    c = n / total
    scale = total * total
    s = A * along_along / scale
    r = trace_of_square / scale
    third = KAPPA_3 * weighted_along / scale
    fourth = KAPPA_4 * weighted_weighted / scale
    variance_of_norm = 4 * s + 2 * r + 4 * third + fourth
    shift = 0.75 * c * variance_of_norm - 2 * s - third
    variance = 2 * s + r - 2 * c * (2 * s + third) + 0.5 * c * c * variance_of_norm
    h_squared = _at_least(chord - 2 * shift, TINY)
    spread = 4 * _at_least(variance, 0.0) / h_squared / h_squared
    distance = tl.sqrt(h_squared) / tl.sqrt(tl.sqrt(tl.sqrt(1 + spread)))
    # What is compared is rounded to float32 by Triton: 2 stays as it is, its root would not.
    distance = tl.where(distance * distance > 2, FURTHEST, distance)
    tl.store(distances_ptr + b, tl.where(chord > 0, distance, chord))


@triton.jit
def _places_of_sums() -> tl.tensor:
    """1 × 2 × 2."""
    place = tl.arange(0, 2)
    return 2 * place[None, :, None] + place[None, None, :]


@triton.jit
def _row(row_ptr: tl.tensor, COUNT: tl.constexpr) -> tl.tensor:
    """`COUNT` numbers as float64, and zeros up to a power of two."""
    places = tl.arange(0, triton.next_power_of_2(COUNT))
    return tl.load(row_ptr + places, mask=places < COUNT, other=0.0).to(tl.float64)


@triton.jit
def _at_least(number: tl.tensor, floor: tl.constexpr) -> tl.tensor:
    """`clamp_min`: what is no number stays so, which `tl.maximum` would hide."""
    return tl.where(number < floor, floor, number)
