"""An ONNX file as plain values: nodes, constants, the one image input and the one output.

This file knows the file format and what a recogniser's graph must look like from outside. It knows
no operators. It reads bytes and nothing else: external data, which would make a model name other
files to open, is refused.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from serfiq_core.errors import OnnxImportError
from serfiq_core.types import ALIGNED_SIDE_PX

OLDEST_OPSET = 7
"""Opset 7 gave the arithmetic operators today's broadcasting; before it they mean other things."""

STANDARD_DOMAINS = ("", "ai.onnx")

Attribute = int | float | str | tuple[int, ...] | tuple[float, ...] | torch.Tensor
Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Node:
    """One operator call. An input named `""` was left out."""

    operator: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Attribute]

    def __str__(self) -> str:
        return f"{self.operator} (node {self.name!r})"


@dataclass(frozen=True, slots=True)
class Graph:
    """A graph with one image input and one output, its dead branches cut off.

    `constants`: name → tensor. `input_shape`: batch, 3, height, width; the batch is 1 where the
    file leaves it open.
    """

    nodes: tuple[Node, ...]
    constants: Mapping[str, torch.Tensor]
    input_name: str
    input_shape: Shape
    output_name: str
    opset: int


def model_bytes(source: Path | bytes) -> bytes:
    """The bytes of the model.

    Raises:
        OnnxImportError: the file cannot be read.
    """
    if isinstance(source, bytes):
        return source
    try:
        return source.read_bytes()
    except OSError as error:
        raise OnnxImportError(f"{source.name} cannot be read: {error.strerror}") from error


def parse_model(data: bytes) -> onnx.ModelProto:
    """The parsed protobuf.

    Raises:
        OnnxImportError: the bytes are no ONNX model, or end early.
    """
    try:
        model = onnx.load_model_from_string(data)
    except DecodeError as error:
        raise OnnxImportError("this is no ONNX model, or it ends early") from error
    if not model.graph.node:
        raise OnnxImportError("this is no ONNX model: it holds no operators")
    return model


def read_graph(data: bytes) -> Graph:
    """Read and check a model as far as that goes without knowing its operators.

    Raises:
        OnnxImportError: no ONNX model, an opset before 7, external data, or not exactly one
            B × 3 × H × W float input and one output.
    """
    model = parse_model(data)
    opset = _opset(model)
    constants = {tensor.name: _tensor(tensor) for tensor in model.graph.initializer}
    input_name, input_shape = _image_input(model.graph, constants)
    if len(model.graph.output) != 1:
        names = ", ".join(output.name for output in model.graph.output)
        raise OnnxImportError(f"the model must have one output, the embedding, not: {names}")
    output_name = model.graph.output[0].name
    nodes = live_nodes([_node(node) for node in model.graph.node], output_name)
    used = {name for node in nodes for name in node.inputs}
    constants = {name: tensor for name, tensor in constants.items() if name in used}
    return Graph(nodes, constants, input_name, input_shape, output_name, opset)


def live_nodes(nodes: Iterable[Node], output_name: str) -> tuple[Node, ...]:
    """The nodes that the output depends on, in the order given."""
    wanted = {output_name}
    live = []
    for node in reversed(list(nodes)):
        if wanted.intersection(node.outputs):
            live.append(node)
            wanted.update(node.inputs)
    return tuple(reversed(live))


def _opset(model: onnx.ModelProto) -> int:
    versions = [o.version for o in model.opset_import if o.domain in STANDARD_DOMAINS]
    if not versions:
        raise OnnxImportError("the model does not say which operator set it uses")
    opset = int(versions[0])
    if opset < OLDEST_OPSET:
        raise OnnxImportError(f"operator set {opset} is too old: {OLDEST_OPSET} or later is needed")
    return opset


def _image_input(
    graph: onnx.GraphProto, constants: Mapping[str, torch.Tensor]
) -> tuple[str, Shape]:
    # Before IR version 4 the weights are listed among the inputs as well.
    inputs = [value for value in graph.input if value.name not in constants]
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs) or "none"
        raise OnnxImportError(f"the model must have one input, the image, not: {names}")
    tensor_type = inputs[0].type.tensor_type
    if tensor_type.elem_type != onnx.TensorProto.FLOAT:
        raise OnnxImportError(f"the input {inputs[0].name!r} must be of 32-bit floats")
    dimensions = [d.dim_value if d.dim_value > 0 else None for d in tensor_type.shape.dim]
    if len(dimensions) != 4 or dimensions[1] not in (None, 3):
        shown = " × ".join("?" if d is None else str(d) for d in dimensions) or "of unknown shape"
        raise OnnxImportError(f"the input {inputs[0].name!r} is {shown}, not B × 3 × H × W")
    batch, _, height, width = dimensions
    return inputs[0].name, (batch or 1, 3, height or ALIGNED_SIDE_PX, width or ALIGNED_SIDE_PX)


def _node(node: onnx.NodeProto) -> Node:
    standard = node.domain in STANDARD_DOMAINS
    operator = node.op_type if standard else f"{node.domain}::{node.op_type}"
    name = node.name or (node.output[0] if node.output else "")
    attributes = {a.name: _attribute(a) for a in node.attribute} if standard else {}
    return Node(
        operator,
        name,
        tuple(node.input),
        tuple(node.output),
        {key: value for key, value in attributes.items() if value is not None},
    )


def _attribute(attribute: onnx.AttributeProto) -> Attribute | None:
    """None for kinds that no known operator has (sub-graphs, lists of tensors)."""
    kinds = onnx.AttributeProto
    if attribute.type == kinds.INT:
        return int(attribute.i)
    if attribute.type == kinds.FLOAT:
        return float(attribute.f)
    if attribute.type == kinds.STRING:
        return bytes(attribute.s).decode("utf-8", "replace")
    if attribute.type == kinds.INTS:
        return tuple(int(value) for value in attribute.ints)
    if attribute.type == kinds.FLOATS:
        return tuple(float(value) for value in attribute.floats)
    if attribute.type == kinds.TENSOR:
        return _tensor(attribute.t)
    return None


def _tensor(tensor: onnx.TensorProto) -> torch.Tensor:
    if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
        raise OnnxImportError(
            f"the tensor {tensor.name!r} lies in another file: save the model as one file"
        )
    try:
        array = np.array(onnx.numpy_helper.to_array(tensor))  # a copy: the original is read-only
        return torch.from_numpy(array)
    except (TypeError, ValueError, KeyError) as error:
        raise OnnxImportError(f"the tensor {tensor.name!r} cannot be read: {error}") from error
