"""What can be objected to in each component, and under which reason.

A side without a reason cannot be limited: nobody is refused for being too sharp. This file knows
what the numbers of components mean, and no profile.
"""

from dataclasses import dataclass
from math import inf
from typing import Literal

from serfiq_core.types import ComponentName, ReasonCode

Side = Literal["below", "above"]


@dataclass(frozen=True, slots=True)
class Objections:
    """The reasons that a native value below or above a limit gives, and a low 0–100 value.

    `low_value` is None where there is no mapping to 0–100, or a low value has several causes that
    must be told apart. `native_range`: where native values lie; a limit elsewhere would never be
    broken, or always. `needs_detection`: an aligned capture has no such component, as its place in
    the photograph is not known.
    """

    below: ReasonCode | None
    above: ReasonCode | None
    low_value: ReasonCode | None
    native_range: tuple[float, float]
    needs_detection: bool = False

    @property
    def sides(self) -> tuple[Side, ...]:
        """Those on which a native value can be limited."""
        reasons: dict[Side, ReasonCode | None] = {"below": self.below, "above": self.above}
        return tuple(side for side, reason in reasons.items() if reason is not None)


def _pose(most_degrees: float) -> Objections:
    turned: ReasonCode = "extreme_pose"
    return Objections(turned, turned, turned, (-most_degrees, most_degrees), needs_detection=True)


_MARGIN = Objections("face_cropped", None, "face_cropped", (-inf, inf), needs_detection=True)

OBJECTIONS: dict[ComponentName, Objections] = {
    "SingleFacePresent": Objections(
        None, "multiple_faces", "multiple_faces", (0, 1), needs_detection=True
    ),
    "InterEyeDistance": Objections(
        "face_too_small", "face_too_large", "face_too_small", (0, inf), needs_detection=True
    ),
    "HeadSize": Objections(
        "face_too_small", "face_too_large", None, (0, inf), needs_detection=True
    ),
    "LeftwardCropOfTheFaceImage": _MARGIN,
    "RightwardCropOfTheFaceImage": _MARGIN,
    "MarginAboveOfTheFaceImage": _MARGIN,
    "MarginBelowOfTheFaceImage": _MARGIN,
    "HeadPoseYaw": _pose(90),
    "HeadPosePitch": _pose(90),
    "HeadPoseRoll": _pose(180),
    "LuminanceMean": Objections("too_dark", "too_bright", None, (0, 1)),
    "LuminanceVariance": Objections("low_contrast", "uneven_light", None, (0, 0.25)),
    "UnderExposurePrevention": Objections(None, "too_dark", "too_dark", (0, 1)),
    "OverExposurePrevention": Objections(None, "too_bright", "too_bright", (0, 1)),
    "DynamicRange": Objections("low_contrast", None, "low_contrast", (0, 8)),
    "IlluminationUniformity": Objections("uneven_light", None, "uneven_light", (0, 1)),
    "Sharpness": Objections("blurred", None, None, (0, 1)),
    "CompressionArtifacts": Objections("compressed", None, None, (0, 1)),
    "NaturalColour": Objections(None, "unnatural_colour", "unnatural_colour", (0, inf)),
}
