"""The mean distances between stochastic embeddings as two Triton kernels.

`distances.py` says what they compute, and imports this file only where it is used: torch's CPU
builds bring no Triton. What torch does in twenty kernels, most of which write `B × m × E` or
`B × m × m` numbers only to read them again, takes two.

The first writes units less their centre, `u`, each number as two of float16: `high`, and what
that leaves, `low`, scaled up. Together they have 22 bits, as many as matter beside float32's 24,
and the second multiplies them on tensor cores, `high·high + (high·low + low·high)`, with nothing
to compute between memory and product. Written as three products of TF32 in one kernel it took three
times as long: splitting them, again for every tile, kept the tensor cores waiting.

Distances come from sums of squares less products. Where that subtraction cancels too much, the
distance is recomputed as a sum of squared differences; with the centre taken away that is only ever
a pair that lies much closer than others of its face.

Every sum is made in one order, whatever else is in the batch: a face gets alone, bit for bit, what
it gets in company. Nothing is tuned at run time, and the number of images is never compiled in.
"""

from typing import NamedTuple

import torch
import triton
import triton.language as tl


class Tiles(NamedTuple):
    """Rows, columns and numbers of one step of one program, and how Triton runs it."""

    rows: int
    columns: int
    numbers: int
    warps: int
    stages: int


UNIT_ROWS = 32
"""Embeddings at a time while their lengths are summed: whole ones, in registers."""

UNIT_NUMBERS = 128
"""Of each embedding, that one program centres and splits."""

UNIT_WARPS = 4

GRAM_TILES = Tiles(rows=64, columns=64, numbers=64, warps=4, stages=3)

LOW_SCALE = tl.constexpr(2.0**11)
"""Of `low`: what float16 rounds away of a number is that much smaller than the number."""


def fused_row_means(outputs: torch.Tensor, close: float) -> torch.Tensor:
    """`B × m × E` float32 → `B × m` float64.

    `close`: below so many times `‖u‖² + ‖v‖²` a distance is said again as a sum of squares.
    """
    images, passes, size = outputs.shape
    outputs = outputs.contiguous()
    means = outputs.new_empty(images, passes, dtype=torch.float64)
    if not images:
        return means
    parts = triton.cdiv(size, UNIT_NUMBERS)
    high, low = outputs.new_empty(2, *outputs.shape, dtype=torch.float16)
    inverse_lengths = outputs.new_empty(images, parts, passes)
    squares = outputs.new_empty(images, parts, passes)
    with torch.cuda.device(outputs.get_device()):  # Triton launches on the current one
        _centred_units[(images, parts)](
            outputs,
            high,
            low,
            inverse_lengths,
            squares,
            passes,
            size,
            ROWS=UNIT_ROWS,
            WHOLE=triton.next_power_of_2(size),
            NUMBERS=UNIT_NUMBERS,
            num_warps=UNIT_WARPS,
        )
        _row_means[(images, triton.cdiv(passes, GRAM_TILES.rows))](
            outputs,
            high,
            low,
            inverse_lengths,
            squares,
            means,
            passes,
            size,
            close * close,
            ROWS=GRAM_TILES.rows,
            COLUMNS=GRAM_TILES.columns,
            NUMBERS=GRAM_TILES.numbers,
            PARTS=parts,
            num_warps=GRAM_TILES.warps,
            num_stages=GRAM_TILES.stages,
        )
    return means


@triton.jit
def _centred_units(
    outputs_ptr: tl.tensor,  # B × m × E
    high_ptr: tl.tensor,  # B × m × E float16
    low_ptr: tl.tensor,  # B × m × E float16
    inverse_lengths_ptr: tl.tensor,  # B × parts × m: each part writes them all
    squares_ptr: tl.tensor,  # B × parts × m: of each part, ‖u‖² of its numbers
    pass_count: tl.tensor,
    size: tl.tensor,
    ROWS: tl.constexpr,
    WHOLE: tl.constexpr,
    NUMBERS: tl.constexpr,
) -> None:
    """One part of `E` of one image. A zero output has no direction, and stays zero."""
    image = tl.program_id(0).to(tl.int64)
    part = image * tl.num_programs(1) + tl.program_id(1)
    inverse_lengths_ptr += part * pass_count
    squares_ptr += part * pass_count
    e = tl.arange(0, WHOLE)
    k = tl.program_id(1) * NUMBERS + tl.arange(0, NUMBERS)
    inside = (k < size)[None, :]
    centre = tl.zeros((NUMBERS,), tl.float32)
    for first in range(0, pass_count, ROWS):
        s = first + tl.arange(0, ROWS)
        present = s < pass_count
        rows = image * pass_count * size + s[:, None] * size
        mask = present[:, None] & (e < size)[None, :]
        whole = tl.load(outputs_ptr + rows + e[None, :], mask=mask, other=0.0)
        lengths = tl.sqrt(tl.sum(whole * whole, 1))
        inverse = 1 / tl.where(lengths > 0, lengths, 1.0)
        tl.store(inverse_lengths_ptr + s, inverse, mask=present)
        mask = present[:, None] & inside
        outputs = tl.load(outputs_ptr + rows + k[None, :], mask=mask, other=0.0)
        centre += tl.sum(outputs * inverse[:, None], 0)
    centre /= pass_count
    tl.debug_barrier()  # other threads read what these have stored
    for first in range(0, pass_count, ROWS):
        s = first + tl.arange(0, ROWS)
        present = s < pass_count
        mask = present[:, None] & inside
        places = image * pass_count * size + s[:, None] * size + k[None, :]
        outputs = tl.load(outputs_ptr + places, mask=mask, other=0.0)
        inverse = tl.load(inverse_lengths_ptr + s, mask=present, other=0.0)
        units = tl.where(mask, outputs * inverse[:, None] - centre[None, :], 0.0)
        high = units.to(tl.float16)
        low = ((units - high.to(tl.float32)) * LOW_SCALE).to(tl.float16)
        tl.store(high_ptr + places, high, mask=mask)
        tl.store(low_ptr + places, low, mask=mask)
        tl.store(squares_ptr + s, tl.sum(units * units, 1), mask=present)


