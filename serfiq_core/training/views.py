"""What enrolment desks see: random views of one aligned face, from a little turned to ruined.

A view is the face moved about (a mirror, a turn, a small warp that stands for pose), lit otherwise,
and, one time in three, damaged in one of the six ways of `degradations.py`, here with continuous
severities and with more variety: a training that saw the very pictures of the check would pass it
by heart. What comes out depends on the face and the generator alone. This file knows no recogniser.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from serfiq_core.suitability.degradations import (
    BLUR_SIGMAS_PX,
    DARKENING_STOPS,
    DISPLAY_GAMMA,
    JPEG_QUALITIES,
    KINDS,
    NOISE_SIGMAS,
    OCCLUDED_SHARES,
    SMALL_SIDES_PX,
)
from serfiq_core.types import ALIGNED_SIDE_PX, AlignedFace, DegradationKind

DAMAGED_SHARE = 0.35
"""Of all views: damage is soon learnt, faces are not (docs/training.md)."""

DAMAGED_TWICE_SHARE = 0.15
"""Of the damaged ones: a dark view is noisy, a small one is compressed."""

MILDEST, WORST = 0.2, 5.5
"""Severities drawn, evenly; 1 to 5 mean what they mean in `degradations.py`."""

CENTRE_PX = (56.0, 60.0)
"""Of the turns and scalings: the upper lip, about which heads move least in the template."""

_SIDE = ALIGNED_SIDE_PX


@dataclass(frozen=True, slots=True)
class Damage:
    """One way in which a view was damaged, and how far."""

    kind: DegradationKind
    severity: float


@dataclass(frozen=True, slots=True)
class View:
    """One view of a face: its pixels, `112 × 112 × 3`, and what was done to it."""

    pixels: AlignedFace
    damages: tuple[Damage, ...]


def random_view(face: AlignedFace, rng: np.random.Generator) -> View:
    """Draw a view of an aligned face, `112 × 112 × 3`, RGB."""
    pixels = _relit(_moved(face, rng), rng)
    damages = tuple(_random_damages(rng))
    for damage in damages:
        pixels = _DAMAGES[damage.kind](pixels, damage.severity, rng)
    return View(pixels, damages)


def _random_damages(rng: np.random.Generator) -> list[Damage]:
    if rng.random() >= DAMAGED_SHARE:
        return []
    count = 2 if rng.random() < DAMAGED_TWICE_SHARE else 1
    kinds = rng.choice(len(KINDS), count, replace=False)
    return [Damage(KINDS[kind], float(rng.uniform(MILDEST, WORST))) for kind in kinds]


def _moved(face: AlignedFace, rng: np.random.Generator) -> AlignedFace:
    """Mirrored, turned, scaled, shifted, and its corners pulled: each a little, none always."""
    if rng.random() < 0.5:
        face = face[:, ::-1]
    face = np.ascontiguousarray(face)
    if rng.random() >= 0.6:
        return face
    corners = np.array([(28, 28), (84, 28), (28, 92), (84, 92)], np.float32)
    angle, scale = np.deg2rad(rng.uniform(-5, 5)), rng.uniform(0.96, 1.04)
    cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
    moved = (corners - CENTRE_PX) @ np.array([(cos, sin), (-sin, cos)]) + CENTRE_PX
    moved += rng.uniform(-2, 2, 2) + rng.uniform(-1.5, 1.5, (4, 2))
    warp = cv2.getPerspectiveTransform(corners, moved.astype(np.float32))
    return _pixels(cv2.warpPerspective(face, warp, (_SIDE, _SIDE), borderMode=cv2.BORDER_REPLICATE))


def _relit(face: AlignedFace, rng: np.random.Generator) -> AlignedFace:
    """Another exposure, contrast and white balance; without colour; lit from one side."""
    if rng.random() < 0.5:
        gamma, gains = np.exp(rng.uniform(-0.5, 0.5)), rng.uniform(0.75, 1.2)
        balance = rng.uniform(0.92, 1.08, 3)
        curve = 255 * (np.arange(256)[:, None] / 255) ** gamma * gains * balance
        face = _pixels(cv2.LUT(face, _pixels(curve)[None]))
    if rng.random() < 0.15:
        face = _pixels(cv2.cvtColor(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB))
    if rng.random() < 0.15:
        face = _pixels(face * _shade(rng)[:, :, None])
    return face


def _shade(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Light that falls off across the face: `112 × 112`, 1 at the bright side."""
    angle, depth = rng.uniform(0, 2 * np.pi), rng.uniform(0.2, 0.7)
    across = np.linspace(-1, 1, _SIDE)
    along = np.clip(across * np.cos(angle) + across[:, None] * np.sin(angle), -1, 1)
    return np.asarray(1 - depth * (0.5 + 0.5 * along))


