"""The operators with weights, and pooling."""

from collections.abc import Callable

import torch
import torch.nn.functional as F

from serfiq_core.recognition.onnx_import.operation import Call, Operation

Pair = tuple[int, int]
Sides = tuple[int, int, int, int]
"""Left, right, top, bottom: the order of `torch.nn.functional.pad`."""


def build_conv(call: Call) -> Operation:
    """Two-dimensional convolution."""
    _require_map(call)
    weight = call.constant(1)
    if weight is None or weight.ndim != 4:
        raise call.refuse("lacks a two-dimensional kernel")
    kernel: Pair = (weight.shape[2], weight.shape[3])
    sides, strides, dilations = _geometry(call, kernel)
    groups = call.integer("group", 1)
    left, right, top, bottom = sides
    if not any(sides) and kernel == call.shape[2:] and dilations == (1, 1):
        return _whole_map_conv(call, groups)
    if left == right and top == bottom:
        return lambda x, w, b=None: F.conv2d(x, w, b, strides, (top, left), dilations, groups)
    return lambda x, w, b=None: F.conv2d(
        F.pad(x, sides), w, b, strides, dilation=dilations, groups=groups
    )


def _whole_map_conv(call: Call, groups: int) -> Operation:
    """A kernel as large as the map sees one place only: a matrix, or one weighted sum per channel.

    Same values, and the dropout head, which these kernels often begin, runs many times faster.
    """

    def matrix(x: torch.Tensor, w: torch.Tensor, b: torch.Tensor | None = None) -> torch.Tensor:
        return F.linear(x.flatten(1), w.flatten(1), b)[:, :, None, None]

    def weighted_sums(
        x: torch.Tensor, w: torch.Tensor, b: torch.Tensor | None = None
    ) -> torch.Tensor:
        sums = (x * w[:, 0]).sum((2, 3), keepdim=True)
        return sums if b is None else sums + b[:, None, None]

    weight = call.constant(1)
    assert weight is not None  # build_conv checked
    channels = call.shape[1]
    if groups == 1:
        return matrix
    if groups == channels == weight.shape[0]:
        return weighted_sums
    return lambda x, w, b=None: F.conv2d(x, w, b, groups=groups)


def build_batch_normalization(call: Call) -> Operation:
    """With running statistics."""
    if call.integer("training_mode", 0):
        raise call.refuse("is in training mode: export the model for inference")
    if not call.integer("spatial", 1):
        raise call.refuse("has statistics for every place (spatial = 0)")
    epsilon = call.number("epsilon", 1e-5)
    return lambda x, scale, shift, mean, variance: F.batch_norm(
        x, mean, variance, scale, shift, eps=epsilon
    )


def build_gemm(call: Call) -> Operation:
    """`alpha · A B + beta · C`, either matrix transposed."""
    alpha, beta = call.number("alpha", 1.0), call.number("beta", 1.0)
    turn_a, turn_b = call.integer("transA", 0), call.integer("transB", 0)

    def multiply(a: torch.Tensor, b: torch.Tensor, c: torch.Tensor | None = None) -> torch.Tensor:
        product = (a.T if turn_a else a) @ (b.T if turn_b else b)
        product = product if alpha == 1.0 else product * alpha
        if c is None:
            return product
        return product + (c if beta == 1.0 else c * beta)

    return multiply


def build_average_pool(call: Call) -> Operation:
    """Mean over a window; borders count, or do not, as the file says."""
    kernel = _kernel(call)
    sides, strides, dilations = _geometry(call, kernel)
    if dilations != (1, 1):
        raise call.refuse("has dilations")
    if not any(sides) and not call.integer("ceil_mode", 0):
        return lambda x: F.avg_pool2d(x, kernel, strides)
    count_borders = bool(call.integer("count_include_pad", 0))
    extra = _ceiling(call, kernel, strides, dilations, sides)

    def sums(x: torch.Tensor, borders: Sides) -> torch.Tensor:
        return F.avg_pool2d(F.pad(x, borders), kernel, strides, divisor_override=1)

    # The file's own borders may count as values, but what rounding up adds behind them never does.
    beyond = (0, extra[1] - sides[1], 0, extra[3] - sides[3])

    def pool(x: torch.Tensor) -> torch.Tensor:
        ones = x.new_ones(1, 1, *x.shape[2:])
        values = F.pad(ones, sides, value=1.0 if count_borders else 0.0)
        return sums(x, extra) / sums(values, beyond)

    return pool


