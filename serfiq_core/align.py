"""From five landmarks to the 112×112 face that recognisers of the ArcFace family were trained on.

This file knows no networks: neither where the landmarks come from, nor what looks at the face.
"""

import cv2
import numpy as np
import numpy.typing as npt

from serfiq_core.errors import NotAlignedError
from serfiq_core.resizing import averaged
from serfiq_core.types import ALIGNED_SIDE_PX, AlignedFace, Pixels, Sample

ARCFACE_TEMPLATE_PX = np.array(
    [
        (38.2946, 51.6963),
        (73.5318, 51.5014),
        (56.0252, 71.7366),
        (41.5493, 92.3655),
        (70.7299, 92.2041),
    ]
)
"""Where the five landmarks belong: InsightFace's `arcface_dst`, which ArcFace (Deng et al., CVPR
2019) and its followers were trained with."""

Transform = npt.NDArray[np.float64]
"""`2 × 3`, to be multiplied with (x, y, 1)."""


def align(pixels: Pixels, landmarks_px: npt.NDArray[np.float32], reduction: int = 1) -> AlignedFace:
    """Cut out, turn and scale the face of these landmarks; black beyond the image.

    Args:
        pixels: `H × W × 3`, RGB.
        landmarks_px: `5 × 2`, in the order of `Face.landmarks_px`, in pixels of the file.
        reduction: as `Sample.reduction`, of `pixels`.
    """
    to_template = similarity(landmarks_px, ARCFACE_TEMPLATE_PX) @ _from_blocks(reduction, 0, 0)
    region, to_template = _face_region(pixels, to_template)
    if region.size == 0:  # landmarks outside the image
        return np.zeros((ALIGNED_SIDE_PX, ALIGNED_SIDE_PX, 3), np.uint8)
    size = (ALIGNED_SIDE_PX, ALIGNED_SIDE_PX)
    return np.asarray(cv2.warpAffine(region, to_template, size, flags=cv2.INTER_LINEAR), np.uint8)


def enlargement(landmarks_px: npt.NDArray[np.float32]) -> float:
    """Pixels of the aligned face per pixel of the image, along a side."""
    to_template = similarity(landmarks_px, ARCFACE_TEMPLATE_PX)
    return float(np.hypot(to_template[0, 0], to_template[1, 0]))


def check_aligned(sample: Sample) -> AlignedFace:
    """The pixels of a sample that was announced as an aligned face.

    Raises:
        NotAlignedError: its size is another.
    """
    height, width = sample.pixels.shape[:2]
    if (height, width) != (ALIGNED_SIDE_PX, ALIGNED_SIDE_PX):
        raise NotAlignedError(
            f"an aligned face is {ALIGNED_SIDE_PX}×{ALIGNED_SIDE_PX} pixels, "
            f"and this image is {width}×{height}"
        )
    return sample.pixels


def similarity(source: npt.NDArray[np.floating], target: npt.NDArray[np.floating]) -> Transform:
    """The rotation, scale and translation that bring `source` nearest to `target`, both `N × 2`.

    Least squares, without reflection: Umeyama, IEEE TPAMI 13(4), 1991. In the plane, with points as
    complex numbers, that is the regression of one on the other.
    """
    z = source.astype(np.float64) @ (1, 1j)
    w = target.astype(np.float64) @ (1, 1j)
    centred = z - z.mean()
    # Points that all coincide determine nothing; they become a transform that shrinks to a point.
    spread = max((abs(centred) ** 2).sum(), np.finfo(np.float64).tiny)
    turn = (centred.conj() * (w - w.mean())).sum() / spread
    shift = w.mean() - turn * z.mean()
    return np.array([(turn.real, -turn.imag, shift.real), (turn.imag, turn.real, shift.imag)])


def _face_region(pixels: Pixels, to_template: Transform) -> tuple[Pixels, Transform]:
    """The part of the image that the aligned face shows, and the transform from there.

    Where the face is more than twice as large as it will be, blocks of pixels are averaged first:
    bilinear interpolation looks at four pixels, and would skip the others. Smaller faces are left
    as they are, and so give what InsightFace's `norm_crop` gives. Only the part is handed on,
    because OpenCV warps no image with a side of 32,767 pixels or more.
    """
    scale = np.hypot(to_template[0, 0], to_template[1, 0])
    block = int(1 / np.clip(scale, 1 / min(pixels.shape[:2]), 1))
    left, top, right, bottom = _footprint(pixels, to_template, margin_px=block + 1)
    columns, rows = (right - left) // block, (bottom - top) // block
    region = pixels[top : top + rows * block, left : left + columns * block]
    if region.size:
        region = averaged(region, block)
    return region, to_template @ _from_blocks(block, left, top)


def _from_blocks(block: int, left: int, top: int) -> Transform:
    """`3 × 3`, to the pixels that were averaged in blocks, the first at left, top."""
    # The centre of a block lies this far from the centre of its first pixel.
    middle = (block - 1) / 2
    return np.array([(block, 0, left + middle), (0, block, top + middle), (0, 0, 1)])


def _footprint(pixels: Pixels, to_template: Transform, margin_px: int) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of what the aligned face shows, and a margin, within the image."""
    to_image = cv2.invertAffineTransform(to_template)
    side = ALIGNED_SIDE_PX
    corners = np.array([(0, 0, 1), (side, 0, 1), (0, side, 1), (side, side, 1)]) @ to_image.T
    height, width = pixels.shape[:2]
    left, top = np.clip(corners.min(0) - margin_px, 0, (width, height)).astype(int)
    right, bottom = np.clip(corners.max(0) + margin_px, 0, (width, height)).astype(int)
    return left, top, right, bottom
