"""Where dropout is applied: the site, and the affine tail behind it.

docs/method.md, "The dropout site". The tail is found by walking back from the output for as long
as every operator is affine in one activation and nothing else reads that activation.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from serfiq_core.errors import OnnxImportError
from serfiq_core.recognition.onnx_import.network import StepNetwork
from serfiq_core.recognition.onnx_import.plan import Plan, Step, steps_between

WEIGHT_LAYERS = frozenset({"Conv", "Gemm", "MatMul"})
SHAPE_ONLY = frozenset(
    {"Dropout", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}
)
AFFINE_IN_FIRST = SHAPE_ONLY | {
    "AveragePool",
    "BatchNormalization",
    "Conv",
    "Div",
    "Expand",
    "Gather",
    "GlobalAveragePool",
    "Neg",
    "Pad",
    "ReduceMean",
    "ReduceSum",
    "Slice",
}
AFFINE_IN_ANY = frozenset({"Add", "Gemm", "MatMul", "Mul", "Sub"})
"""Affine in any one input while the others are constants."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where the graph is cut.

    `name`: the tensor dropout applies to. `cut`: the same values as a `C × H × W` map, where only
    reshaping and reordering lies between the two; otherwise the same tensor. `map_shape`: of the
    cut, when it is a map. `embedding`: the tensor the head ends in. `unit_output`: whether the
    graph goes on to divide that by its norm.
    """

    name: str
    cut: str
    map_shape: tuple[int, int, int] | None
    dropout_rate: float | None
    embedding: str
    unit_output: bool


def find_site(plan: Plan, name: str | None) -> Site:
    """Find the site, or check the one asked for.

    Raises:
        OnnxImportError: nothing affine with weights ends in the output, or `name` is no tensor of
            that tail; lists those that are.
    """
    embedding = _before_normalisation(plan)
    tail = _affine_tail(plan, embedding or plan.output_name)
    weights = [i for i, step in enumerate(tail) if step.node.operator in WEIGHT_LAYERS]
    if not weights:
        raise OnnxImportError(
            "the graph does not end in a Conv, Gemm or MatMul followed by affine operators only, "
            "so there is no place where dropout could be applied"
        )
    points = [_activation(plan, step) for step in tail[: weights[-1] + 1]]
    if name is None:
        trained = [i for i in range(weights[-1]) if tail[i].output in plan.dropout_rates]
        index = (trained or weights)[0]
    elif name in points:
        index = points.index(name)
    else:
        listed = ", ".join(points)
        raise OnnxImportError(f"{name!r} cannot be the dropout site; these can: {listed}")
    cut = _map_behind(plan, tail, points, index)
    shape = plan.shapes[points[cut]][1:]
    spatial = len(shape) == 3 and shape[1] * shape[2] > 1
    return Site(
        name=points[index],
        cut=points[cut],
        map_shape=(shape[0], shape[1], shape[2]) if spatial else None,
        dropout_rate=_dropout_rate(plan, tail, index),
        embedding=embedding or plan.output_name,
        unit_output=embedding is not None,
    )


def _activation(plan: Plan, step: Step) -> str:
    return next(name for name in step.inputs if name in plan.shapes)


def _affine_tail(plan: Plan, output: str) -> list[Step]:
    """The longest unbroken run of affine steps that ends in `output`, in order.

    A step with two activations ends it. So no tensor inside is read by anyone else: every step of
    a plan leads to the output, and another reader's way there would have to join the run.
    """
    producers = {step.output: step for step in plan.steps}
    tail: list[Step] = []
    while (step := producers.get(output)) is not None and _is_affine(plan, step):
        tail.append(step)
        output = _activation(plan, step)
    return tail[::-1]


def _is_affine(plan: Plan, step: Step) -> bool:
    activations = [i for i, name in enumerate(step.inputs) if name in plan.shapes]
    if len(activations) != 1:
        return False
    if step.node.operator in AFFINE_IN_ANY:
        return True
    return activations == [0] and step.node.operator in AFFINE_IN_FIRST


def _map_behind(plan: Plan, tail: list[Step], points: list[str], index: int) -> int:
    """Walk back over what only reshapes, to the earliest four-dimensional tensor.

    A dropout mask does not care in which order the values lie, and a map can be drawn.
    """
    cut = index
    while index > 0 and tail[index - 1].node.operator in SHAPE_ONLY:
        index -= 1
        if len(plan.shapes[points[index]]) == 4:
            cut = index
    return cut


def _dropout_rate(plan: Plan, tail: list[Step], index: int) -> float | None:
    """The rate of a Dropout node that nothing but reshaping parts from the site."""
    first, last = index, index
    while first > 0 and tail[first - 1].node.operator in SHAPE_ONLY:
        first -= 1
    while tail[last].node.operator in SHAPE_ONLY:
        last += 1
    rates = [plan.dropout_rates.get(step.output) for step in tail[first:last]]
    return next((rate for rate in rates if rate is not None), None)


def _before_normalisation(plan: Plan) -> str | None:
    """The tensor that the end of the graph divides by its L2 norm, or None.

    Exporters write this division in many ways, so it is known by what it does to random vectors,
    not by its operators.
    """
    producers = {step.output: step for step in plan.steps}
    tensor = plan.output_name
    while (step := producers.get(tensor)) and step.node.operator not in WEIGHT_LAYERS:
        tensor = _activation(plan, step)
        if _normalises(plan, tensor):
            return tensor
    return None


@torch.no_grad()
def _normalises(plan: Plan, tensor: str) -> bool:
    steps = steps_between(plan.steps, tensor, plan.output_name)
    produced = {step.output for step in steps}
    read = {name for step in steps for name in step.inputs if name in plan.shapes}
    if read - produced != {tensor}:
        return False
    generator = torch.Generator().manual_seed(0)
    vectors = 3.0 * torch.randn(4, *plan.shapes[tensor][1:], generator=generator)
    result = StepNetwork(plan, tensor, plan.output_name)(vectors)
    expected = F.normalize(vectors.flatten(1))
    return result.shape == expected.shape and torch.allclose(result, expected, atol=1e-5)
