"""All components of one capture, in one pass. This file knows no detector and no recogniser."""

from collections.abc import Sequence
from math import isfinite

import cv2
import numpy as np
import numpy.typing as npt

from serfiq_core.align import ARCFACE_TEMPLATE_PX, similarity
from serfiq_core.components.colour import natural_colour
from serfiq_core.components.detail import (
    LARGEST_REGION_PX,
    compression_artifacts,
    sharpness,
)
from serfiq_core.components.face_region import Mask, luminance, visible_hull
from serfiq_core.components.geometry import placement, single_face_present
from serfiq_core.components.light import light_components
from serfiq_core.components.pose import head_pose, pose_components
from serfiq_core.types import ALIGNED_SIDE_PX, AlignedFace, Component, Face, Pixels, Sample

OFIQ_TEMPLATE_PX = np.array([(251, 272), (364, 272), (308, 336), (262, 402), (355, 402)])
"""Where the five landmarks are in the 616×616 faces of OFIQ (`utils.cpp`, `alignImage`)."""

PATCH_PX = int(0.3 * (364 - 251))
PATCH_LEFT_PX, PATCH_RIGHT_PX = 251 - PATCH_PX, 364
PATCH_TOP_PX = 272 + (402 - 272) // 2
"""One patch of each cheek, outward of the eyes, halfway down to the mouth, in those faces
(`image_utils.cpp`, `CalculateRegionOfInterest`)."""


def _to_patches() -> npt.NDArray[np.float64]:
    to_strip = similarity(ARCFACE_TEMPLATE_PX, OFIQ_TEMPLATE_PX)
    to_strip[:, 2] -= (PATCH_LEFT_PX, PATCH_TOP_PX)
    return to_strip


_TO_PATCHES = _to_patches()


def components_of(
    sample: Sample, faces: Sequence[Face], aligned: AlignedFace
) -> tuple[Component, ...]:
    """Every component of the first face that can be computed; the others are left out.

    Args:
        sample: the capture.
        faces: found in it, at least one: the one that the capture is about, then the others, the
            largest first; in pixels of the file.
        aligned: the first, aligned.
    """
    face, reduction = faces[0], sample.reduction
    height, width = sample.pixels.shape[:2]
    pose = head_pose(face.landmarks_px)
    in_sample = face.scaled(1 / reduction)
    to_template = similarity(in_sample.landmarks_px, ARCFACE_TEMPLATE_PX)
    return _computed(
        single_face_present(faces),
        *placement(face, width * reduction, height * reduction, pose.yaw),
        *pose_components(pose),
        *_of_aligned(aligned, visible_hull(to_template, width, height)),
        compression_artifacts(sample.pixels, _region(in_sample, sample.pixels), reduction),
    )


def components_without_face() -> tuple[Component, ...]:
    """What can be said of a capture in which no face was found."""
    return (single_face_present(()),)


def components_of_aligned(aligned: AlignedFace) -> tuple[Component, ...]:
    """Of a capture that came aligned: what needs neither landmarks nor the rest of the picture."""
    whole = (0, 0, ALIGNED_SIDE_PX, ALIGNED_SIDE_PX)
    return _computed(
        *_of_aligned(aligned, visible_hull(None, ALIGNED_SIDE_PX, ALIGNED_SIDE_PX)),
        compression_artifacts(aligned, whole, reduction=1),
    )


def _of_aligned(aligned: AlignedFace, face: Mask | None) -> list[Component]:
    if face is None:
        return []
    strip = np.asarray(
        cv2.warpAffine(aligned, _TO_PATCHES, (PATCH_RIGHT_PX - PATCH_LEFT_PX + PATCH_PX, PATCH_PX)),
        np.uint8,
    )
    cheeks = np.hstack((strip[:, :PATCH_PX], strip[:, -PATCH_PX:]))
    light = luminance(cheeks)
    return [
        *light_components(luminance(aligned), face, light[:, :PATCH_PX], light[:, PATCH_PX:]),
        sharpness(aligned, face),
        natural_colour(cheeks),
    ]


def _region(face: Face, pixels: Pixels) -> tuple[int, int, int, int]:
    """The face's box within the image; of a large one, the middle."""
    height, width = pixels.shape[:2]
    left, top, right, bottom = face.box_px
    half_width = min(right - left, LARGEST_REGION_PX) / 2
    half_height = min(bottom - top, LARGEST_REGION_PX) / 2
    x, y = (left + right) / 2, (top + bottom) / 2
    edges = (x - half_width, y - half_height, x + half_width, y + half_height)
    if not np.isfinite(edges).all():
        return (0, 0, 0, 0)
    return (
        int(np.clip(edges[0], 0, width)),
        int(np.clip(edges[1], 0, height)),
        int(np.clip(edges[2], 0, width)),
        int(np.clip(edges[3], 0, height)),
    )


def _computed(*components: Component | None) -> tuple[Component, ...]:
    """Without those that are no number: a limit on one of them must find it missing."""
    return tuple(one for one in components if one is not None and _is_number(one))


def _is_number(one: Component) -> bool:
    return isfinite(one.native_value) and (one.value is None or isfinite(one.value))
