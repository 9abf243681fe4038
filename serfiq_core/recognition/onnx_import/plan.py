"""From a graph to a list of steps: constants folded, shapes worked out, the batch size set free.

Every step is tried on two batch sizes, without computing any values, before it is accepted: its
output must have the batch in front and otherwise the same shape.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from serfiq_core.errors import OnnxImportError
from serfiq_core.recognition.onnx_import.graph import Graph, Node, Shape
from serfiq_core.recognition.onnx_import.operation import Call, Operation
from serfiq_core.recognition.onnx_import.operators import OPERATORS, refuse_unknown

OTHER_BATCH_SIZE = 1009
"""A prime larger than usual channel counts, so that no other dimension passes for the batch."""
FLOAT32_DIGITS = 7
"""Decimal places that a float32 in [0, 1] holds."""
MOST_ELEMENTS = 1 << 28
"""Of one tensor, and of all constants that are folded: 1 GiB of float32, more than any recogniser's
largest matrix. A few bytes of file can ask for terabytes."""


@dataclass(frozen=True, slots=True)
class Step:
    """One operator on activations. `inputs` are names of tensors; `""` was left out."""

    node: Node
    operation: Operation
    inputs: tuple[str, ...]
    output: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What is left to do per image.

    `shapes`: activation → its shape, at the batch size the file was written for.
    `dropout_rates`: output of a Dropout node → its rate, where that is above 0.
    """

    steps: tuple[Step, ...]
    constants: Mapping[str, torch.Tensor]
    shapes: Mapping[str, Shape]
    dropout_rates: Mapping[str, float]
    input_name: str
    output_name: str


@torch.no_grad()
def make_plan(graph: Graph) -> Plan:
    """Fold and lift a graph.

    Raises:
        UnsupportedOperatorError: operators, or forms of them, that are not known.
        OnnxImportError: a node that cannot be computed, or an output that no image reaches.
    """
    refuse_unknown(graph.nodes)
    planner = _Planner(graph)
    for node in graph.nodes:
        planner.add(node)
    if graph.output_name not in planner.probes:
        raise OnnxImportError("the output does not depend on the image")
    return Plan(
        steps=steps_between(planner.steps, graph.input_name, graph.output_name),
        constants=planner.constants,
        shapes={name: tuple(pair[0].shape) for name, pair in planner.probes.items()},
        dropout_rates=planner.dropout_rates,
        input_name=graph.input_name,
        output_name=graph.output_name,
    )


def steps_between(
    steps: tuple[Step, ...] | list[Step], input_name: str, output_name: str
) -> tuple[Step, ...]:
    """The steps that lead to an output, in order, going back no further than the input."""
    wanted = {output_name}
    chosen = []
    for step in reversed(steps):
        if step.output in wanted and step.output != input_name:
            chosen.append(step)
            wanted.update(step.inputs)
    return tuple(reversed(chosen))


@dataclass
class _Planner:
    """Walks the graph once; `probes` holds each activation without values, at both batch sizes."""

    graph: Graph
    constants: dict[str, torch.Tensor] = field(init=False)
    probes: dict[str, tuple[torch.Tensor, torch.Tensor]] = field(init=False)
    dropout_rates: dict[str, float] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    folded: int = 0

    def __post_init__(self) -> None:
        written, others = self.graph.input_shape, self.graph.input_shape[1:]
        probe = torch.empty(written, device="meta")
        other_probe = torch.empty((OTHER_BATCH_SIZE, *others), device="meta")
        self.constants = dict(self.graph.constants)
        self.probes = {self.graph.input_name: (probe, other_probe)}

    def add(self, node: Node) -> None:
        """Fold the node when it knows its inputs already, or make a step of it."""
        for name in node.inputs:
            if name and name not in self.constants and name not in self.probes:
                raise OnnxImportError(f"{node} uses {name!r}, which no earlier node gives")
        call = self._call(node)
        output = node.outputs[0]
        if not output:
            raise call.refuse("leaves out its first output, and the others are not known")
        try:
            operation = OPERATORS[node.operator](call)
            probe = operation(*self._probes_of(node, 0))
            if probe.numel() > MOST_ELEMENTS:
                raise call.refuse(f"makes {probe.numel()} values: too many")
            if node.operator == "Shape" or not any(name in self.probes for name in node.inputs):
                self.folded += probe.numel()
                if self.folded > MOST_ELEMENTS:
                    raise call.refuse("makes too many values together with earlier ones")
                self._fold(call, operation)
                return
            self.probes[output] = probe, operation(*self._probes_of(node, 1))
        # What a malformed node makes torch raise is not ours to enumerate further.
        except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
            raise OnnxImportError(f"{node} cannot be computed: {error}") from error
        self._check_batch_in_front(call, *self.probes[output])
        if node.operator == "Dropout" and 0.0 < (rate := _dropout_rate(call)) < 1.0:
            self.dropout_rates[output] = rate
        self.steps.append(Step(node, operation, node.inputs, output))

    def _call(self, node: Node) -> Call:
        shapes: list[Shape | None] = []
        for name in node.inputs:
            tensor = self.probes[name][0] if name in self.probes else self.constants.get(name)
            shapes.append(None if tensor is None else tuple(tensor.shape))
        constants = tuple(self.constants.get(name) for name in node.inputs)
        return Call(node, self.graph.opset, constants, tuple(shapes))

    def _fold(self, call: Call, operation: Operation) -> None:
        values = operation(*[self.constants.get(name) for name in call.node.inputs])
        self.constants[call.node.outputs[0]] = values.contiguous()

    def _probes_of(self, node: Node, batch: int) -> list[torch.Tensor | None]:
        """All inputs without values, at one of the two batch sizes."""
        arguments: list[torch.Tensor | None] = []
        for name in node.inputs:
            tensor = self.probes[name][batch] if name in self.probes else self.constants.get(name)
            arguments.append(None if tensor is None else tensor.to("meta"))
        return arguments

    def _check_batch_in_front(self, call: Call, one: torch.Tensor, other: torch.Tensor) -> None:
        batch = self.graph.input_shape[0]
        in_front = one.shape[:1] == (batch,) and other.shape[:1] == (OTHER_BATCH_SIZE,)
        if not in_front or one.shape[1:] != other.shape[1:]:
            raise call.refuse("moves the batch dimension, or lets the images of a batch meet")


def _dropout_rate(call: Call) -> float:
    """An attribute in older files, an input in newer ones; 0.5 is the format's default."""
    rate = call.constant_number(1) if call.given(1) else call.number("ratio", 0.5)
    # The file holds a float32: 0.4 would be read as 0.4000000059604645.
    return round(rate or 0.0, FLOAT32_DIGITS)
