"""The image pyramid that P-Net searches, with all its levels on one canvas.

One inference over the canvas takes the place of one per level: on a CPU those of the small levels
cost more in calls than in arithmetic. Levels lie at even offsets, since P-Net looks two pixels
apart; windows that are not wholly in one level are dropped, so that each level is searched as if it
were alone. This file knows no networks.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from serfiq_core.detection.boxes import Boxes
from serfiq_core.resizing import resized
from serfiq_core.types import Pixels

WINDOW_SIDE_PX, WINDOW_STRIDE_PX = 12, 2
"""What P-Net looks at, and how far apart."""
PYRAMID_FACTOR = 0.709
"""From level to level, about 1/√2, so that the area halves; the authors' value."""
SMALLEST_FACE_SHARE = 1 / 40
"""No face narrower than this share of the longer side is looked for, which bounds P-Net's work
whatever the size of the photograph: a group of twenty in three rows has faces of about 1/10."""

Levels = npt.NDArray[np.int8]
"""Indices of levels."""


@dataclass(frozen=True, slots=True)
class Level:
    """One level: the image at `scale`, `width_px × height_px`, with its corner at left, top."""

    scale: float
    width_px: int
    height_px: int
    left_px: int
    top_px: int


@dataclass(frozen=True, slots=True)
class Canvas:
    """All levels side by side, and which window of P-Net shows which of them.

    `pixels`: `H × W × 3`. `level_of`: `h × w`, a window's index into `levels`, or −1 when it is in
    none; empty when the image is too small for a level.
    """

    pixels: Pixels
    levels: tuple[Level, ...]
    level_of: Levels

    def seen_by(self, first: int, last: int) -> Pixels:
        """The rows of pixels that the windows of these rows look at, `last` not among them."""
        bottom = WINDOW_STRIDE_PX * (last - 1) + WINDOW_SIDE_PX
        return self.pixels[WINDOW_STRIDE_PX * first : bottom]

    def in_the_image(self, boxes: Boxes, windows: Boxes) -> Boxes:
        """`N × 4` boxes of the canvas, from these windows of it, in pixels of the image."""
        corners = [(level.left_px, level.top_px) for level in self.levels]
        places = np.array(corners, np.float32).reshape(-1, 2)
        scales = np.array([level.scale for level in self.levels], np.float32)
        columns, rows = windows[:, :2].T.astype(int) // WINDOW_STRIDE_PX
        levels = self.level_of[rows, columns]
        found: Boxes = (boxes - np.tile(places, 2)[levels]) / scales[levels, None]
        return found


def windows_at(rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]) -> Boxes:
    """The windows of P-Net's map at these places, in pixels of the canvas: `N × 4`.

    Of different levels, none overlap.
    """
    corners = WINDOW_STRIDE_PX * np.stack((columns, rows), axis=1).astype(np.float32)
    return np.concatenate((corners, corners + WINDOW_SIDE_PX), axis=1)


def scales(height_px: int, width_px: int, minimum_face_px: float) -> list[float]:
    """Scales at which P-Net's window is as large as the faces looked for, smallest faces first."""
    smallest_face_px = max(minimum_face_px, max(height_px, width_px) * SMALLEST_FACE_SHARE)
    found = []
    scale = WINDOW_SIDE_PX / smallest_face_px
    while min(height_px, width_px) * scale >= WINDOW_SIDE_PX:
        found.append(scale)
        scale *= PYRAMID_FACTOR
    return found


def canvas(halves: Sequence[Pixels], minimum_face_px: float) -> Canvas:
    """The pyramid of an image, drawn.

    Args:
        halves: the image, and how it looks halved again and again.
        minimum_face_px: side of the smallest face looked for, in pixels of the image.
    """
    height, width = halves[0].shape[:2]
    levels = arranged(
        [
            (scale, round(width * scale), round(height * scale))
            for scale in scales(height, width, minimum_face_px)
        ]
    )
    # At least one window, so that an image without levels needs no path of its own.
    right = max((level.left_px + level.width_px for level in levels), default=WINDOW_SIDE_PX)
    bottom = max((level.top_px + level.height_px for level in levels), default=WINDOW_SIDE_PX)
    pixels = np.zeros((bottom, right, 3), np.uint8)
    level_of = np.full((_windows_along(bottom), _windows_along(right)), -1, np.int8)
    largest_px = levels[0].width_px if levels else width
    drawn = [half for half in halves if half is halves[0] or half.shape[1] >= largest_px][-1]
    for index, level in enumerate(levels):
        # From the level before, and not from the image, which may be a hundred times larger.
        drawn = resized(drawn, (level.width_px, level.height_px))
        left, top = level.left_px, level.top_px
        pixels[top : top + level.height_px, left : left + level.width_px] = drawn
        row, column = top // WINDOW_STRIDE_PX, left // WINDOW_STRIDE_PX
        rows, columns = _windows_along(level.height_px), _windows_along(level.width_px)
        level_of[row : row + rows, column : column + columns] = index
    return Canvas(pixels, levels, level_of)


def arranged(sizes: list[tuple[float, int, int]]) -> tuple[Level, ...]:
    """Places for levels of these scales, widths and heights, largest first: none on another.

    The second lies to the right of the first, the third at the right under the second, all others
    in a row under the first. Levels that shrink by 1/√2 leave a seventh of the canvas empty so.
    """
    even = [(_even(width), _even(height)) for _, width, height in sizes]
    row = [0, *np.cumsum([width for width, _ in even[3:]]).tolist()]
    places = [(0, 0)]
    if len(sizes) > 1:
        places.append((even[0][0], 0))
    if len(sizes) > 2:
        widest = max(even[0][0] + even[1][0], row[-1] + even[2][0])
        places.append((widest - even[2][0], even[1][1]))
    if len(sizes) > 3:
        places += [(left, even[0][1]) for left in row[:-1]]
    return tuple(
        Level(scale, width, height, left, top)
        for (scale, width, height), (left, top) in zip(sizes, places, strict=bool(sizes))
    )


def _even(side_px: int) -> int:
    """The next multiple of the stride."""
    return -(-side_px // WINDOW_STRIDE_PX) * WINDOW_STRIDE_PX


def _windows_along(side_px: int) -> int:
    """How many windows lie wholly in so many pixels."""
    return (side_px - WINDOW_SIDE_PX) // WINDOW_STRIDE_PX + 1
