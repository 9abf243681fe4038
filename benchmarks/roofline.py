"""How fast a product could be on a device: what it computes and moves, and the device's rates.

Operations over the rate of the matrix units and bytes over the bandwidth of the memory are two
times; no program is done before the longer of them (Williams et al., Communications of the ACM,
2009). The rates are measured, not taken from a datasheet.
"""

import statistics
from collections.abc import Callable
from dataclasses import dataclass

import torch

MATRIX_SIDE = 8192
"""1.1 · 10¹² operations: more than a millisecond on any device of today."""

COPIED_BYTES = 1024**3
"""Twenty times the last cache of an H100, which therefore does not help."""

REPETITIONS = 30


@dataclass(frozen=True, slots=True)
class Work:
    """`operations`: floating-point, a multiplication and an addition are two.

    `bytes_moved`: the fewest: each input read once, each output written once.
    """

    operations: int
    bytes_moved: int


@dataclass(frozen=True, slots=True)
class Rates:
    """What a device was seen to do each second."""

    operations: float
    bytes_moved: float

    def fewest_seconds(self, work: Work) -> float:
        """Below which no program does this work on this device."""
        return max(work.operations / self.operations, work.bytes_moved / self.bytes_moved)


def masked_product_work(
    images: int, passes: int, features: int, outputs: int, weight_bytes: int
) -> Work:
    """Of `W (f_b ⊙ z_s)`: features and results in float32, masks as bits of 32-bit words.

    `weight_bytes`: of one number of `W`. Applying a mask is no operation: it is a choice.
    """
    mask_words = passes * -(-features // 32)
    return Work(
        operations=2 * images * passes * features * outputs,
        bytes_moved=4 * images * features
        + 4 * mask_words
        + weight_bytes * outputs * features
        + 4 * images * passes * outputs,
    )


def median_seconds(workload: Callable[[], object]) -> float:
    """Of one run on the current CUDA device, by its own clock, after a warm-up."""
    for _ in range(3):
        workload()
    return statistics.median(seconds_of(workload) for _ in range(REPETITIONS))


def seconds_of(workload: Callable[[], object]) -> float:
    """Of one run on the current CUDA device, by its own clock."""
    started, ended = (torch.Event("cuda", enable_timing=True) for _ in range(2))
    started.record()
    workload()
    ended.record()
    ended.synchronize()
    return started.elapsed_time(ended) / 1000


def measured_rates(device: torch.device, dtype: torch.dtype) -> Rates:
    """From a large product of random matrices, and a large copy, which reads and writes.

    Random, since products of zeros draw less power and run faster.
    """
    left, right = torch.randn(2, MATRIX_SIDE, MATRIX_SIDE, device=device).to(dtype)
    product = median_seconds(lambda: torch.mm(left, right))
    source = torch.randint(256, (COPIED_BYTES,), dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    copy = median_seconds(lambda: target.copy_(source))
    return Rates(operations=2 * MATRIX_SIDE**3 / product, bytes_moved=2 * COPIED_BYTES / copy)
