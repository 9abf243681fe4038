"""Boxes as arrays: overlap, suppression of the weaker, regression, squares.

A box is left, top, right, bottom; right and bottom are where the next pixel would begin. All arrays
are float32. This file knows no networks and no images.
"""

from typing import Literal

import numpy as np
import numpy.typing as npt

Boxes = npt.NDArray[np.float32]
"""`N × 4`."""

Scores = npt.NDArray[np.float32]
"""`N`."""

Measure = Literal["union", "smaller"]
"""What the shared area of two boxes is divided by: their union, or the smaller of the two."""


def areas(boxes: Boxes) -> Scores:
    """`N`, in square pixels."""
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
    product: Scores = sides[:, 0] * sides[:, 1]
    return product


def overlaps(box: Boxes, others: Boxes, measure: Measure) -> npt.NDArray[np.float32]:
    """How much `box` (4 values) shares with each of `others`: `N`, in [0, 1]."""
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    shared = np.prod(np.maximum(sides, 0), axis=1)
    one, each = areas(box[None])[0], areas(others)
    whole = np.minimum(one, each) if measure == "smaller" else one + each - shared
    # Two boxes without area share nothing.
    shares: Scores = np.divide(shared, whole, out=np.zeros_like(shared), where=whole > 0)
    return shares


def suppress(
    boxes: Boxes, scores: Scores, maximum_overlap: float, measure: Measure
) -> npt.NDArray[np.intp]:
    """Non-maximum suppression: of boxes that overlap by more, only the best scored stays.

    Returns:
        Indices of those that stay, best score first; of equal scores, the earlier first.
    """
    waiting = np.argsort(-scores, kind="stable")
    kept: list[np.intp] = []
    while waiting.size:
        best, waiting = waiting[0], waiting[1:]
        kept.append(best)
        overlap = overlaps(boxes[best], boxes[waiting], measure)
        waiting = waiting[overlap <= maximum_overlap]
    return np.array(kept, dtype=np.intp)


def shift(boxes: Boxes, offsets: npt.NDArray[np.float32]) -> Boxes:
    """Move each edge by its offset, a fraction of the box's own width or height: `N × 4`."""
    sides = boxes[:, 2:] - boxes[:, :2]
    return boxes + offsets * np.tile(sides, 2)


def squares(boxes: Boxes) -> Boxes:
    """The square around the centre of each box, as wide as its longer side."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True) / 2
    return np.concatenate((centres - half, centres + half), axis=1)
