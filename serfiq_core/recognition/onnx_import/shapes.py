"""The operators that move, cut or join values, and those that only compute shapes.

A file written for one image has its batch size of 1 in the middle of shape constants, `[1, 25088]`
for instance. So a shape is worked out once, for the batch size the file was written for, and the
result is kept without its first dimension: that makes any batch size work. What would move or mix
the batch dimension is refused.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

from serfiq_core.recognition.onnx_import.graph import Shape
from serfiq_core.recognition.onnx_import.operation import Call, Operation

INPUT_FORM_OF_SLICE = 10
"""From this opset the ranges of Slice are inputs; before it, attributes."""
INPUT_FORM_OF_PAD = 11
"""The same for the widths of Pad."""


def to_shape(call: Call, target: Shape) -> Operation:
    """Reshape to `target`, which is right for the batch size the file was written for."""
    if not call.lifted:
        return lambda x, *_: x.reshape(target)
    if not target or target[0] != call.shape[0] or math.prod(target) != math.prod(call.shape):
        raise call.refuse(f"turns {call.shape} into {target}: the batch must stay in front")
    return lambda x, *_: x.reshape(-1, *target[1:])


def build_reshape(call: Call) -> Operation:
    """A constant target; 0 copies a dimension, −1 stands for what is left."""
    target = list(call.constant_integers(1) or ())
    if not call.integer("allowzero", 0):
        target = [call.shape[i] if d == 0 else d for i, d in enumerate(target)]
    if target.count(-1) == 1:
        known = -math.prod(target)
        target[target.index(-1)] = math.prod(call.shape) // known if known else 0
    return to_shape(call, tuple(target))


def build_flatten(call: Call) -> Operation:
    """To two dimensions, split at `axis`."""
    axis = call.integer("axis", 1)
    axis = axis + len(call.shape) if axis < 0 else axis
    return to_shape(call, (math.prod(call.shape[:axis]), math.prod(call.shape[axis:])))


def build_squeeze(call: Call) -> Operation:
    """Without the dimensions of size 1 named, or all of them."""
    axes = call.axes(1)
    if axes is None:
        axes = tuple(i for i, d in enumerate(call.shape) if d == 1)
    if call.lifted and 0 in axes:
        raise call.refuse("removes the batch dimension")
    return to_shape(call, tuple(d for i, d in enumerate(call.shape) if i not in axes))


def build_unsqueeze(call: Call) -> Operation:
    """With dimensions of size 1 at the places named, counted in the result."""
    axes = call.integers("axes") or call.constant_integers(1) or ()
    rank = len(call.shape) + len(axes)
    places = {call.axis(a, rank) for a in axes}
    if call.lifted and 0 in places:
        raise call.refuse("puts a dimension before the batch")
    rest = iter(call.shape)
    return to_shape(call, tuple(1 if i in places else next(rest) for i in range(rank)))


def build_transpose(call: Call) -> Operation:
    """Dimensions in another order; reversed when none is given."""
    order = call.integers("perm") or tuple(reversed(range(len(call.shape))))
    if call.lifted and order[0] != 0:
        raise call.refuse("moves the batch dimension")
    return lambda x: x.permute(order)


def build_expand(call: Call) -> Operation:
    """Broadcast to a constant shape."""
    target = np.broadcast_shapes(call.shape, call.constant_integers(1) or ())
    if not call.lifted:
        return lambda x, *_: x.expand(target)
    if target[0] != call.shape[0] or len(target) != len(call.shape):
        raise call.refuse("repeats along the batch")
    return lambda x, *_: x.expand(x.shape[0], *target[1:])


def build_concat(call: Call) -> Operation:
    """Joined along `axis`."""
    axis = call.integer("axis", 0)
    return lambda *tensors: torch.cat(tensors, axis)


def build_slice(call: Call) -> Operation:
    """Ranges along some axes, forwards."""
    if call.opset >= INPUT_FORM_OF_SLICE:
        starts, ends = call.constant_integers(1), call.constant_integers(2)
        axes, steps = call.constant_integers(3), call.constant_integers(4)
    else:
        starts, ends = call.integers("starts"), call.integers("ends")
        axes, steps = call.integers("axes"), None
    if starts is None or ends is None:
        raise call.refuse("lacks its ranges")
    if steps is not None and min(steps) < 1:
        raise call.refuse("runs backwards")
    ranges = [slice(None)] * len(call.shape)
    for i, axis in enumerate(axes or range(len(starts))):
        ranges[axis] = slice(starts[i], ends[i], steps[i] if steps else 1)
    return lambda x, *_: x[tuple(ranges)]


def build_gather(call: Call) -> Operation:
    """Picked along one axis, at constant places."""
    indices = call.constant(1)
    if indices is None:
        raise call.refuse("lacks its indices")
    axis = call.axis(call.integer("axis", 0), len(call.shape))
    size = call.shape[axis]
    if indices.numel() and not -size <= int(indices.min()) <= int(indices.max()) < size:
        raise call.refuse(f"picks beyond the {size} that there are")

    def pick(x: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        places = places.remainder(size)  # −1 is the last
        flat = x.index_select(axis, places.reshape(-1).long())
        return flat.reshape((*x.shape[:axis], *places.shape, *x.shape[axis + 1 :]))

    return pick


def build_pad(call: Call) -> Operation:
    """Constant, reflecting or repeating borders."""
    if call.opset >= INPUT_FORM_OF_PAD:
        widths, value = call.constant_integers(1), call.constant_number(2) or 0.0
    else:
        widths, value = call.integers("pads"), call.number("value", 0.0)
    rank = len(call.shape)
    axes = call.axes(3) or tuple(range(rank))
    if widths is None or len(widths) != 2 * len(axes):
        raise call.refuse("lacks its widths")
    before, after = [0] * rank, [0] * rank
    for i, axis in enumerate(axes):
        before[axis], after[axis] = widths[i], widths[i + len(axes)]
    modes = {"constant": "constant", "reflect": "reflect", "edge": "replicate"}
    mode = call.text("mode", "constant")
    if mode not in modes:
        raise call.refuse(f"pads in mode {mode!r}")
    if mode != "constant":
        if rank != 4 or any(before[:2] + after[:2]):
            raise call.refuse(f"pads more than height and width in mode {mode!r}")
        before, after = before[2:], after[2:]
    # torch counts from the last dimension, and has the two sides of each side by side.
    sides = [w for pair in zip(reversed(before), reversed(after), strict=True) for w in pair]
    if mode != "constant":
        return lambda x, *_: F.pad(x, sides, modes[mode])
    return lambda x, *_: F.pad(x, sides, value=value)


def build_shape(call: Call) -> Operation:
    """The shape of its input, at the batch size the file was written for."""
    shape = call.shape[call.integer("start", 0) : call.integer("end", len(call.shape))]
    return lambda _: torch.tensor(shape, dtype=torch.int64)


def build_constant(call: Call) -> Operation:
    """A value written into the node."""
    attributes = call.node.attributes
    for name in ("value", "value_float", "value_floats", "value_int", "value_ints"):
        if name in attributes:
            value = attributes[name]
            tensor = value if isinstance(value, torch.Tensor) else torch.tensor(value)
            return lambda: tensor
    raise call.refuse("holds a value of an unknown kind")


def build_constant_of_shape(call: Call) -> Operation:
    """One value, repeated."""
    shape = call.constant_integers(0) or ()
    value = call.node.attributes.get("value")
    filling = value if isinstance(value, torch.Tensor) else torch.zeros(1)
    return lambda _: filling.reshape(-1)[:1].expand(shape)


def build_identity(_call: Call) -> Operation:
    """Its input. Dropout does nothing at inference, whatever the file says of training."""
    return lambda x, *_: x


ENTRIES: dict[str, Callable[[Call], Operation]] = {
    "Concat": build_concat,
    "Constant": build_constant,
    "ConstantOfShape": build_constant_of_shape,
    "Dropout": build_identity,
    "Expand": build_expand,
    "Flatten": build_flatten,
    "Gather": build_gather,
    "Identity": build_identity,
    "Pad": build_pad,
    "Reshape": build_reshape,
    "Shape": build_shape,
    "Slice": build_slice,
    "Squeeze": build_squeeze,
    "Transpose": build_transpose,
    "Unsqueeze": build_unsqueeze,
}
