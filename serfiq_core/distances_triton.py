"""The mean distances between stochastic embeddings as two Triton kernels.

`distances.py` says what they compute, and imports this file only where it is used: torch's CPU
builds bring no Triton. What torch does in twenty kernels, most of which write `B × m × E` or
`B × m × m` numbers only to read them again, takes one look at the outputs for their lengths and
their centre, and one for the distances, which exist only in registers.

Units less their centre are float32, and their products are three products of TF32 each, which is
float32 again but for the last bits. What a difference of products then says less well than it
should is said again as a sum of squared differences, which does not cancel; with the centre taken
away that is only ever a pair that lies much closer than others of its face.

Every sum is made in one order, whatever else is in the batch: a face gets alone, bit for bit, what
it gets in company. Nothing is tuned at run time, and the number of images is never compiled in.
"""

import torch
import triton
import triton.language as tl

ROWS = 64
"""Of the distances of one program: what the tensor cores of a Hopper multiply at once."""

COLUMNS = 64
NUMBERS = 32
"""Of each embedding at a time. With twice as many columns, whatever else, registers spill."""

UNIT_ROWS = 16
"""Embeddings at a time, while lengths and centre are summed: whole ones, in registers."""


def fused_row_means(outputs: torch.Tensor, close: float) -> torch.Tensor:
    """`B × m × E` float32 → `B × m` float64.

    `close`: below so many times `‖u‖² + ‖v‖²` a distance is said again as a sum of squares.
    """
    images, passes, size = outputs.shape
    outputs = outputs.contiguous()
    inverse_lengths = outputs.new_empty(images, passes)
    centres = outputs.new_empty(images, size)
    means = outputs.new_empty(images, passes, dtype=torch.float64)
    if not images:
        return means
    with torch.cuda.device(outputs.get_device()):  # Triton launches on the current one
        _units[(images,)](
            outputs,
            inverse_lengths,
            centres,
            passes,
            size,
            ROWS=UNIT_ROWS,
            NUMBERS=triton.next_power_of_2(size),
            num_warps=8,
        )
        _row_means[(images, triton.cdiv(passes, ROWS))](
            outputs,
            inverse_lengths,
            centres,
            means,
            passes,
            size,
            close * close,
            ROWS=ROWS,
            COLUMNS=COLUMNS,
            NUMBERS=NUMBERS,
            num_warps=8,
            num_stages=2,
        )
    return means


@triton.jit
def _units(
    outputs_ptr: tl.tensor,  # B × m × E
    inverse_lengths_ptr: tl.tensor,  # B × m
    centres_ptr: tl.tensor,  # B × E
    pass_count: tl.tensor,
    size: tl.tensor,
    ROWS: tl.constexpr,
    NUMBERS: tl.constexpr,
) -> None:
    """`1/‖y_s‖`, and the mean of `y_s/‖y_s‖`. A zero output has no direction, and stays zero."""
    image = tl.program_id(0).to(tl.int64)
    e = tl.arange(0, NUMBERS)
    centre = tl.zeros((NUMBERS,), tl.float32)
    for first in range(0, pass_count, ROWS):
        s = first + tl.arange(0, ROWS)
        outputs = tl.load(
            outputs_ptr + image * pass_count * size + s[:, None] * size + e[None, :],
            mask=(s < pass_count)[:, None] & (e < size)[None, :],
            other=0.0,
        )
        lengths = tl.sqrt(tl.sum(outputs * outputs, 1))
        inverse = 1 / tl.where(lengths > 0, lengths, 1.0)
        tl.store(inverse_lengths_ptr + image * pass_count + s, inverse, mask=s < pass_count)
        centre += tl.sum(outputs * inverse[:, None], 0)
    tl.store(centres_ptr + image * size + e, centre / pass_count, mask=e < size)


@triton.jit(do_not_specialize=["close_squared"])
def _row_means(
    outputs_ptr: tl.tensor,  # B × m × E
    inverse_lengths_ptr: tl.tensor,  # B × m
    centres_ptr: tl.tensor,  # B × E
    means_ptr: tl.tensor,  # B × m
    pass_count: tl.tensor,
    size: tl.tensor,
    close_squared: tl.tensor,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    NUMBERS: tl.constexpr,
) -> None:
    image = tl.program_id(0).to(tl.int64)
    outputs_ptr += image * pass_count * size
    inverse_lengths_ptr += image * pass_count
    centres_ptr += image * size
    r = tl.program_id(1) * ROWS + tl.arange(0, ROWS)
    row_inverse = tl.load(inverse_lengths_ptr + r, mask=r < pass_count, other=0.0)
    sums = tl.zeros((ROWS,), tl.float64)
    for first in range(0, pass_count, COLUMNS):
        c = first + tl.arange(0, COLUMNS)
        column_inverse = tl.load(inverse_lengths_ptr + c, mask=c < pass_count, other=0.0)
        gram = tl.zeros((ROWS, COLUMNS), tl.float32)
        row_squares = tl.zeros((ROWS,), tl.float32)
        column_squares = tl.zeros((COLUMNS,), tl.float32)
        for start in range(0, size, NUMBERS):
            e = start + tl.arange(0, NUMBERS)
            centre = tl.load(centres_ptr + e, mask=e < size, other=0.0)
            rows = tl.load(
                outputs_ptr + r[:, None] * size + e[None, :],
                mask=(r < pass_count)[:, None] & (e < size)[None, :],
                other=0.0,
            )
            rows = rows * row_inverse[:, None] - centre[None, :]
            columns = tl.load(
                outputs_ptr + c[:, None] * size + e[None, :],
                mask=(c < pass_count)[:, None] & (e < size)[None, :],
                other=0.0,
            )
            columns = columns * column_inverse[:, None] - centre[None, :]
            row_squares += tl.sum(rows * rows, 1)
            column_squares += tl.sum(columns * columns, 1)
            gram = tl.dot(rows, tl.trans(columns), gram, input_precision="tf32x3")
        squares = row_squares[:, None] + column_squares[None, :]
        squared = tl.maximum(squares - 2 * gram, 0.0)
        others = (r[:, None] != c[None, :]) & (r < pass_count)[:, None] & (c < pass_count)[None, :]
        uncertain = others & (squared < close_squared * squares * squares)
        if tl.max(tl.max(uncertain.to(tl.int32), 1), 0) > 0:
            exact = tl.zeros((ROWS, COLUMNS), tl.float32)
            for k in range(0, size):
                rows_k = tl.load(outputs_ptr + r * size + k, mask=r < pass_count, other=0.0)
                columns_k = tl.load(outputs_ptr + c * size + k, mask=c < pass_count, other=0.0)
                difference = (rows_k * row_inverse)[:, None] - (columns_k * column_inverse)[None, :]
                exact += difference * difference
            squared = tl.where(uncertain, exact, squared)
        distances = tl.where(others, tl.sqrt(squared), 0.0)
        sums += tl.sum(distances, 1).to(tl.float64)
    tl.store(means_ptr + image * pass_count + r, sums / (pass_count - 1), mask=r < pass_count)
