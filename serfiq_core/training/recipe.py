"""How a student is taught. This file knows numbers only."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that a training depends on besides its lesson.

    `batch`: views a step. `others`: faces that their outputs are told from, besides one another.
    `contrast_scale`: by which cosines are multiplied before the softmax.
    `contrast`, `scatter`, `breadth`, `directions`: weights of these losses beside the fit.
    `least_breadth`, `least_directions`: how many features, and how many directions of the output,
    of equal share the scatter is to be like, at least. `averaging`: how much of the running average
    of the weights each step keeps; the average is the result. `bfloat16`: convolutions are computed
    in it, which takes a CPU that has instructions for it two thirds of the time; weights, head and
    losses stay in float32.
    """

    steps: int
    batch: int = 128
    others: int = 8192
    peak_learning_rate: float = 4e-3
    warm_up: float = 0.1
    weight_decay: float = 0.05
    gradient_norm: float = 5.0
    least_breadth: float = 256.0
    least_directions: float = 64.0
    contrast: float = 0.2
    contrast_scale: float = 20.0
    scatter: float = 0.2
    breadth: float = 0.2
    directions: float = 0.2
    averaging: float = 0.995
    bfloat16: bool = False
    seed: int = 0
