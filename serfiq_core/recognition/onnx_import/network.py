"""A torch module that runs the steps between two tensors of a plan."""

import torch
from torch import nn

from serfiq_core.recognition.onnx_import.plan import Plan, Step, steps_between


class StepNetwork(nn.Module):
    """The part of a graph that leads from one tensor to another.

    Takes the input tensor for any batch size, flattened or not, and gives the output flattened:
    `B × …` → `B × N`. Weights are buffers, so that `.to(device)` moves them. Nothing is changed in
    place, so it can be differentiated with `torch.func`.

    Args:
        plan: the whole graph.
        input_name: an activation. The steps must need no other.
        output_name: an activation behind it.
    """

    def __init__(self, plan: Plan, input_name: str, output_name: str) -> None:
        super().__init__()
        self.input_name = input_name
        self.output_name = output_name
        self.input_shape = plan.shapes[input_name][1:]
        self.steps = steps_between(plan.steps, input_name, output_name)
        self.last_uses = _last_uses(self.steps, output_name)
        self.buffer_names: dict[str, str] = {}
        for step in self.steps:
            for name in step.inputs:
                if name in plan.constants and name not in self.buffer_names:
                    self.buffer_names[name] = f"constant_{len(self.buffer_names)}"
                    self.register_buffer(self.buffer_names[name], plan.constants[name])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`B × …` → `B × N`."""
        values = {self.input_name: x.reshape(-1, *self.input_shape)}
        for step, finished in zip(self.steps, self.last_uses, strict=True):
            arguments = [self._argument(name, values) for name in step.inputs]
            values[step.output] = step.operation(*arguments)
            for name in finished:
                del values[name]
        return values[self.output_name].flatten(1)

    def _argument(self, name: str, values: dict[str, torch.Tensor]) -> torch.Tensor | None:
        if name in self.buffer_names:
            return self.get_buffer(self.buffer_names[name])
        return values[name] if name else None


def _last_uses(steps: tuple[Step, ...], output_name: str) -> list[tuple[str, ...]]:
    """Per step, the activations no later step needs: kept, a batch would fill the memory."""
    produced = {step.output for step in steps}
    seen = {output_name}
    finished: list[tuple[str, ...]] = []
    for step in reversed(steps):
        ends = {name for name in step.inputs if name in produced} - seen
        seen |= ends
        finished.append(tuple(ends))
    return finished[::-1]
