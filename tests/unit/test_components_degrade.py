"""Each component falls when real faces get worse in its respect, and only then is it worth a limit.

The bound is the mean over faces of the Spearman coefficient of severity and component, −0.9.
"""

import cv2
import numpy as np
import pytest

from serfiq_core.align import align
from serfiq_core.components.capture import components_of
from serfiq_core.components.pose import GENERIC_FACE_CM, head_pose, pose_components
from serfiq_core.detection.mtcnn import MtcnnDetector
from serfiq_core.types import Face, Pixels
from tests import degraded
from tests.degraded import SEVERITIES, Degradation, within_face_correlation
from tests.photographs import photograph, sample

FACES = 6
BOUND = -0.9

SAME_FACE: list[tuple[str, str, Degradation]] = [
    ("Sharpness", "native_value", degraded.blurred),
    ("CompressionArtifacts", "native_value", degraded.compressed),
    ("LuminanceMean", "value", degraded.darkened),
    ("UnderExposurePrevention", "value", degraded.darkened),
    ("OverExposurePrevention", "value", degraded.brightened),
    ("LuminanceVariance", "native_value", degraded.flattened),
    ("DynamicRange", "value", degraded.flattened),
    ("IlluminationUniformity", "value", degraded.lit_from_one_side),
    ("NaturalColour", "value", degraded.tinted),
]
"""Looked at where the face was found in the photograph as it was."""

FOUND_AGAIN: list[tuple[str, str, Degradation]] = [
    ("SingleFacePresent", "value", degraded.joined),
    ("InterEyeDistance", "value", degraded.farther_away),
    ("HeadSize", "value", degraded.farther_away),
    ("LeftwardCropOfTheFaceImage", "value", degraded.cut_left),
    ("RightwardCropOfTheFaceImage", "value", degraded.cut_right),
    ("MarginAboveOfTheFaceImage", "value", degraded.cut_above),
    ("MarginBelowOfTheFaceImage", "value", degraded.cut_below),
    ("HeadPoseRoll", "value", degraded.leaning),
]
"""The detector looks at each photograph anew."""


@pytest.fixture(scope="module")
def detector():
    return MtcnnDetector()


@pytest.fixture(scope="module")
def portraits(detector, shared_data) -> list[tuple[Pixels, Face]]:
    """One face each, of different people, in colour."""
    folders = sorted((shared_data / "lfw" / "images").iterdir())
    chosen: list[tuple[Pixels, Face]] = []
    for folder in folders[:: len(folders) // 40]:
        if len(chosen) == FACES:
            break
        pixels = photograph(min(folder.iterdir()))
        faces = detector.detect(sample(pixels))
        if len(faces) == 1 and _is_evenly_lit_in_colour(pixels, faces[0]):
            chosen.append((pixels, faces[0]))
    assert len(chosen) == FACES
    return chosen


@pytest.mark.parametrize(("name", "attribute", "degrade"), SAME_FACE)
def test_falls_with_the_pixels(portraits, name, attribute, degrade):
    values = []
    for pixels, face in portraits:
        row = []
        for severity in SEVERITIES:
            worse = sample(degrade(pixels, face, severity))
            aligned = align(worse.pixels, face.landmarks_px)
            row.append(_named(components_of(worse, [face], aligned), name, attribute))
        values.append(row)
    assert within_face_correlation(values) <= BOUND


@pytest.mark.parametrize(("name", "attribute", "degrade"), FOUND_AGAIN)
def test_falls_with_what_is_found(detector, portraits, name, attribute, degrade):
    values = []
    for pixels, face in portraits:
        row = []
        for severity in SEVERITIES:
            worse = sample(degrade(pixels, face, severity))
            faces = detector.detect(worse)
            aligned = align(worse.pixels, faces[0].landmarks_px)
            row.append(_named(components_of(worse, faces, aligned), name, attribute))
        values.append(row)
    assert within_face_correlation(values) <= BOUND


@pytest.mark.parametrize(("name", "axis"), [("HeadPoseYaw", 1), ("HeadPosePitch", 0)])
def test_falls_as_the_head_turns(portraits, name, axis):
    """The landmarks of each face, given the depth of the generic one and turned further."""
    values = []
    for _, face in portraits:
        pose = head_pose(face.landmarks_px)
        start = (pose.pitch, -pose.yaw)[axis]
        sign = 1 if start >= 0 else -1
        rows = [_turned(face.landmarks_px, axis, sign * 8 * severity) for severity in SEVERITIES]
        values.append([_named(pose_components(head_pose(row)), name, "value") for row in rows])
    assert within_face_correlation(values) <= BOUND


def _is_evenly_lit_in_colour(pixels, face):
    """Black and white has no natural colour to lose, and light from one side nothing even."""
    aligned = align(pixels, face.landmarks_px)
    components = components_of(sample(pixels), [face], aligned)
    evenly_lit = _named(components, "IlluminationUniformity", "value") > 70
    return evenly_lit and _named(components, "NaturalColour", "value") > 90


def _turned(landmarks_px, axis, degrees):
    centred = landmarks_px - landmarks_px.mean(0)
    model = GENERIC_FACE_CM - GENERIC_FACE_CM.mean(0)
    depth = model[:, 2] * np.sqrt((centred**2).sum() / (model[:, :2] ** 2).sum())
    rotation = cv2.Rodrigues(np.eye(3)[axis] * np.radians(degrees))[0]
    return (np.column_stack((centred, depth)) @ rotation.T)[:, :2].astype(np.float32)


def _named(components, name, attribute):
    (found,) = (getattr(one, attribute) for one in components if one.name == name)
    return found
