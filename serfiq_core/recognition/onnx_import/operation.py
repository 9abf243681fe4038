"""What an operator's table entry is given, and what it makes of it.

An entry is a function `build(call) → operation`: it looks at the node's attributes, its constant
inputs and the shapes of its activations, once, and returns a function of tensors. This file knows
no particular operator.

Activations always carry the batch as their first dimension. `call.shapes` shows them at the batch
size the file was written for; an operation must work for any.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from serfiq_core.errors import UnsupportedOperatorError
from serfiq_core.recognition.onnx_import.graph import Node, Shape

Operation = Callable[..., torch.Tensor]


@dataclass(frozen=True, slots=True)
class Call:
    """One node, with what is known of its inputs before any image is seen.

    `constants`: per input, its tensor, or None for an activation or an input left out.
    `shapes`: per input, its shape, or None for an input left out.
    """

    node: Node
    opset: int
    constants: tuple[torch.Tensor | None, ...]
    shapes: tuple[Shape | None, ...]

    @property
    def lifted(self) -> bool:
        """Whether the first input is an activation, whose first dimension is the batch."""
        return self.constants[0] is None

    @property
    def shape(self) -> Shape:
        """Shape of the first input."""
        shape = self.shapes[0]
        if shape is None:
            raise self.refuse("lacks its first input")
        return shape

    def given(self, position: int) -> bool:
        """Whether this optional input is there."""
        return position < len(self.shapes) and self.shapes[position] is not None

    def constant(self, position: int) -> torch.Tensor | None:
        """A constant input, or None when it was left out.

        Raises:
            UnsupportedOperatorError: it is computed from the image.
        """
        if not self.given(position):
            return None
        tensor = self.constants[position]
        if tensor is None:
            raise self.refuse(f"has an input {position} that depends on the image")
        return tensor

    def constant_integers(self, position: int) -> tuple[int, ...] | None:
        """A constant input as integers, or None when it was left out."""
        tensor = self.constant(position)
        return None if tensor is None else tuple(int(v) for v in tensor.reshape(-1).tolist())

    def constant_number(self, position: int) -> float | None:
        """A constant input of one element, or None when it was left out."""
        tensor = self.constant(position)
        if tensor is None:
            return None
        if tensor.numel() != 1:
            raise self.refuse(f"has {tensor.numel()} values as input {position}, not one")
        return float(tensor.item())

    def integer(self, name: str, default: int) -> int:
        """An integer attribute."""
        value = self.node.attributes.get(name, default)
        return value if isinstance(value, int) else default

    def number(self, name: str, default: float) -> float:
        """A float attribute."""
        value = self.node.attributes.get(name, default)
        return value if isinstance(value, float) else default

    def text(self, name: str, default: str) -> str:
        """A string attribute."""
        value = self.node.attributes.get(name, default)
        return value if isinstance(value, str) else default

    def integers(self, name: str) -> tuple[int, ...] | None:
        """A list of integers, or None when it was left out."""
        value = self.node.attributes.get(name)
        return tuple(int(v) for v in value) if isinstance(value, tuple) else None

    def axes(self, position: int) -> tuple[int, ...] | None:
        """Axes from the attribute (older opsets) or from an input, not negative; or None."""
        axes = self.integers("axes")
        if axes is None:
            axes = self.constant_integers(position)
        return None if axes is None else tuple(self.axis(a, len(self.shape)) for a in axes)

    def axis(self, axis: int, rank: int) -> int:
        """An axis counted from the front.

        Raises:
            UnsupportedOperatorError: there is no such axis.
        """
        if not -rank <= axis < rank:
            raise self.refuse(f"has axis {axis} of {rank}")
        return axis % rank

    def refuse(self, why: str) -> UnsupportedOperatorError:
        """The error for a form of an operator that is not known."""
        return UnsupportedOperatorError(f"{self.node} {why}")