def build_max_pool(call: Call) -> Operation:
    """Largest value of a window."""
    kernel = _kernel(call)
    sides, strides, dilations = _geometry(call, kernel)
    if call.integer("ceil_mode", 0):
        sides = _ceiling(call, kernel, strides, dilations, sides)
    return lambda x: F.max_pool2d(
        F.pad(x, sides, value=-torch.inf), kernel, strides, dilation=dilations
    )


def build_global_average_pool(call: Call) -> Operation:
    """Mean over the map."""
    _require_map(call)
    return lambda x: x.mean((2, 3), keepdim=True)


def build_global_max_pool(call: Call) -> Operation:
    """Largest value of the map."""
    _require_map(call)
    return lambda x: x.amax((2, 3), keepdim=True)


def _require_map(call: Call) -> None:
    if len(call.shape) != 4:
        raise call.refuse(f"works on {len(call.shape)} dimensions: only B × C × H × W is known")


def _kernel(call: Call) -> Pair:
    _require_map(call)
    return _pair(call, "kernel_shape", (0, 0))


def _pair(call: Call, name: str, default: Pair) -> Pair:
    values = call.integers(name) or default
    if len(values) != 2 or min(values) < 1:
        raise call.refuse(f"has {name} = {list(values)}: two positive numbers are needed")
    return values[0], values[1]


def _geometry(call: Call, kernel: Pair) -> tuple[Sides, Pair, Pair]:
    """Borders, strides and dilations."""
    strides = _pair(call, "strides", (1, 1))
    dilations = _pair(call, "dilations", (1, 1))
    rule = call.text("auto_pad", "NOTSET")
    if rule in ("SAME_UPPER", "SAME_LOWER"):
        if dilations != (1, 1):  # onnxruntime refuses it too, so nothing could prove it
            raise call.refuse(f"has dilations with auto_pad = {rule!r}")
        return _same_borders(call, rule, kernel, strides), strides, dilations
    if rule not in ("NOTSET", "VALID"):
        raise call.refuse(f"has auto_pad = {rule!r}")
    pads = call.integers("pads") if rule == "NOTSET" else None
    if pads is None:
        return (0, 0, 0, 0), strides, dilations
    if len(pads) != 4 or min(pads) < 0:
        raise call.refuse(f"has pads = {list(pads)}: four numbers from 0 are needed")
    top, left, bottom, right = pads
    return (left, right, top, bottom), strides, dilations


def _same_borders(call: Call, rule: str, kernel: Pair, strides: Pair) -> Sides:
    """Borders that make the result as large as the input divided by the stride, rounded up."""
    borders: list[Pair] = []
    for size, width, stride in zip(call.shape[2:], kernel, strides, strict=True):
        results = -(-size // stride)
        total = max((results - 1) * stride + width - size, 0)
        smaller, larger = total // 2, total - total // 2
        borders.append((smaller, larger) if rule == "SAME_UPPER" else (larger, smaller))
    (top, bottom), (left, right) = borders
    return left, right, top, bottom


def _ceiling(call: Call, kernel: Pair, strides: Pair, dilations: Pair, sides: Sides) -> Sides:
    """Borders extended behind so that the last window, begun but not complete, is counted."""
    if not call.integer("ceil_mode", 0):
        return sides
    left, right, top, bottom = sides
    starts, ends, grown = (top, left), (bottom, right), [bottom, right]
    for i, size in enumerate(call.shape[2:]):
        span = (kernel[i] - 1) * dilations[i] + 1
        steps = -(-(size + starts[i] + ends[i] - span) // strides[i])
        if steps * strides[i] >= size + starts[i]:
            steps -= 1  # a window that would begin behind the image is left out
        grown[i] = max(steps * strides[i] + span - size - starts[i], ends[i])
    return left, grown[1], top, grown[0]


ENTRIES: dict[str, Callable[[Call], Operation]] = {
    "AveragePool": build_average_pool,
    "BatchNormalization": build_batch_normalization,
    "Conv": build_conv,
    "Gemm": build_gemm,
    "GlobalAveragePool": build_global_average_pool,
    "GlobalMaxPool": build_global_max_pool,
    "MatMul": lambda _call: torch.matmul,
    "MaxPool": build_max_pool,
}
