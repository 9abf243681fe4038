"""Which pixels of the aligned face are face, and how light they are.

OFIQ takes the hull of 98 landmarks, on a face aligned to 616×616. Here the hull of their mean shape
stands for it, two half ellipses in the template, and what lies beyond the capture is left out.
"""

import cv2
import numpy as np
import numpy.typing as npt

from serfiq_core.types import ALIGNED_SIDE_PX, AlignedFace

Mask = npt.NDArray[np.bool_]
"""`112 × 112`."""
Luminance = npt.NDArray[np.uint8]
"""Relative luminance, ITU-R BT.709 of linear light, 255 for white."""

HULL_CENTRE_PX = (56.0, 49.0)
HULL_HALF_WIDTH_PX = 42.0
HULL_UP_PX, HULL_DOWN_PX = 12.0, 74.0
"""From the outer ends of the eyes up to the brows, and down to the chin, which the template cuts
off: the hull of the WFLW mean shape, its eyes and mouth laid on those of the template."""

MINIMUM_VISIBLE = 0.5
"""Share of the hull that must lie within the capture, or nothing is said of the pixels."""


def linear_light(levels: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Of sRGB levels in [0, 1] (IEC 61966-2-1), of any shape."""
    return np.where(levels > 0.04045, ((levels + 0.055) / 1.055) ** 2.4, levels / 12.92)


_LINEAR = linear_light(np.arange(256) / 255)
_LUMINANCE_OF = (255 * np.outer((0.2126, 0.7152, 0.0722), _LINEAR)).astype(np.float32)
"""`3 × 256`: what each level of red, green and blue adds."""


def _hull() -> Mask:
    y, x = np.mgrid[:ALIGNED_SIDE_PX, :ALIGNED_SIDE_PX]
    across = (x - HULL_CENTRE_PX[0]) / HULL_HALF_WIDTH_PX
    along = y - HULL_CENTRE_PX[1]
    along = along / np.where(along < 0, HULL_UP_PX, HULL_DOWN_PX)
    return np.asarray(across**2 + along**2 <= 1)


FACE_HULL = _hull()
_HULL_SIZE = int(FACE_HULL.sum())


def visible_hull(
    to_template: npt.NDArray[np.float64] | None, width_px: int, height_px: int
) -> Mask | None:
    """The hull within the capture; None when too little of it is.

    Args:
        to_template: `2 × 3`, from pixels of the capture to the aligned face; None when the capture
            is the aligned face.
        width_px, height_px: of the capture.
    """
    if to_template is None:
        return FACE_HULL
    to_capture = cv2.invertAffineTransform(to_template)
    side = np.arange(ALIGNED_SIDE_PX)
    x = to_capture[0, 0] * side + to_capture[0, 1] * side[:, None] + to_capture[0, 2]
    y = to_capture[1, 0] * side + to_capture[1, 1] * side[:, None] + to_capture[1, 2]
    within = (x >= 0) & (x <= width_px - 1) & (y >= 0) & (y <= height_px - 1)
    visible = FACE_HULL & within
    return visible if visible.sum() >= MINIMUM_VISIBLE * _HULL_SIZE else None


def luminance(pixels: AlignedFace) -> Luminance:
    """Of each pixel: `H × W × 3` RGB → `H × W`, rounded to whole levels as OFIQ does."""
    red, green, blue = (_LUMINANCE_OF[channel][pixels[..., channel]] for channel in range(3))
    return np.asarray(red + green + blue + np.float32(0.5), np.uint8)
