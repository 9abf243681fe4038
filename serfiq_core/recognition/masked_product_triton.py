"""The masked product as one Triton kernel: masks stay bits, and `f ⊙ z` exists only in registers.

`masked_product.py` says what it computes, and imports this file only where it is used: torch's CPU
builds bring no Triton.

How the work is cut. A program has one tile of passes, one tile of outputs, and two images: it reads
a tile of `W` and the words of its masks once, and multiplies them with both. One image and 256
outputs would be as much work and read twice as much of `W`: at an H100's full rate 32 bytes a cycle
and multiprocessor, which is what its L2 cache can give. At m = 100, E = 512 and 64 images there are
128 programs for its 132 multiprocessors. The 28 empty rows in 128 cost nothing there: fuller tiles
would only leave more multiprocessors idle. A head of few outputs is cut
finer, for as many programs.

Features are taken as 32-bit units, one float32 or two neighbours of 16 bits, and a mask becomes an
AND with 0 or 0xFFFF for each half. Written as a choice for each feature, a step came out more than
twice as long: 554 instructions of sm_90, and 239 as it is. Two warps share a scheduler, and the
tensor cores take 1,024 cycles for a step.

An output is the sum of its features in one order, tile by tile, whatever else is in the batch: it
is the same, bit for bit, for a face alone. For that, nothing here is tuned at run time, and the
number of images is never compiled in.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
import triton
import triton.language as tl

IMAGES = tl.constexpr(2)
"""Of one program, which spells them out: two accumulators of 128 × 128 float32 take half of the
registers."""


class Tiles(NamedTuple):
    """Passes, outputs and features of one step of one program, and how Triton runs it."""

    passes: int
    outputs: int
    features: int
    warps: int
    stages: int


HALF_TILES = Tiles(passes=128, outputs=128, features=64, warps=8, stages=4)
"""16-bit types: two warpgroups, so that one masks while the other multiplies."""

NARROW_HALF_TILES = HALF_TILES._replace(outputs=32, features=128)
"""For up to `NARROW` outputs: at E = 128 and 64 images 128 programs again, and not 32."""

NARROW = 128

FLOAT_TILES = Tiles(passes=32, outputs=64, features=32, warps=8, stages=2)
"""float32, on the ordinary units and not in TF32: small, since its operands lie in registers."""


def fused_masked_product(
    features: torch.Tensor,
    words: torch.Tensor,
    scale: float,
    weight: torch.Tensor,
    bias: torch.Tensor,
) -> torch.Tensor:
    """`B × F`, `m × ceil(F / 32)` int32, `E × F`, `E` float32 → `B × m × E` float32.

    Multiplied in the weight's type, float16, bfloat16 or float32, and summed in float32.
    """
    embedding_size, feature_count = weight.shape
    per_unit = 4 // weight.itemsize
    units = features.to(weight.dtype)
    if feature_count % per_unit:
        units = F.pad(units, (0, -feature_count % per_unit))
    units = units.contiguous().view(torch.int32)
    outputs = features.new_empty(len(features), len(words), embedding_size, dtype=torch.float32)
    if not len(features):
        return outputs
    tiles = _tiles(per_unit, embedding_size)
    grid = (
        triton.cdiv(len(features), IMAGES.value) * triton.cdiv(len(words), tiles.passes),
        triton.cdiv(embedding_size, tiles.outputs),
    )
    with torch.cuda.device(units.get_device()):  # Triton launches on the current one
        _masked_product[grid](
            units,
            words,
            weight.contiguous(),
            bias,
            outputs,
            scale,
            len(features),
            len(words),
            feature_count,
            embedding_size,
            units.shape[1],
            words.shape[1],
            PER_UNIT=per_unit,
            PASSES=tiles.passes,
            OUTPUTS=tiles.outputs,
            FEATURES=tiles.features,
            num_warps=tiles.warps,
            num_stages=tiles.stages,
        )
    return outputs


def _tiles(per_unit: int, embedding_size: int) -> Tiles:
    """By the head alone: what a face gets must not depend on who is beside it."""
    if per_unit == 1:
        return FLOAT_TILES
    return NARROW_HALF_TILES if embedding_size <= NARROW else HALF_TILES


@triton.jit(do_not_specialize=["image_count", "scale"])
def _masked_product(
    units_ptr: tl.tensor,  # B × U int32: features, PER_UNIT in each
    words_ptr: tl.tensor,  # m × ceil(F / 32) int32
    weight_ptr: tl.tensor,  # E × F
    bias_ptr: tl.tensor,  # E float32
    outputs_ptr: tl.tensor,  # B × m × E float32
    scale: tl.tensor,
    image_count: tl.tensor,
    pass_count: tl.tensor,
    feature_count: tl.tensor,
    embedding_size: tl.tensor,
    unit_count: tl.tensor,
    word_count: tl.tensor,
    PER_UNIT: tl.constexpr,
    PASSES: tl.constexpr,
    OUTPUTS: tl.constexpr,
    FEATURES: tl.constexpr,
) -> None:
    pass_tiles = tl.cdiv(pass_count, PASSES)
    first = (tl.program_id(0) // pass_tiles).to(tl.int64) * IMAGES
    second = first + 1  # absent in the last program of an odd batch
    s = (tl.program_id(0) % pass_tiles) * PASSES + tl.arange(0, PASSES)
    e = tl.program_id(1) * OUTPUTS + tl.arange(0, OUTPUTS)

    sum_first = tl.zeros((PASSES, OUTPUTS), tl.float32)
    sum_second = tl.zeros((PASSES, OUTPUTS), tl.float32)
    for start in range(0, feature_count, FEATURES):
        k = start + tl.arange(0, FEATURES)
        weight = tl.load(
            weight_ptr + e[None, :] * feature_count + k[:, None],
            mask=(e < embedding_size)[None, :] & (k < feature_count)[:, None],
            other=0.0,
        )
        w = start // 32 + tl.arange(0, FEATURES // 32)
        words = tl.load(
            words_ptr + s[:, None] * word_count + w[None, :],
            mask=(s < pass_count)[:, None] & (w < word_count)[None, :],
            other=0,
        )
        kept = _unit_masks(words, PER_UNIT, PASSES, FEATURES)
        u = start // PER_UNIT + tl.arange(0, FEATURES // PER_UNIT)
        units = tl.load(units_ptr + first * unit_count + u, mask=u < unit_count, other=0)
        masked = _features(units[None, :] & kept, weight.dtype, PER_UNIT, PASSES, FEATURES)
        sum_first = tl.dot(masked, weight, sum_first, input_precision="ieee")
        units = tl.load(
            units_ptr + second * unit_count + u,
            mask=(u < unit_count) & (second < image_count),
            other=0,
        )
        masked = _features(units[None, :] & kept, weight.dtype, PER_UNIT, PASSES, FEATURES)
        sum_second = tl.dot(masked, weight, sum_second, input_precision="ieee")

    bias = tl.load(bias_ptr + e, mask=e < embedding_size, other=0.0)[None, :]
    outputs = outputs_ptr + s[:, None] * embedding_size + e[None, :]
    inside = (s < pass_count)[:, None] & (e < embedding_size)[None, :]
    image_size = pass_count * embedding_size
    tl.store(outputs + first * image_size, sum_first * scale + bias, mask=inside)
    inside &= second < image_count
    tl.store(outputs + second * image_size, sum_second * scale + bias, mask=inside)


@triton.jit
def _unit_masks(
    words: tl.tensor, PER_UNIT: tl.constexpr, PASSES: tl.constexpr, FEATURES: tl.constexpr
) -> tl.tensor:
    """Words of bits → a mask of all ones or zeros for each feature: `PASSES × units` int32."""
    unit = tl.arange(0, 32 // PER_UNIT)
    bits = words.to(tl.uint32, bitcast=True)[:, :, None] >> (unit * PER_UNIT)[None, None, :]
    bits = tl.reshape(bits, (PASSES, FEATURES // PER_UNIT))
    if PER_UNIT == 2:
        bits = (bits & 1) | ((bits << 15) & 0x10000)
        masks = bits * 0xFFFF
    else:
        masks = (bits & 1) * 0xFFFFFFFF
    return masks.to(tl.int32, bitcast=True)


@triton.jit
def _features(
    units: tl.tensor,
    dtype: tl.constexpr,
    PER_UNIT: tl.constexpr,
    PASSES: tl.constexpr,
    FEATURES: tl.constexpr,
) -> tl.tensor:
    """Units → the features they hold: `PASSES × FEATURES`. It costs no instruction."""
    if PER_UNIT == 2:
        low = units.to(tl.int16).to(dtype, bitcast=True)
        high = (units >> 16).to(tl.int16).to(dtype, bitcast=True)
        features = tl.reshape(tl.join(low, high), (PASSES, FEATURES))
    else:
        features = units.to(dtype, bitcast=True)
    return features
