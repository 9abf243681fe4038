"""The operators that work value by value, and the reductions.

Formulas and defaults from the ONNX operator reference. Nothing here changes its input: the head is
differentiated.
"""

from collections.abc import Callable
from functools import reduce

import torch
import torch.nn.functional as F

from serfiq_core.recognition.onnx_import.operation import Call, Operation

INPUT_FORM_OF_CLIP = 11
"""From this opset the limits of Clip are inputs; before it, attributes."""


def plain(operation: Operation) -> Callable[[Call], Operation]:
    """An entry for an operator without attributes."""
    return lambda _call: operation


def build_div(_call: Call) -> Operation:
    """Division; that of integers truncates towards zero."""

    def divide(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        if a.is_floating_point():
            return a / b
        return torch.div(a, b, rounding_mode="trunc")

    return divide


def build_leaky_relu(call: Call) -> Operation:
    """`alpha · x` below zero."""
    alpha = call.number("alpha", 0.01)
    return lambda x: F.leaky_relu(x, alpha)


def build_elu(call: Call) -> Operation:
    """`alpha · (eˣ − 1)` below zero."""
    alpha = call.number("alpha", 1.0)
    return lambda x: F.elu(x, alpha)


def build_hard_sigmoid(call: Call) -> Operation:
    """`alpha · x + beta`, kept in [0, 1]."""
    alpha, beta = call.number("alpha", 0.2), call.number("beta", 0.5)
    return lambda x: (x * alpha + beta).clamp(0.0, 1.0)


def build_clip(call: Call) -> Operation:
    """Limits from inputs, or from attributes in older files; either may be missing."""
    if call.opset >= INPUT_FORM_OF_CLIP:
        low, high = call.constant_number(1), call.constant_number(2)
    else:
        low, high = call.number("min", -torch.inf), call.number("max", torch.inf)
    if low is None and high is None:
        return lambda x, *_: x
    return lambda x, *_: x.clamp(low, high)


def build_prelu(call: Call) -> Operation:
    """A slope below zero: one, one per channel, or whatever broadcasts to the input."""
    slope, rank = call.constant(1), len(call.shape)
    if slope is None:
        raise call.refuse("lacks its slope")
    if slope.numel() == 1 or _one_per_channel(tuple(slope.shape), rank, call.shape[1]):
        return lambda x, s: F.prelu(x, s.reshape(-1))
    return lambda x, s: torch.where(x < 0, x * s, x)


def _one_per_channel(slope: tuple[int, ...], rank: int, channels: int) -> bool:
    """Whether `slope`, aligned to the last dimension as ONNX broadcasts, varies along channels."""
    aligned = (1,) * (rank - len(slope)) + slope
    return aligned == (1, channels) + (1,) * (rank - 2)


def build_cast(call: Call) -> Operation:
    """To another number type; the types that shape computations and weights use."""
    number = call.integer("to", 0)
    types = {1: torch.float32, 6: torch.int32, 7: torch.int64, 9: torch.bool, 11: torch.float64}
    if number not in types:
        raise call.refuse(f"casts to type {number}")
    return lambda x: x.to(types[number])


def reduction(
    reducer: Callable[[torch.Tensor, tuple[int, ...], bool], torch.Tensor],
) -> Callable[[Call], Operation]:
    """An entry for a reduction over `axes`, an attribute in older files and an input in newer."""

    def build(call: Call) -> Operation:
        keep = bool(call.integer("keepdims", 1))
        axes = call.axes(1)
        if not axes and call.integer("noop_with_empty_axes", 0):
            return lambda x, *_: x
        chosen = axes or tuple(range(len(call.shape)))
        return lambda x, *_: reducer(x, chosen, keep)

    return build


def build_lp_normalization(call: Call) -> Operation:
    """Divided by its norm along one axis."""
    order = call.integer("p", 2)
    axis = call.axis(call.integer("axis", -1), len(call.shape))
    if call.lifted and axis == 0:
        raise call.refuse("normalises across the batch")
    return lambda x: x / torch.linalg.vector_norm(x, order, axis, keepdim=True)


def _mean(x: torch.Tensor, axes: tuple[int, ...], keep: bool) -> torch.Tensor:
    return x.mean(axes, keepdim=keep)


def _sum(x: torch.Tensor, axes: tuple[int, ...], keep: bool) -> torch.Tensor:
    return x.sum(axes, keepdim=keep)


def _sum_of_squares(x: torch.Tensor, axes: tuple[int, ...], keep: bool) -> torch.Tensor:
    return x.square().sum(axes, keepdim=keep)


def _norm(x: torch.Tensor, axes: tuple[int, ...], keep: bool) -> torch.Tensor:
    norm: torch.Tensor = torch.linalg.vector_norm(x, 2, axes, keepdim=keep)
    return norm


def _largest(x: torch.Tensor, axes: tuple[int, ...], keep: bool) -> torch.Tensor:
    return x.amax(axes, keepdim=keep)


ENTRIES: dict[str, Callable[[Call], Operation]] = {
    "Abs": plain(torch.abs),
    "Add": plain(torch.add),
    "Cast": build_cast,
    "Clip": build_clip,
    "Div": build_div,
    "Elu": build_elu,
    "Equal": plain(torch.eq),
    "Exp": plain(torch.exp),
    "HardSigmoid": build_hard_sigmoid,
    "HardSwish": plain(F.hardswish),
    "LeakyRelu": build_leaky_relu,
    "LpNormalization": build_lp_normalization,
    "Max": plain(lambda *tensors: reduce(torch.maximum, tensors)),
    "Min": plain(lambda *tensors: reduce(torch.minimum, tensors)),
    "Mul": plain(torch.mul),
    "Neg": plain(torch.neg),
    "PRelu": build_prelu,
    "Pow": plain(torch.pow),
    "Reciprocal": plain(torch.reciprocal),
    "ReduceL2": reduction(_norm),
    "ReduceMax": reduction(_largest),
    "ReduceMean": reduction(_mean),
    "ReduceSum": reduction(_sum),
    "ReduceSumSquare": reduction(_sum_of_squares),
    "Relu": plain(torch.relu),
    "Sigmoid": plain(torch.sigmoid),
    "Sqrt": plain(torch.sqrt),
    "Sub": plain(torch.sub),
    "Tanh": plain(torch.tanh),
    "Where": plain(torch.where),
}
