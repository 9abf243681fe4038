"""How much of the fine structure is left, and how much of it the encoder made.

OFIQ trained a random forest for Sharpness and a network for CompressionArtifacts; its mappings are
of their answers, and no mapping is given here. The measures are classical.
"""

import cv2
import numpy as np
import numpy.typing as npt

from serfiq_core.components.face_region import Mask
from serfiq_core.components.mapping import component, ratio
from serfiq_core.types import AlignedFace, Component, Pixels

BLUR_TAPS = 9
"""Of the mean that the face is blurred with once more, as in the paper."""

JPEG_BLOCK_PX = 8
SMALLEST_BLOCK_PX = 4
"""In photographs decoded at less than half their size no blocks are left to be seen."""
LARGEST_REGION_PX = 256
"""A side of the region searched for blocks: 32 of them each way are enough."""

Steps = npt.NDArray[np.float32]


def sharpness(aligned: AlignedFace, face: Mask) -> Component:
    """What one more blur would take away: 1 − the blur effect, in [0, 1].

    Crété et al., "The blur effect", SPIE 6492, 2007: a face that is blurred already hardly changes
    when blurred again. Contrast cancels.

    Args:
        aligned: `112 × 112 × 3`, RGB.
        face: which of its pixels count.
    """
    grey = cv2.cvtColor(aligned, cv2.COLOR_RGB2GRAY).astype(np.float32)
    # The blur must reach neither beyond the capture, where there is black, nor beyond the edge.
    taps = np.ones((BLUR_TAPS, BLUR_TAPS))
    inner = (
        cv2.erode(face.astype(np.uint8), taps, borderType=cv2.BORDER_CONSTANT, borderValue=0) > 0
    )
    lost = [_lost_to_blur(grey, inner, axis) for axis in (0, 1)]
    return component("Sharpness", float(np.min(lost)), "ratio")


def _lost_to_blur(grey: Steps, inner: Mask, axis: int) -> float:
    taps = (1, BLUR_TAPS) if axis == 0 else (BLUR_TAPS, 1)
    before = np.abs(np.diff(grey, axis=axis))
    after = np.abs(np.diff(cv2.blur(grey, taps), axis=axis))
    counted = inner[1:] if axis == 0 else inner[:, 1:]
    lost = np.maximum(before - after, 0)[counted].sum()
    return ratio(float(lost), float(before[counted].sum()))


def compression_artifacts(
    pixels: Pixels, region_px: tuple[int, int, int, int], reduction: int
) -> Component | None:
    """Steps within blocks over steps between blocks: 1 where no blocks show, less where they do.

    After Wang, Bovik and Evans, "Blind measurement of blocking artifacts in images", ICIP 2000, in
    the pixel domain. The grid may start anywhere: captures are cropped and turned after encoding.

    Args:
        pixels: `H × W × 3`, RGB.
        region_px: left, top, right, bottom of the face in them.
        reduction: as `Sample.reduction`.

    Returns:
        None where blocks could not be seen.
    """
    block = JPEG_BLOCK_PX // reduction
    left, top, right, bottom = region_px
    region = pixels[top:bottom, left:right]
    if block < SMALLEST_BLOCK_PX or min(region.shape[:2]) < 2 * JPEG_BLOCK_PX:
        return None
    grey = cv2.cvtColor(np.ascontiguousarray(region), cv2.COLOR_RGB2GRAY).astype(np.float32)
    across = np.abs(np.diff(grey, axis=1)).mean(0)
    down = np.abs(np.diff(grey, axis=0)).mean(1)
    (within_x, between_x), (within_y, between_y) = (_steps(line, block) for line in (across, down))
    smoothness = ratio(within_x + within_y, between_x + between_y)
    return component("CompressionArtifacts", smoothness, "ratio")


def _steps(steps: Steps, block: int) -> tuple[float, float]:
    """The mean step within blocks, and that between blocks, whose lines are the strongest."""
    lines = steps[: len(steps) // block * block].reshape(-1, block).mean(0)
    between = float(lines.max())
    return (float(lines.sum()) - between) / (block - 1), between
