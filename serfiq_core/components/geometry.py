"""How large the face is and where it lies in the capture: components that need no pixels.

The T-metric of ISO/IEC 29794-5 goes from the midpoint of the eyes to the chin. Five landmarks have
no chin: here it is a multiple of the distance from eyes to mouth.
"""

from collections.abc import Sequence
from math import cos, hypot, radians, sqrt

from serfiq_core.components.mapping import Sigmoid, clipped, component, ratio
from serfiq_core.types import Component, Face

EYES_TO_CHIN = 1.763
"""Eyes to chin over eyes to mouth corners, in the mean shape of the 98-point WFLW annotations
(Wu et al., CVPR 2018), whose layout is that of OFIQ's landmarks; the mean shape is PIPNet's."""

LARGEST_YAW_CORRECTED = 60.0
"""Degrees. Beyond, 1 / cos(yaw) is more error than correction. OFIQ has no bound."""

INTER_EYE_DISTANCE = Sigmoid(x0=70, w=20)
HEAD_SIZE = Sigmoid(x0=0, w=0.05, h=200, a=1, s=-1)
BEST_HEAD_SIZE = 0.45
CROP_SIDEWAYS = Sigmoid(x0=0.9, w=0.1)
MARGIN_ABOVE = Sigmoid(x0=1.4, w=0.1)
MARGIN_BELOW = Sigmoid(x0=1.8, w=0.1)


def single_face_present(faces: Sequence[Face]) -> Component:
    """How far the first face dominates: `f = √(a₂/a₁)` of the first two boxes; 1 of none.

    Args:
        faces: the one that the capture is about, by the standard the largest, then the largest.
    """
    areas = [face.width_px * face.height_px for face in faces[:2]]
    if len(areas) < 2:
        uniqueness = 0.0 if areas else 1.0
    else:
        uniqueness = sqrt(max(ratio(areas[1], areas[0]), 0.0))
    return component(
        "SingleFacePresent",
        uniqueness,
        "ratio",
        clipped(100 * (1 - uniqueness)),
        approximate=False,
    )


def placement(face: Face, width_px: float, height_px: float, yaw_degrees: float) -> list[Component]:
    """InterEyeDistance, HeadSize, and the four crops and margins.

    Args:
        face: in pixels of the file, as `width_px` and `height_px`.
        yaw_degrees: of the head; NaN leaves InterEyeDistance NaN.
    """
    left, right, _, *mouth = face.landmarks_px.astype(float).tolist()
    between = hypot(right[0] - left[0], right[1] - left[1])
    middle_x, middle_y = (left[0] + right[0]) / 2, (left[1] + right[1]) / 2
    mouth_x, mouth_y = (mouth[0][0] + mouth[1][0]) / 2, (mouth[0][1] + mouth[1][1]) / 2
    eyes_to_chin = EYES_TO_CHIN * hypot(mouth_x - middle_x, mouth_y - middle_y)
    turned = yaw_degrees
    if abs(turned) > LARGEST_YAW_CORRECTED:
        turned = LARGEST_YAW_CORRECTED
    distance = between / cos(radians(turned))
    size = ratio(eyes_to_chin, height_px)
    leftward, rightward = ratio(left[0], between), ratio(width_px - right[0], between)
    above, below = ratio(middle_y, eyes_to_chin), ratio(height_px - middle_y, eyes_to_chin)
    eyes, chin = "inter-eye distances", "distances from eyes to chin"
    return [
        component("InterEyeDistance", distance, "px", INTER_EYE_DISTANCE(distance)),
        component("HeadSize", size, "ratio", HEAD_SIZE(abs(size - BEST_HEAD_SIZE))),
        component(
            "LeftwardCropOfTheFaceImage",
            leftward,
            eyes,
            CROP_SIDEWAYS(leftward),
            approximate=False,
        ),
        component(
            "RightwardCropOfTheFaceImage",
            rightward,
            eyes,
            CROP_SIDEWAYS(rightward),
            approximate=False,
        ),
        component("MarginAboveOfTheFaceImage", above, chin, MARGIN_ABOVE(above)),
        component("MarginBelowOfTheFaceImage", below, chin, MARGIN_BELOW(below)),
    ]
