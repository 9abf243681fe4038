"""How the face is lit: components of the histogram of its luminance.

Measures and mappings are OFIQ's: `Luminance.cpp`, `UnderExposurePrevention.cpp`,
`OverExposurePrevention.cpp`, `DynamicRange.cpp`, `IlluminationUniformity.cpp`.
"""

from math import pi, sin

import numpy as np
import numpy.typing as npt

from serfiq_core.components.face_region import Luminance, Mask
from serfiq_core.components.mapping import Sigmoid, clipped, component, sigmoid
from serfiq_core.types import Component

Histogram = npt.NDArray[np.float64]
"""256 shares that sum to 1."""

DARKEST_LEVELS = slice(0, 26)
LIGHTEST_LEVELS = slice(247, 256)
UNDER_EXPOSURE = Sigmoid(x0=0.92, w=0.05, h=120, a=0.832, s=-1)

_LEVELS = np.arange(256) / 255


def light_components(
    levels: Luminance, face: Mask, left: Luminance, right: Luminance
) -> list[Component]:
    """All that the luminance says.

    Args:
        levels: `112 × 112`, of the aligned face.
        face: which of its pixels are face.
        left, right: of one patch of each cheek.
    """
    shares = _histogram(levels[face])
    mean = float(shares @ _LEVELS)
    variance = float(shares @ (_LEVELS - mean) ** 2)
    dark, light = float(shares[DARKEST_LEVELS].sum()), float(shares[LIGHTEST_LEVELS].sum())
    present = shares[shares > 0]
    entropy = float(-(present * np.log2(present)).sum())
    uniformity = float(np.minimum(_histogram(left), _histogram(right)).sum())
    of_white, of_face = "of white, linear light", "share of the face"
    return [
        component("LuminanceMean", mean, of_white, _mean_value(mean)),
        component("LuminanceVariance", variance, "squared, " + of_white, _variance_value(variance)),
        component("UnderExposurePrevention", dark, of_face, UNDER_EXPOSURE(dark)),
        component("OverExposurePrevention", light, of_face, clipped(1 / (light + 0.01))),
        component("DynamicRange", entropy, "bits", clipped(12.5 * entropy)),
        component("IlluminationUniformity", uniformity, "share", 100 * uniformity**0.3),
    ]


def _histogram(levels: npt.NDArray[np.uint8]) -> Histogram:
    return np.bincount(levels.ravel(), minlength=256) / levels.size


def _mean_value(mean: float) -> float:
    return 100 * sigmoid(mean, 0.2, 0.05) * (1 - sigmoid(mean, 0.8, 0.05))


def _variance_value(variance: float) -> float:
    """Highest at a variance of 1/60; less for a flat face and for a harsh one."""
    return 100 * sin(60 * variance / (60 * variance + 1) * pi)
