"""Random small networks, imported, compute what onnxruntime computes; damaged files do no harm."""

import contextlib
from typing import Any

import onnx
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from serfiq_core.errors import OnnxImportError
from serfiq_core.recognition.onnx_import import (
    import_onnx,
    random_inputs,
    verify_against_onnxruntime,
)
from tests.unit.onnx_graphs import Array, integers, node, randoms, with_matrix

LARGEST_OUTPUT = 50
"""Seen: float32 rounds to 1e-6 of the largest output at most."""

Layers = tuple[list[onnx.NodeProto], dict[str, Array]]

pads = st.lists(st.integers(0, 2), min_size=4, max_size=4)
pairs = st.lists(st.integers(1, 2), min_size=2, max_size=2)
layer_kinds = st.sampled_from(["conv", "depthwise", "norm", "prelu", "clip", "pool", "shortcut"])


@st.composite
def small_networks(draw: st.DrawFn) -> Layers:
    """Up to six layers from `image` to `y`; maps shrink by little, and are padded by at least 1."""
    nodes: list[onnx.NodeProto] = []
    constants: dict[str, Array] = {}
    current, channels = "image", 3
    for index, kind in enumerate(draw(st.lists(layer_kinds, min_size=1, max_size=6))):
        output, weights = f"t{index}", f"w{index}"
        inputs, attributes = f"{current} {weights}", dict[str, Any]()
        match kind:
            case "conv" | "depthwise":
                out = channels if kind == "depthwise" else draw(st.integers(1, 6))
                group = channels if kind == "depthwise" else 1
                kernel = draw(pairs)
                constants[weights] = randoms(out, channels // group, *kernel, seed=index) / 2
                attributes = {
                    "group": group,
                    "pads": [p + 1 for p in draw(pads)],
                    "strides": draw(pairs),
                    "dilations": draw(pairs),
                }
                operator, channels = "Conv", out
            case "norm":
                for name, positive in (("s", False), ("b", False), ("m", False), ("v", True)):
                    constants[weights + name] = randoms(channels, seed=index, positive=positive)
                operator, inputs = (
                    "BatchNormalization",
                    " ".join([current, *(weights + name for name in "sbmv")]),
                )
            case "prelu":
                shape = draw(st.sampled_from([(1,), (channels, 1, 1), (1, channels, 1, 1)]))
                constants[weights] = randoms(*shape, seed=index)
                operator = "PRelu"
            case "clip":
                constants[weights] = randoms(seed=index)
                operator = "Clip"
            case "pool":
                operator, inputs = draw(st.sampled_from(["AveragePool", "MaxPool"])), current
                attributes = {
                    "kernel_shape": [2, 2],
                    "pads": draw(pads.map(lambda p: [min(x, 1) for x in p])),
                }
                if operator == "AveragePool":
                    attributes["count_include_pad"] = draw(st.integers(0, 1))
            case _:
                nodes.append(node("Sigmoid", current, f"s{index}"))
                operator, inputs = "Add", f"{current} s{index}"
        nodes.append(node(operator, inputs, output, **attributes))
        current = output
    nodes.append(node("Identity", current, "y"))
    return nodes, constants


@settings(max_examples=60, deadline=None)
@given(small_networks(), st.sampled_from([1, 2, "N"]))
def test_imported_network_agrees_with_onnxruntime(layers: Layers, batch: int | str) -> None:
    source = with_matrix(*layers, batch=batch)
    network = import_onnx(source)
    inputs = random_inputs(network)
    with torch.no_grad():
        outputs = network.head.embed(network.backbone(inputs))
    # Layers multiply up, and the limit is absolute: of outputs of 150 rounding alone is 1e-4.
    assume(outputs.abs().max() < LARGEST_OUTPUT)
    verify_against_onnxruntime(source, network, inputs)


INTACT = with_matrix(
    [
        node("Conv", "image w", "c", pads=[1, 1, 1, 1], strides=[1, 2]),
        node("Clip", "c low", "r"),
        node("AveragePool", "r", "p", kernel_shape=[2, 2], pads=[1, 0, 0, 1]),
        node("Dropout", "p rate", "d"),
        node("Shape", "d", "s"),
        node("Gather", "s zero", "b"),
        node("Concat", "b rest", "t", axis=0),
        node("Reshape", "d t", "y"),
    ],
    {
        "w": randoms(1, 3, 1, 1),
        "low": randoms(),
        "rate": randoms(positive=True) / 2,
        "zero": integers(0),
        "rest": integers(-1),
    },
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, len(INTACT) - 1), st.integers(0, 255)), min_size=1, max_size=4
    )
)
def test_damaged_file_is_imported_or_refused_but_never_breaks_the_importer(
    changes: list[tuple[int, int]],
) -> None:
    damaged = bytearray(INTACT)
    for position, value in changes:
        damaged[position] = value
    with contextlib.suppress(OnnxImportError):
        import_onnx(bytes(damaged))
