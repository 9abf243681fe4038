"""Photographs that get worse in one respect, by severity 0 to 5.

Each takes the photograph and its face, and gives the photograph to be looked at instead.
"""

import io
from collections.abc import Callable, Sequence

import cv2
import numpy as np
from PIL import Image
from scipy.stats import spearmanr

from serfiq_core.align import align
from serfiq_core.types import Face, Pixels

SEVERITIES = range(6)
GREY = (96, 104, 112)

Degradation = Callable[[Pixels, Face, int], Pixels]


def blurred(pixels: Pixels, _: Face, severity: int) -> Pixels:
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), 0.7 * severity)) if severity else pixels


def compressed(pixels: Pixels, _: Face, severity: int) -> Pixels:
    if not severity:
        return pixels
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=(70, 50, 30, 20, 10)[severity - 1])
    with Image.open(file) as image:
        return np.asarray(image)


def darkened(pixels: Pixels, _: Face, severity: int) -> Pixels:
    return _with_gain(pixels, 1 - 0.15 * severity)


def brightened(pixels: Pixels, _: Face, severity: int) -> Pixels:
    return _with_gain(pixels, 1.25 + 0.35 * severity)


def flattened(pixels: Pixels, _: Face, severity: int) -> Pixels:
    mean = pixels.mean((0, 1))
    return _rounded(mean + (pixels - mean) * (1 - 0.17 * severity))


def lit_from_one_side(pixels: Pixels, face: Face, severity: int) -> Pixels:
    """The cheek that is darker already gets darker still."""
    cheeks = align(pixels, face.landmarks_px)[72:82]
    darker = 1 if cheeks[:, 73:83].mean() < cheeks[:, 28:38].mean() else -1
    nose_x = face.landmarks_px[2, 0]
    across = (np.arange(pixels.shape[1]) - nose_x) / (2 * face.inter_eye_distance_px)
    return _with_gain(pixels, 1 - 0.08 * severity * np.clip(darker * across + 0.5, 0, 1)[:, None])


def tinted(pixels: Pixels, _: Face, severity: int) -> Pixels:
    """Under ever more orange light."""
    return _with_gain(pixels, np.array((1.0, 1 - 0.15 * severity, 1 - 0.18 * severity)))


def farther_away(pixels: Pixels, _: Face, severity: int) -> Pixels:
    return _around(pixels, 1 - 0.1 * severity)


def cut_left(pixels: Pixels, face: Face, severity: int) -> Pixels:
    eyes = face.landmarks_px[:2]
    keep = (1.25 - 0.1 * severity) * face.inter_eye_distance_px
    return pixels[:, max(round(float(eyes[0, 0]) - keep), 0) :]


def cut_right(pixels: Pixels, face: Face, severity: int) -> Pixels:
    eyes = face.landmarks_px[:2]
    keep = (1.25 - 0.1 * severity) * face.inter_eye_distance_px
    return pixels[:, : round(float(eyes[1, 0]) + keep)]


def cut_above(pixels: Pixels, face: Face, severity: int) -> Pixels:
    middle, mouth = face.landmarks_px[:2].mean(0), face.landmarks_px[3:].mean(0)
    keep = (2.3 - 0.25 * severity) * (mouth - middle)[1]
    return pixels[max(round(float(middle[1] - keep)), 0) :]


def cut_below(pixels: Pixels, face: Face, severity: int) -> Pixels:
    middle, mouth = face.landmarks_px[:2].mean(0), face.landmarks_px[3:].mean(0)
    keep = (3.1 - 0.25 * severity) * (mouth - middle)[1]
    return pixels[: round(float(middle[1] + keep))]


def joined(pixels: Pixels, _: Face, severity: int) -> Pixels:
    """By a second person, who comes nearer."""
    second = _around(pixels, 0.4 + 0.1 * severity) if severity else np.full_like(pixels, GREY)
    return np.hstack((pixels, second))


def leaning(pixels: Pixels, face: Face, severity: int) -> Pixels:
    """Further to the side that the head leans to already."""
    eyes = face.landmarks_px[:2]
    turn = 6 * severity * (1 if eyes[1, 1] < eyes[0, 1] else -1)
    x, y = face.landmarks_px.mean(0).tolist()
    matrix = cv2.getRotationMatrix2D((x, y), turn, 1)
    return np.asarray(cv2.warpAffine(pixels, matrix, pixels.shape[1::-1], borderValue=GREY))


def _with_gain(pixels: Pixels, gain: float | np.ndarray) -> Pixels:
    return _rounded(pixels * gain)


def _rounded(pixels: np.ndarray) -> Pixels:
    return np.clip(np.round(pixels), 0, 255).astype(np.uint8)


def _around(pixels: Pixels, factor: float) -> Pixels:
    """The photograph smaller, in the middle of a grey one of the same size."""
    smaller = cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    canvas = np.full_like(pixels, GREY)
    top, left = ((a - b) // 2 for a, b in zip(pixels.shape[:2], smaller.shape[:2], strict=True))
    canvas[top : top + smaller.shape[0], left : left + smaller.shape[1]] = smaller
    return canvas


def within_face_correlation(values: Sequence[Sequence[float]]) -> float:
    """Spearman's coefficient of severity and value, the mean over faces; ties share their rank."""
    return float(np.mean([spearmanr(range(len(row)), row).statistic for row in values]))
