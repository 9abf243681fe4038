"""Small ONNX recognisers made by hand, for the tests of the importer."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

Array = npt.NDArray[Any]
Batch = int | str | None

IMAGE = "image"
EMBEDDING = "embedding"
MAP = (3, 8, 7)
"""Channels, height and width of the images of these models: no two alike, to show mix-ups."""


def node(
    operator: str, inputs: str, output: str, *, domain: str = "", **attributes: Any
) -> onnx.NodeProto:
    """A node; inputs separated by spaces, `-` for one left out."""
    names = ["" if name == "-" else name for name in inputs.split()]
    return helper.make_node(
        operator, names, [output], name=f"{output}_node", domain=domain, **attributes
    )


def model(
    nodes: Sequence[onnx.NodeProto],
    constants: Mapping[str, Array] | None = None,
    *,
    opset: int = 18,
    batch: Batch = 1,
    image: tuple[int | str | None, ...] = MAP,
    output: str = EMBEDDING,
) -> bytes:
    """A model from `image` to `embedding`."""
    graph = helper.make_graph(
        list(nodes),
        "recogniser",
        [helper.make_tensor_value_info(IMAGE, TensorProto.FLOAT, [batch, *image])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(a), n) for n, a in (constants or {}).items()],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    proto.ir_version = 8
    return bytes(proto.SerializeToString())


def randoms(*shape: int, seed: int = 0, positive: bool = False) -> Array:
    """Normal float32, or uniform from 0.5 to 1.5."""
    generator = np.random.default_rng(seed)
    values = generator.uniform(0.5, 1.5, shape) if positive else generator.normal(size=shape)
    return values.astype(np.float32)


def integers(*values: int) -> Array:
    """A vector of int64."""
    return np.array(values, dtype=np.int64)


def with_matrix(
    nodes: Sequence[onnx.NodeProto],
    constants: Mapping[str, Array] | None = None,
    *,
    opset: int = 18,
    batch: Batch = 1,
) -> bytes:
    """`nodes` from `image` to `y`, then Flatten and MatMul to four values."""
    size = batch if isinstance(batch, int) else 1
    cut = model(nodes, constants, opset=opset, batch=batch, output="y")
    session = onnxruntime.InferenceSession(cut, providers=["CPUExecutionProvider"])
    zeros = np.zeros((size, *MAP), dtype=np.float32)
    features = session.run(None, {IMAGE: zeros})[0].size // size
    tail = [node("Flatten", "y", "flat"), node("MatMul", "flat W", EMBEDDING)]
    weights = {"W": randoms(features, 4, seed=9)}
    return model([*nodes, *tail], {**(constants or {}), **weights}, opset=opset, batch=batch)