@triton.jit(do_not_specialize=["close_squared"])
def _row_means(
    outputs_ptr: tl.tensor,  # B × m × E
    high_ptr: tl.tensor,  # B × m × E float16
    low_ptr: tl.tensor,  # B × m × E float16
    inverse_lengths_ptr: tl.tensor,  # B × parts × m
    squares_ptr: tl.tensor,  # B × parts × m
    means_ptr: tl.tensor,  # B × m float64
    pass_count: tl.tensor,
    size: tl.tensor,
    close_squared: tl.tensor,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    NUMBERS: tl.constexpr,
    PARTS: tl.constexpr,
) -> None:
    image = tl.program_id(0).to(tl.int64)
    outputs_ptr += image * pass_count * size
    high_ptr += image * pass_count * size
    low_ptr += image * pass_count * size
    inverse_lengths_ptr += image * PARTS * pass_count
    squares_ptr += image * PARTS * pass_count
    r = tl.program_id(1) * ROWS + tl.arange(0, ROWS)
    row_squares = _sum_of_parts(squares_ptr, r, pass_count, PARTS)
    sums = tl.zeros((ROWS,), tl.float64)
    for first in range(0, pass_count, COLUMNS):
        c = first + tl.arange(0, COLUMNS)
        gram = tl.zeros((ROWS, COLUMNS), tl.float32)
        cross = tl.zeros((ROWS, COLUMNS), tl.float32)
        for start in range(0, size, NUMBERS):
            e = start + tl.arange(0, NUMBERS)
            places = r[:, None] * size + e[None, :]
            inside = (r < pass_count)[:, None] & (e < size)[None, :]
            row_high = tl.load(high_ptr + places, mask=inside, other=0.0)
            row_low = tl.load(low_ptr + places, mask=inside, other=0.0)
            places = c[None, :] * size + e[:, None]
            inside = (c < pass_count)[None, :] & (e < size)[:, None]
            column_high = tl.load(high_ptr + places, mask=inside, other=0.0)
            column_low = tl.load(low_ptr + places, mask=inside, other=0.0)
            gram = tl.dot(row_high, column_high, gram)
            cross = tl.dot(row_high, column_low, cross)
            cross = tl.dot(row_low, column_high, cross)
        squares = row_squares[:, None] + _sum_of_parts(squares_ptr, c, pass_count, PARTS)[None, :]
        squared = squares - 2 * (gram + cross / LOW_SCALE)
        squared = tl.where(squared < 0, 0.0, squared)  # tl.maximum would hide what is no number
        others = (r[:, None] != c[None, :]) & (r < pass_count)[:, None] & (c < pass_count)[None, :]
        uncertain = others & (squared < close_squared * squares * squares)
        if tl.max(tl.max(uncertain.to(tl.int32), 1), 0) > 0:
            row_inverse = tl.load(inverse_lengths_ptr + r, mask=r < pass_count, other=0.0)
            column_inverse = tl.load(inverse_lengths_ptr + c, mask=c < pass_count, other=0.0)
            exact = tl.zeros((ROWS, COLUMNS), tl.float32)
            for k in range(0, size):
                rows = tl.load(outputs_ptr + r * size + k, mask=r < pass_count, other=0.0)
                columns = tl.load(outputs_ptr + c * size + k, mask=c < pass_count, other=0.0)
                difference = (rows * row_inverse)[:, None] - (columns * column_inverse)[None, :]
                exact += difference * difference
            squared = tl.where(uncertain, exact, squared)
        distances = tl.where(others, tl.sqrt(squared), 0.0)
        sums += tl.sum(distances, 1).to(tl.float64)
    tl.store(means_ptr + image * pass_count + r, sums / (pass_count - 1), mask=r < pass_count)


@triton.jit
def _sum_of_parts(
    parts_ptr: tl.tensor, places: tl.tensor, count: tl.tensor, PARTS: tl.constexpr
) -> tl.tensor:
    """`parts × count` → the sums at these places."""
    total = tl.load(parts_ptr + places, mask=places < count, other=0.0)
    for part in tl.static_range(1, PARTS):
        total += tl.load(parts_ptr + part * count + places, mask=places < count, other=0.0)
    return total
