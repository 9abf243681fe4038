"""People who do not exist, made up of photographs of some who do.

A face lies between two others, or has other proportions than the one it was made of, or both. They
need not look natural: a recogniser embeds them as it embeds anybody, and whoever learns from it
meets many more identities than there are photographs of. This file knows no recogniser.
"""

from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt

from serfiq_core.types import ALIGNED_SIDE_PX, AlignedFace

Faces = npt.NDArray[np.uint8]
"""`N × 112 × 112 × 3`, RGB."""

BLENDED_SHARE = 0.75
"""Of the faces made up; the others have one face's features in other places."""

MOST_DISPLACED_PX = 3.0
"""Standard deviation of the displacements, at most. Of 64 faces of LFW, 1.5 pixels left a
MobileFaceNet a mean cosine of 0.79 to the face as it was, 2.5 left 0.63 and 3.5, which looked
monstrous, 0.50."""

KNOTS = 5
"""Across and down, whose displacements are drawn: an eye, a nose, a mouth each have their own."""

_ALONG = np.arange(ALIGNED_SIDE_PX, dtype=np.float32)


def made_up_faces(faces: Faces, count: int, rng: np.random.Generator) -> Iterator[AlignedFace]:
    """Make up `count` faces of the given ones, each of one or two drawn at random."""
    for _ in range(count):
        first, second = faces[rng.integers(0, len(faces), 2)]
        if rng.random() < BLENDED_SHARE:
            yield reshape(blend(first, second, rng), rng.uniform(0, MOST_DISPLACED_PX), rng)
        else:
            least = MOST_DISPLACED_PX / 2
            yield reshape(first, rng.uniform(least, MOST_DISPLACED_PX), rng)


def blend(first: AlignedFace, second: AlignedFace, rng: np.random.Generator) -> AlignedFace:
    """A face between two: both throughout, or one on each side of a soft edge."""
    if rng.random() < 0.5:
        second = second[:, ::-1]
    if rng.random() < 0.6:
        weight = np.float32(rng.uniform(0.3, 0.7))
        return np.asarray(weight * first + (1 - weight) * second, np.uint8)
    angle, place, width = rng.uniform(0, 2 * np.pi), rng.uniform(-14, 14), rng.uniform(3, 10)
    distance = (_ALONG - 56) * np.cos(angle) + (_ALONG[:, None] - 62) * np.sin(angle) + place
    share = (1 / (1 + np.exp(-distance / width)))[:, :, None]
    return np.asarray(share * first + (1 - share) * second, np.uint8)


def reshape(face: AlignedFace, sigma_px: float, rng: np.random.Generator) -> AlignedFace:
    """A face of other proportions: what is drawn for one side is done to the other too, since
    people differ like that."""
    drawn = sigma_px * rng.standard_normal((KNOTS, KNOTS, 2))
    mirrored = drawn[:, ::-1] * (-1, 1)
    knots = ((drawn + mirrored) / np.sqrt(2)).astype(np.float32)
    across, down = cv2.split(
        cv2.resize(knots, (ALIGNED_SIDE_PX, ALIGNED_SIDE_PX), interpolation=cv2.INTER_CUBIC)
    )
    moved = cv2.remap(
        np.ascontiguousarray(face),
        _ALONG + across,
        _ALONG[:, None] + down,
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(moved, np.uint8)
