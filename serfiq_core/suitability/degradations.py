"""Six ways in which a photograph of a face goes bad, each in five severities.

For aligned faces, so that a severity means the same for every face. This file knows pixels only: no
recogniser, no torch, no files. What it gives depends on its arguments and on nothing else, and
within one kind each severity harms what the one below it harmed: the same noise, louder; the same
obstacle, larger.
"""

import io
from collections.abc import Callable, Mapping
from typing import get_args

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from serfiq_core.types import ALIGNED_SIDE_PX, AlignedFace, DegradationKind

KINDS: tuple[DegradationKind, ...] = get_args(DegradationKind)

SEVERITIES = (1, 2, 3, 4, 5)
"""From what a careful eye notices to what no desk would take. 0 is the face as it is."""

BLUR_SIGMAS_PX = (0.8, 1.4, 2.2, 3.2, 4.5)
"""Of a Gaussian. The eyes of an aligned face are 35 px apart and its irises some 4 px wide: the
first softens their edges, the last leaves no iris."""

SMALL_SIDES_PX = (64, 44, 32, 22, 15)
"""To which the face is reduced before it is enlarged again. 20, 14, 10, 7 and 5 px are then left
between the eyes; recognition from surveillance distances is studied at 10 to 20."""

NOISE_SIGMAS = (8.0, 16.0, 28.0, 44.0, 64.0)
"""Of Gaussian noise per channel, in 8-bit values. 8 is a telephone at dusk; at 64, a quarter of the
range, most of the skin's texture is noise."""

OCCLUDED_SHARES = (0.06, 0.14, 0.25, 0.38, 0.52)
"""Of the aligned face's area. One eye with its brow takes about 0.06, a medical mask 0.4."""

DARKENING_STOPS = (1.0, 2.0, 3.0, 4.0, 5.0)
"""Halvings of the light. After five, 8 bits hold a fifth of the values they held, and the brightest
skin is darker than a well exposed pupil."""

JPEG_QUALITIES = (40, 25, 15, 8, 3)
"""Of libjpeg, 100 the best. Cameras write 85 to 95; blocks show in a face from 40 down, and at 3
little but the mean of each block is left."""

GREY = 128
"""Of the obstacle: neither the darkness nor the brightness of a face is what hides it."""

DISPLAY_GAMMA = 2.2
"""Near enough to sRGB's curve between light and 8-bit values."""


def degrade(face: AlignedFace, kind: DegradationKind, severity: int, seed: int = 0) -> AlignedFace:
    """A copy of an aligned face, degraded.

    Args:
        face: `112 × 112 × 3`, RGB.
        kind: in which way.
        severity: 1 to 5; 0 gives the face as it is.
        seed: of the noise, and of where the obstacle lies.

    Raises:
        ValueError: the face is of another shape or type, or there is no such severity.
    """
    if face.shape != (ALIGNED_SIDE_PX, ALIGNED_SIDE_PX, 3) or face.dtype != np.uint8:
        raise ValueError(f"an aligned face is 112×112×3 uint8, not {face.shape} {face.dtype}")
    if severity == 0:
        return face.copy()
    if severity not in SEVERITIES:
        raise ValueError(f"severities are 0 to {SEVERITIES[-1]}, not {severity}")
    return _DEGRADATIONS[kind](face, severity - 1, np.random.default_rng(seed))


_Degradation = Callable[[AlignedFace, int, np.random.Generator], AlignedFace]
"""Face, index of the severity, source of chance."""


def _blur(face: AlignedFace, index: int, _: np.random.Generator) -> AlignedFace:
    return np.asarray(cv2.GaussianBlur(face, (0, 0), BLUR_SIGMAS_PX[index]), np.uint8)


def _down_scale(face: AlignedFace, index: int, _: np.random.Generator) -> AlignedFace:
    side = SMALL_SIDES_PX[index]
    small = cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA)
    size = (ALIGNED_SIDE_PX, ALIGNED_SIDE_PX)
    return np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def _add_noise(face: AlignedFace, index: int, rng: np.random.Generator) -> AlignedFace:
    return _to_pixels(face + NOISE_SIGMAS[index] * rng.standard_normal(face.shape))


def _occlude(face: AlignedFace, index: int, rng: np.random.Generator) -> AlignedFace:
    """A square that grows about a point of the inner face."""
    side = round(ALIGNED_SIDE_PX * OCCLUDED_SHARES[index] ** 0.5)
    centre = rng.uniform(0.3, 0.7, 2) * ALIGNED_SIDE_PX
    # Moved back inside, so that the share covered is the same wherever the centre lies.
    top, left = np.clip(centre - side / 2, 0, ALIGNED_SIDE_PX - side).round().astype(int)
    occluded = face.copy()
    occluded[top : top + side, left : left + side] = GREY
    return occluded


def _darken(face: AlignedFace, index: int, _: np.random.Generator) -> AlignedFace:
    return _to_pixels(face * 2 ** (-DARKENING_STOPS[index] / DISPLAY_GAMMA))


def _compress(face: AlignedFace, index: int, _: np.random.Generator) -> AlignedFace:
    buffer = io.BytesIO()
    Image.fromarray(face).save(buffer, "JPEG", quality=JPEG_QUALITIES[index])
    with Image.open(buffer) as image:
        return np.asarray(image)


def _to_pixels(values: npt.NDArray[np.floating]) -> AlignedFace:
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)


_DEGRADATIONS: Mapping[DegradationKind, _Degradation] = {
    "blur": _blur,
    "down_scaling": _down_scale,
    "noise": _add_noise,
    "occlusion": _occlude,
    "darkness": _darken,
    "jpeg": _compress,
}