def _blur(face: AlignedFace, severity: float, rng: np.random.Generator) -> AlignedFace:
    """Gaussian, up to a fifth wider one way than the other, as hands shake."""
    sigma = _between((0.45, *BLUR_SIGMAS_PX, 6.0), severity)
    stretch = np.exp(rng.uniform(-0.2, 0.2))
    return _pixels(cv2.GaussianBlur(face, (0, 0), sigma * stretch, sigmaY=sigma))


def _down_scale(face: AlignedFace, severity: float, rng: np.random.Generator) -> AlignedFace:
    side = round(_between((100, *SMALL_SIDES_PX, 11), severity))
    small = cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA)
    enlarge = cv2.INTER_LINEAR if rng.random() < 0.5 else cv2.INTER_CUBIC
    return _pixels(cv2.resize(small, (_SIDE, _SIDE), interpolation=enlarge))


def _add_noise(face: AlignedFace, severity: float, rng: np.random.Generator) -> AlignedFace:
    """Per channel, or of the luminance alone."""
    sigma = _between((3, *NOISE_SIGMAS, 80), severity)
    channels = 3 if rng.random() < 0.7 else 1
    return _pixels(face + sigma * rng.standard_normal((_SIDE, _SIDE, channels), np.float32))


def _occlude(face: AlignedFace, severity: float, rng: np.random.Generator) -> AlignedFace:
    """A rectangle of one colour, often grey, about a point of the inner face."""
    area = _SIDE**2 * np.interp(severity, range(7), (0.02, *OCCLUDED_SHARES, 0.62))
    height = min(_SIDE, round((area * np.exp(rng.uniform(-0.5, 0.5))) ** 0.5))
    width = min(_SIDE, round(area / height))
    centre = rng.uniform(0.25, 0.75, 2) * _SIDE
    top = int(np.clip(centre[0] - height / 2, 0, _SIDE - height))
    left = int(np.clip(centre[1] - width / 2, 0, _SIDE - width))
    occluded = face.copy()
    colour = rng.integers(0, 256, 3) if rng.random() < 0.5 else rng.integers(60, 200)
    occluded[top : top + height, left : left + width] = colour
    return occluded


def _darken(face: AlignedFace, severity: float, rng: np.random.Generator) -> AlignedFace:
    """Less light, and half of the time the noise that a camera makes in the dark."""
    stops = np.interp(severity, range(7), (0, *DARKENING_STOPS, 6)) * np.exp(rng.uniform(-0.1, 0.1))
    dark = face * np.float32(2 ** (-stops / DISPLAY_GAMMA))
    if rng.random() < 0.5:
        dark = dark + rng.uniform(0, 2.5) * rng.standard_normal(face.shape, np.float32)
    return _pixels(np.rint(dark))


def _compress(face: AlignedFace, severity: float, _: np.random.Generator) -> AlignedFace:
    quality = max(1, round(_between((70, *JPEG_QUALITIES, 1), severity)))
    bgr = cv2.cvtColor(face, cv2.COLOR_RGB2BGR)
    jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    decoded = cv2.imdecode(jpeg, cv2.IMREAD_COLOR)
    assert decoded is not None  # it was encoded one line above
    return _pixels(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB))


def _between(values: tuple[float, ...], severity: float) -> float:
    """Of severities 0 to 6, interpolated geometrically."""
    return float(np.exp(np.interp(severity, range(len(values)), np.log(values))))


def _pixels(values: npt.NDArray[np.generic] | npt.NDArray[np.float64]) -> AlignedFace:
    return np.asarray(np.clip(values, 0, 255), np.uint8)


_Damage = Callable[[AlignedFace, float, np.random.Generator], AlignedFace]
"""Face, severity, source of chance."""

_DAMAGES: Mapping[DegradationKind, _Damage] = {
    "blur": _blur,
    "down_scaling": _down_scale,
    "noise": _add_noise,
    "occlusion": _occlude,
    "darkness": _darken,
    "jpeg": _compress,
}
