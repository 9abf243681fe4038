"""Every operator of the importer's table, in its forms, against onnxruntime."""

from dataclasses import dataclass, field

import numpy as np
import onnx
import pytest

from serfiq_core.recognition.onnx_import import (
    import_onnx,
    random_inputs,
    verify_against_onnxruntime,
)
from serfiq_core.recognition.onnx_import.operators import OPERATORS
from tests.unit.onnx_graphs import Array, integers, node, randoms, with_matrix


@dataclass(frozen=True)
class Case:
    nodes: list[onnx.NodeProto]
    constants: dict[str, Array] = field(default_factory=dict)
    opset: int = 18


def one(operator: str, *, opset: int = 18, constants: dict[str, Array] | None = None, **attributes):
    """One operator on the image and constants, in the order given."""
    constants = constants or {}
    names = " ".join(["image", *constants])
    return Case([node(operator, names, "y", **attributes)], constants, opset)


def scalar(value: float) -> Array:
    return np.array(value, dtype=np.float32)


def statistics(channels: int) -> dict[str, Array]:
    return {
        "scale": randoms(channels, seed=1),
        "shift": randoms(channels, seed=2),
        "mean": randoms(channels, seed=3),
        "variance": randoms(channels, seed=4, positive=True),
    }


def conv(out: int, group: int, kernel: tuple[int, int], bias: bool = True, **attributes):
    constants = {"w": randoms(out, 3 // group, *kernel)}
    if bias:
        constants["b"] = randoms(out, seed=1)
    return one("Conv", constants=constants, group=group, **attributes)


def pool(operator: str, opset: int = 18, **attributes):
    return one(operator, opset=opset, **attributes)


def reduce(operator: str, opset: int, axes: tuple[int, ...], as_input: bool, keepdims: int = 1):
    if as_input:
        return one(operator, opset=opset, constants={"a": integers(*axes)}, keepdims=keepdims)
    return one(operator, opset=opset, axes=axes, keepdims=keepdims)


LAST_WINDOW_IN_THE_BORDER = {
    "kernel_shape": [2, 2],
    "strides": [2, 2],
    "pads": [1, 1, 1, 1],
    "ceil_mode": 1,
}
"""Rounding up would add a window that begins behind the last column: it is left out."""

FLAT = node("Flatten", "image", "flat_image")

CASES = {
    # convolution
    "conv": conv(5, 1, (3, 3), pads=[1, 1, 1, 1]),
    "conv-no-bias": conv(5, 1, (3, 2), bias=False),
    "conv-strides-dilations": conv(4, 1, (3, 2), strides=[2, 1], dilations=[2, 3]),
    "conv-depthwise": conv(6, 3, (3, 3), pads=[1, 1, 1, 1]),
    "conv-odd-pads": conv(4, 1, (3, 3), pads=[0, 1, 2, 3], strides=[1, 2]),
    "conv-same-upper": conv(4, 1, (4, 4), auto_pad="SAME_UPPER", strides=[2, 3]),
    "conv-same-lower": conv(4, 1, (4, 2), auto_pad="SAME_LOWER", strides=[3, 2]),
    "conv-valid": conv(4, 1, (3, 3), auto_pad="VALID"),
    "conv-whole-map": conv(4, 1, (8, 7)),
    "conv-whole-map-depthwise": conv(3, 3, (8, 7)),
    "conv-whole-map-depthwise-no-bias": conv(3, 3, (8, 7), bias=False),
    "conv-whole-map-grouped": conv(6, 3, (8, 7)),
    # layers
    "batch-norm": one("BatchNormalization", constants=statistics(3), epsilon=0.01),
    "batch-norm-9": one("BatchNormalization", constants=statistics(3), opset=9),
    "batch-norm-flat": Case(
        [FLAT, node("BatchNormalization", "flat_image scale shift mean variance", "y")],
        statistics(168),
    ),
    "gemm": Case(
        [FLAT, node("Gemm", "flat_image w c", "y", alpha=0.5, beta=2.0)],
        {"w": randoms(168, 5), "c": randoms(5, seed=1)},
    ),
    "gemm-transposed": Case(
        [FLAT, node("Gemm", "flat_image w c", "y", transB=1)],
        {"w": randoms(5, 168), "c": randoms(1, 5, seed=1)},
    ),
    "gemm-scalar-c": Case(
        [FLAT, node("Gemm", "flat_image w c", "y", transB=1)],
        {"w": randoms(5, 168), "c": scalar(0.3)},
    ),
    "gemm-without-c": Case([FLAT, node("Gemm", "flat_image w", "y")], {"w": randoms(168, 5)}),
    "gemm-constant-transposed": Case(
        [node("Gemm", "p q", "w", transA=1), FLAT, node("MatMul", "flat_image w", "y")],
        {"p": randoms(2, 168), "q": randoms(2, 5, seed=1)},
    ),
    "matmul": Case([FLAT, node("MatMul", "flat_image w", "y")], {"w": randoms(168, 5)}),
    "matmul-4d": one("MatMul", constants={"w": randoms(7, 5)}),
    "matmul-from-the-left": Case([node("MatMul", "w image", "y")], {"w": randoms(5, 8)}),
    # pooling
    "global-average-pool": pool("GlobalAveragePool"),
    "global-max-pool": pool("GlobalMaxPool"),
    "average-pool": pool("AveragePool", kernel_shape=[3, 2], strides=[2, 2]),
    "average-pool-pads": pool("AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
    "average-pool-count": pool(
        "AveragePool", kernel_shape=[3, 3], pads=[1, 0, 2, 1], count_include_pad=1
    ),
    "average-pool-odd-pads": pool(
        "AveragePool", kernel_shape=[3, 3], pads=[0, 1, 2, 2], strides=[2, 2]
    ),
    "average-pool-ceil": pool("AveragePool", kernel_shape=[3, 3], strides=[3, 2], ceil_mode=1),
    "average-pool-ceil-pads": pool(
        "AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2], ceil_mode=1
    ),
    "average-pool-ceil-count": pool(
        "AveragePool",
        19,
        kernel_shape=[3, 3],
        pads=[1, 1, 1, 1],
        strides=[2, 2],
        ceil_mode=1,
        count_include_pad=1,
    ),
    "average-pool-ceil-left-out": Case(
        [
            node("AveragePool", "image", "p", **LAST_WINDOW_IN_THE_BORDER),
            node("GlobalAveragePool", "p", "y"),
        ]
    ),
    "max-pool-ceil-left-out": Case(
        [
            node("MaxPool", "image", "p", **LAST_WINDOW_IN_THE_BORDER),
            node("GlobalAveragePool", "p", "y"),
        ]
    ),
    "average-pool-same": pool(
        "AveragePool", kernel_shape=[3, 2], auto_pad="SAME_UPPER", strides=[2, 2]
    ),
    "average-pool-11": pool("AveragePool", 11, kernel_shape=[2, 2], pads=[1, 0, 0, 1]),
    "max-pool": pool("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
    "max-pool-odd-pads": pool("MaxPool", kernel_shape=[3, 3], pads=[2, 0, 1, 1]),
    "max-pool-ceil": pool("MaxPool", kernel_shape=[2, 2], strides=[3, 2], ceil_mode=1),
    "max-pool-ceil-pads": pool(
        "MaxPool", kernel_shape=[3, 3], strides=[2, 3], pads=[1, 1, 1, 1], ceil_mode=1
    ),
    "max-pool-dilations": pool("MaxPool", kernel_shape=[2, 3], dilations=[3, 2]),
    "max-pool-same": pool("MaxPool", kernel_shape=[3, 3], auto_pad="SAME_LOWER", strides=[2, 2]),
    # activations
    "relu": one("Relu"),
    "leaky-relu": one("LeakyRelu", alpha=0.2),
    "leaky-relu-default": one("LeakyRelu"),
    "elu": one("Elu", alpha=0.7),
    "sigmoid": one("Sigmoid"),
    "tanh": one("Tanh"),
    "hard-sigmoid": one("HardSigmoid", alpha=0.3, beta=0.4),
    "hard-sigmoid-default": one("HardSigmoid"),
    "hard-swish": one("HardSwish"),
    "prelu-channels": one("PRelu", constants={"s": randoms(3, 1, 1)}),
    "prelu-channels-4d": one("PRelu", constants={"s": randoms(1, 3, 1, 1)}),
    "prelu-one": one("PRelu", constants={"s": randoms(1)}),
    "prelu-scalar": one("PRelu", constants={"s": randoms()}),
    "prelu-width": one("PRelu", constants={"s": randoms(7)}),
    "prelu-all": one("PRelu", constants={"s": randoms(3, 8, 7)}),
    "prelu-flat": Case([FLAT, node("PRelu", "flat_image s", "y")], {"s": randoms(168)}),
    "clip": one("Clip", constants={"low": scalar(-0.2), "high": scalar(0.6)}),
    "clip-high-only": Case([node("Clip", "image - high", "y")], {"high": scalar(0.1)}),
    "clip-low-only": one("Clip", constants={"low": scalar(0.1)}),
    "clip-nothing": one("Clip"),
    "clip-attributes": one("Clip", opset=9, min=-0.2, max=0.6),
    "clip-attribute-min": one("Clip", opset=9, min=0.0),
    # arithmetic
    "add": one("Add", constants={"c": randoms(3, 1, 1)}),
    "sub": one("Sub", constants={"c": randoms(1, 3, 8, 7)}),
    "sub-from": Case([node("Sub", "c image", "y")], {"c": randoms(7)}),
    "mul": one("Mul", constants={"c": randoms(8, 1)}),
    "div": one("Div", constants={"c": randoms(3, 1, 1, positive=True)}),
    "pow-sqrt": Case(
        [node("Pow", "image two", "p"), node("Add", "p c", "q"), node("Sqrt", "q", "y")],
        {"two": scalar(2.0), "c": scalar(0.5)},
    ),
    "pow-integer": one("Pow", constants={"three": integers(3)}),
    "neg-abs-exp": Case(
        [node("Abs", "image", "a"), node("Neg", "a", "n"), node("Exp", "n", "y")],
    ),
    "reciprocal": Case([node("Exp", "image", "e"), node("Reciprocal", "e", "y")]),
    "max-min": Case(
        [node("Max", "image a b", "m"), node("Min", "m b", "y")],
        {"a": randoms(7), "b": randoms(8, 1)},
    ),
    "two-activations": Case(
        [
            node("GlobalAveragePool", "image", "g"),
            node("Sigmoid", "g", "s"),
            node("Mul", "image s", "y"),
        ]
    ),
    "where-equal": Case(
        [node("Equal", "a b", "e"), node("Where", "e image c", "y")],
        {"a": integers(1, 2, 3, 4, 5, 6, 7), "b": integers(3), "c": randoms(7)},
    ),
    # reductions
    "reduce-mean-attribute": reduce("ReduceMean", 13, (2, 3), as_input=False),
    "reduce-mean-input": reduce("ReduceMean", 18, (-1, 2), as_input=True, keepdims=0),
    "reduce-mean-channels": reduce("ReduceMean", 11, (-3,), as_input=False, keepdims=0),
    "reduce-sum-attribute": reduce("ReduceSum", 11, (1,), as_input=False),
    "reduce-sum-input": reduce("ReduceSum", 13, (2,), as_input=True, keepdims=0),
    "reduce-sum-nothing": one("ReduceSum", noop_with_empty_axes=1),
    "reduce-l2": reduce("ReduceL2", 18, (1,), as_input=True),
    "reduce-max": reduce("ReduceMax", 13, (3,), as_input=False),
    "reduce-sum-square": reduce("ReduceSumSquare", 18, (1, 2), as_input=True),
    "lp-normalization": one("LpNormalization", axis=1),
    "lp-normalization-1": one("LpNormalization", axis=-1, p=1),
    # shapes
    "flatten-2": Case(
        [node("GlobalAveragePool", "image", "g"), node("Flatten", "g", "y", axis=-3)],
    ),
    "reshape-zero": one("Reshape", constants={"t": integers(0, 7, -1)}),
    "reshape-batch": one("Reshape", constants={"t": integers(1, 3, 56)}),
    "reshape-rest": one("Reshape", constants={"t": integers(-1, 168)}),
    "squeeze-13": Case(
        [node("GlobalAveragePool", "image", "g"), node("Squeeze", "g a", "y")],
        {"a": integers(2, -1)},
    ),
    "squeeze-11": Case(
        [node("GlobalAveragePool", "image", "g"), node("Squeeze", "g", "y", axes=[3])], opset=11
    ),
    "unsqueeze-13": Case([FLAT, node("Unsqueeze", "flat_image a", "y")], {"a": integers(-1, 1)}),
    "unsqueeze-11": Case([FLAT, node("Unsqueeze", "flat_image", "y", axes=[2, 3])], opset=11),
    "transpose": one("Transpose", perm=[0, 2, 3, 1]),
    "expand": Case(
        [node("GlobalAveragePool", "image", "g"), node("Expand", "g t", "y")],
        {"t": integers(1, 3, 2, 4)},
    ),
    "concat": Case([node("Neg", "image", "n"), node("Concat", "image n image", "y", axis=-2)]),
    "slice": one(
        "Slice", constants={"s": integers(1, -5), "e": integers(3, 99), "a": integers(1, 3)}
    ),
    "slice-steps": one(
        "Slice",
        constants={"s": integers(0), "e": integers(8), "a": integers(2), "d": integers(3)},
    ),
    "slice-9": one("Slice", opset=9, starts=[0, 2], ends=[1, -1], axes=[2, 3]),
    "gather": one("Gather", constants={"i": integers(2, -2)}, axis=1),
    "gather-one": one("Gather", constants={"i": np.array(1)}, axis=3),
    "pad": one("Pad", constants={"p": integers(0, 1, 2, 0, 0, 0, 1, 3), "v": scalar(0.5)}),
    "pad-reflect": one("Pad", constants={"p": integers(0, 0, 1, 2, 0, 0, 3, 0)}, mode="reflect"),
    "pad-edge": one("Pad", constants={"p": integers(0, 0, 1, 2, 0, 0, 3, 0)}, mode="edge"),
    "pad-axes": Case(
        [node("Pad", "image p - a", "y")], {"p": integers(1, 2, 3, 4), "a": integers(3, -2)}
    ),
    "pad-9": one("Pad", opset=9, pads=[0, 0, 1, 2, 0, 0, 3, 4], value=1.5),
    "identity": one("Identity"),
    "dropout-11": one("Dropout", opset=11, ratio=0.3),
    "dropout": one("Dropout", constants={"r": scalar(0.3)}),
    "cast-constants": Case(
        [node("Cast", "half", "c", to=1), node("Mul", "image c", "y")],
        {"half": randoms(7).astype(np.float16)},
    ),
    "constant-attributes": Case(
        [
            node("Constant", "", "f", value_float=0.5),
            node("Constant", "", "g", value_floats=[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]),
            node("Constant", "", "i", value_ints=[1, 168]),
            node("Mul", "image f", "p"),
            node("Mul", "p g", "q"),
            node("Reshape", "q i", "y"),
        ]
    ),
    "shape-computation": Case(
        [
            node("Shape", "image", "s"),
            node("Gather", "s zero", "b"),
            node("Unsqueeze", "b axis", "u"),
            node("Slice", "s three four", "w"),
            node("Mul", "w one", "w1"),
            node("Concat", "u rest w1", "t", axis=0),
            node("Reshape", "image t", "y"),
        ],
        {
            "zero": np.array(0),
            "axis": integers(0),
            "three": integers(3),
            "four": integers(4),
            "one": integers(1),
            "rest": integers(-1),
        },
    ),
    "shape-division": Case(
        [
            node("Shape", "image", "s", start=2),
            node("Div", "s d", "half"),
            node("ConstantOfShape", "none", "z", value=onnx.numpy_helper.from_array(integers(0))),
            node("Concat", "z half", "t", axis=0),
            node("Slice", "image z2 half axes", "y"),
        ],
        {"d": integers(-3, 3), "none": integers(1), "z2": integers(0, 0), "axes": integers(2, 3)},
    ),
}


@pytest.mark.parametrize("batch", [1, "N"], ids=["fixed", "dynamic"])
@pytest.mark.parametrize("name", CASES)
def test_operator_agrees_with_onnxruntime(name: str, batch: int | str) -> None:
    case = CASES[name]
    source = with_matrix(case.nodes, case.constants, opset=case.opset, batch=batch)
    network = import_onnx(source)
    verify_against_onnxruntime(source, network, random_inputs(network))


def test_every_operator_of_the_table_is_compared() -> None:
    compared = {step.op_type for case in CASES.values() for step in case.nodes}
    assert set(OPERATORS) <= compared
