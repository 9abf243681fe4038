"""Whether skin has the colour of skin: NaturalColour, with OFIQ's measure and mapping."""

from math import hypot

import numpy as np

from serfiq_core.components.face_region import linear_light
from serfiq_core.components.mapping import Sigmoid, component
from serfiq_core.types import Component, Pixels

NATURAL_COLOUR = Sigmoid(x0=0, w=10, h=200, a=1, s=-1)
LEAST_A, MOST_A = 5.0, 25.0
LEAST_B, MOST_B = 5.0, 35.0
NO_SKIN = 100.0
"""Distance given to what is greenish or bluish."""

_TO_XYZ_D50 = np.array(
    [
        (0.43605, 0.38508, 0.14309),
        (0.22249, 0.71689, 0.06062),
        (0.01393, 0.09710, 0.71419),
    ]
)
_WHITE_D50 = np.array((0.964221, 1.0, 0.825211))
_DARK = 216 / 24389
_SLOPE = 24389 / 27


def natural_colour(cheeks: Pixels) -> Component:
    """How far the mean of the cheeks lies outside the range of skin in CIELAB.

    Args:
        cheeks: `H × W × 3`, RGB, sRGB assumed.
    """
    a, b = _lab(cheeks.reshape(-1, 3).mean(0) / 255)
    distance = NO_SKIN
    if a >= 0 and b >= 0:
        distance = hypot(_outside(a, LEAST_A, MOST_A), _outside(b, LEAST_B, MOST_B))
    return component("NaturalColour", distance, "CIELAB units", NATURAL_COLOUR(distance))


def _lab(rgb: np.ndarray[tuple[int], np.dtype[np.float64]]) -> tuple[float, float]:
    """a* and b* under D50 of an sRGB colour in [0, 1]."""
    xyz = _TO_XYZ_D50 @ linear_light(rgb) / _WHITE_D50
    f = np.where(xyz > _DARK, np.cbrt(xyz), (_SLOPE * xyz + 16) / 116)
    return float(500 * (f[0] - f[1])), float(200 * (f[1] - f[2]))


def _outside(value: float, least: float, most: float) -> float:
    return max(least - value, value - most, 0.0)
