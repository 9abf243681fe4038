"""A map of shares, drawn over the aligned face it was computed from.

For people to look at: programs read the numbers. This file knows no recogniser; what it draws is
kept nowhere.
"""

import cv2
import numpy as np
import numpy.typing as npt

from serfiq_core.types import ALIGNED_SIDE_PX, AlignedFace

OVERLAY_SIDE_PX = 3 * ALIGNED_SIDE_PX
"""Large enough to look at; every pixel of the face becomes 3 × 3."""

OPACITY = 0.75
"""Of the colour where the share is greatest; where it is zero, the face is seen as it is."""

COLOUR_MAP = cv2.COLORMAP_INFERNO
"""Its lightness rises evenly from black to pale yellow, so that more looks like more, on a grey
print and to the colour-blind too."""


def overlay_png(face: AlignedFace, shares: npt.NDArray[np.float32]) -> bytes:
    """The face with each place coloured, and covered, by its share over the greatest share.

    Between the middles of the cells shares are interpolated linearly.

    Args:
        face: `112 × 112 × 3`, RGB.
        shares: `h × w`, not negative; from `instability_map` or `gradient_map`.

    Returns:
        A PNG file of 336 × 336 pixels.
    """
    size = (OVERLAY_SIDE_PX, OVERLAY_SIDE_PX)
    relative = shares / max(float(shares.max()), float(np.finfo(np.float32).tiny))
    level = cv2.resize(relative.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    # OpenCV's colours are BGR throughout.
    colours = cv2.applyColorMap(np.rint(255 * level).astype(np.uint8), COLOUR_MAP)
    canvas = cv2.resize(face[:, :, ::-1], size, interpolation=cv2.INTER_CUBIC)
    opacity = OPACITY * level[:, :, None]
    mixed = np.rint(opacity * colours + (1 - opacity) * canvas).astype(np.uint8)
    _, png = cv2.imencode(".png", mixed)
    return png.tobytes()
