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

BLOCK = 512
"""Boxes compared with each other at once: 1 MB for each step of the arithmetic."""


def areas(boxes: Boxes) -> Scores:
    """`N`, in square pixels."""
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
    product: Scores = sides[:, 0] * sides[:, 1]
    return product


def overlaps(some: Boxes, others: Boxes, measure: Measure) -> npt.NDArray[np.float32]:
    """How much each of `N` boxes shares with each of `M` others: `N × M`, in [0, 1]."""
    left, top, right, bottom = np.ascontiguousarray(some.T)[:, :, None]
    lefts, tops, rights, bottoms = np.ascontiguousarray(others.T)
    widths = np.minimum(right, rights) - np.maximum(left, lefts)
    heights = np.minimum(bottom, bottoms) - np.maximum(top, tops)
    shared = np.maximum(widths, 0) * np.maximum(heights, 0)
    one, each = areas(some)[:, None], areas(others)
    whole = np.minimum(one, each) if measure == "smaller" else one + each - shared
    # Two boxes without area share nothing.
    shares: npt.NDArray[np.float32] = np.divide(
        shared, whole, out=np.zeros_like(shared), where=whole > 0
    )
    return shares


def suppress(
    boxes: Boxes, scores: Scores, maximum_overlap: float, measure: Measure
) -> npt.NDArray[np.intp]:
    """Non-maximum suppression: of boxes that overlap by more, only the best scored stays.

    Returns:
        Indices of those that stay, best score first; of equal scores, the earlier first.
    """
    order = np.argsort(-scores, kind="stable")
    kept = order[:0]
    for start in range(0, len(order), BLOCK):
        block = order[start : start + BLOCK]
        if start:
            over = overlaps(boxes[block], boxes[kept], measure) > maximum_overlap
            block = block[~over.any(axis=1)]
        over = np.triu(overlaps(boxes[block], boxes[block], measure) > maximum_overlap, 1)
        stays = np.ones(len(block), bool)
        for index in range(len(block)):
            if stays[index]:
                stays &= ~over[index]
        kept = np.concatenate((kept, block[stays]))
    return kept


def shift(boxes: Boxes, offsets: npt.NDArray[np.float32]) -> Boxes:
    """Move each edge by its offset, a fraction of the box's own width or height: `N × 4`."""
    sides = boxes[:, 2:] - boxes[:, :2]
    return boxes + offsets * np.tile(sides, 2)


def squares(boxes: Boxes) -> Boxes:
    """The square around the centre of each box, as wide as its longer side."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True) / 2
    return np.concatenate((centres - half, centres + half), axis=1)
