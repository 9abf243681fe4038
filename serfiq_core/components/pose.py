"""Where the head is turned to, from five landmarks and one generic head.

The landmarks are held against a rigid three-dimensional face, as OpenCV's SQPnP solves it (Terzakis
and Lourakis, ECCV 2020), seen from a distance at which portraits are taken. OFIQ asks a network,
3DDFA_V2, instead. docs/components.md has the errors measured.
"""

from dataclasses import dataclass
from math import atan2, cos, degrees, hypot, nan, radians

import cv2
import numpy as np
import numpy.typing as npt

from serfiq_core.components.mapping import component
from serfiq_core.types import Component, ComponentName

GENERIC_FACE_CM = np.array(
    [
        (-3.15, -2.62, -3.47),
        (3.15, -2.62, -3.47),
        (0.00, 1.13, -7.48),
        (-2.46, 4.34, -4.28),
        (2.46, 4.34, -4.28),
    ]
)
"""The five landmarks on MediaPipe's canonical face (midpoints of the eye corners, nose tip, mouth
corners), as a camera in front of it sees them: x to the right, y down, z away from the camera."""

VIEWING_DISTANCE_CM = 100.0
"""From which portraits are taken; twice or half of it changes the angles by little."""

_CENTRED_FACE = GENERIC_FACE_CM - GENERIC_FACE_CM.mean(0)
_FACE_EXTENT = float(np.sqrt((_CENTRED_FACE[:, :2] ** 2).sum()))


@dataclass(frozen=True, slots=True)
class HeadPose:
    """Degrees, all 0 when the face looks into the camera; NaN where they cannot be told.

    `yaw`: positive where the nose points to the right of the image, the person's left.
    `pitch`: positive where it points down. `roll`: positive where the head leans to the left of the
    image, the person's right shoulder.
    """

    yaw: float
    pitch: float
    roll: float


def head_pose(landmarks_px: npt.NDArray[np.float32]) -> HeadPose:
    """The turn of the generic face that shows the landmarks where they are.

    Args:
        landmarks_px: `5 × 2`, in the order of `Face.landmarks_px`.
    """
    centred = landmarks_px.astype(np.float64) - landmarks_px.mean(0, dtype=np.float64)
    extent = float(np.sqrt((centred**2).sum()))
    if not (np.isfinite(extent) and extent > 0):
        return HeadPose(nan, nan, nan)
    # As a camera of focal length 1 would see the face; where in its picture does not matter.
    seen = centred * (_FACE_EXTENT / VIEWING_DISTANCE_CM / extent)
    found, turn, _ = cv2.solvePnP(_CENTRED_FACE, seen, np.eye(3), None, flags=cv2.SOLVEPNP_SQPNP)
    return (
        _angles(np.asarray(cv2.Rodrigues(turn)[0], np.float64))
        if found
        else HeadPose(nan, nan, nan)
    )


def _angles(rotation: npt.NDArray[np.floating]) -> HeadPose:
    """Of `R = R_z R_y R_x`, the order in which OFIQ reads its angles off."""
    across = hypot(rotation[0, 0], rotation[1, 0])
    return HeadPose(
        yaw=degrees(atan2(rotation[2, 0], across)),
        pitch=degrees(atan2(rotation[2, 1], rotation[2, 2])),
        roll=-degrees(atan2(rotation[1, 0], rotation[0, 0])),
    )


def pose_components(pose: HeadPose) -> list[Component]:
    """HeadPoseYaw, HeadPosePitch, HeadPoseRoll."""
    angles: list[tuple[ComponentName, float]] = [
        ("HeadPoseYaw", pose.yaw),
        ("HeadPosePitch", pose.pitch),
        ("HeadPoseRoll", pose.roll),
    ]
    return [component(name, angle, "degrees", _frontal(angle)) for name, angle in angles]


def _frontal(angle: float) -> float:
    """`100 cos²`, OFIQ's; and 0 from a right angle on, where the square would rise again."""
    return 100 * max(cos(radians(angle)), 0.0) ** 2
