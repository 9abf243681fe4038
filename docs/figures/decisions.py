"""What is ordinary, and what each embedded profile says of it: tables as in docs/decisions.md.

    python docs/figures/decisions.py DATA --pack compact

600 photographs of subjects whom `serfiq train compact` keeps out, and 60 of them degraded. DATA holds `lfw/`.
"""

import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from common import halves_of_lfw, parser, pipeline_of
from PIL import Image, ImageEnhance, ImageFilter

from serfiq_core.decisions.decide import decide
from serfiq_core.decisions.profiles import Profile, read_profiles
from serfiq_core.types import (
    Assessment,
    ComponentName,
    Decision,
    PreparedCapture,
    Reason,
    ReasonCode,
)

PHOTOGRAPHS = 600
DEGRADED = 60
QUALITY = 92
"""Of JPEG, as a degraded photograph is handed in."""

Degradation = Callable[[Image.Image], Image.Image]


def jpeg(image: Image.Image, quality: int = QUALITY) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def compressed(quality: int) -> Degradation:
    return lambda image: Image.open(io.BytesIO(jpeg(image, quality)))


def blurred(radius_px: float) -> Degradation:
    return lambda image: image.filter(ImageFilter.GaussianBlur(radius_px))


def lit(factor: float) -> Degradation:
    return lambda image: ImageEnhance.Brightness(image).enhance(factor)


def half_in_shadow(image: Image.Image) -> Image.Image:
    """The left half has 0.15 of its light."""
    pixels = np.array(image, np.float32)
    pixels[:, : image.width // 2] *= 0.15
    return Image.fromarray(pixels.astype(np.uint8))


DEGRADATIONS: Mapping[str, tuple[Degradation, set[ReasonCode]]] = {
    "Gaussian blur, 2 px": (blurred(2), {"blurred"}),
    "Gaussian blur, 4 px": (blurred(4), {"blurred"}),
    "half the size": (
        lambda image: image.resize((125, 125), Image.Resampling.LANCZOS),
        {"face_too_small"},
    ),
    "62 px, enlarged again": (
        lambda image: image.resize((62, 62)).resize((250, 250)),
        {"blurred"},
    ),
    "0.3 of the light": (lit(0.3), {"too_dark"}),
    "0.1 of the light": (lit(0.1), {"too_dark", "no_face"}),
    "twice the light": (lit(2), {"too_bright", "no_face"}),
    "three times the light": (lit(3), {"too_bright", "no_face"}),
    "0.2 of the contrast": (
        lambda image: ImageEnhance.Contrast(image).enhance(0.2),
        {"low_contrast", "no_face"},
    ),
    "half in shadow": (half_in_shadow, {"low_quality"}),
    "turned by 25°": (
        lambda image: image.rotate(25, Image.Resampling.BICUBIC),
        {"extreme_pose"},
    ),
    "chin cut off": (lambda image: image.crop((0, 0, 250, 165)), {"face_cropped"}),
    "one side cut off": (lambda image: image.crop((100, 0, 250, 250)), {"face_cropped"}),
    "JPEG quality 10": (compressed(10), {"low_quality"}),
    "JPEG quality 3": (compressed(3), {"low_quality"}),
}
"""What is done to a photograph, and the reasons that fit it: any of them."""

SHOWN: Mapping[ComponentName, Sequence[str]] = {
    "InterEyeDistance": ("half the size",),
    "LeftwardCropOfTheFaceImage": ("one side cut off",),
    "RightwardCropOfTheFaceImage": (),
    "MarginAboveOfTheFaceImage": (),
    "MarginBelowOfTheFaceImage": ("chin cut off",),
    "HeadPoseYaw": (),
    "HeadPosePitch": (),
    "HeadPoseRoll": ("turned by 25°",),
    "LuminanceMean": ("0.3 of the light",),
    "UnderExposurePrevention": ("0.3 of the light",),
    "OverExposurePrevention": ("twice the light",),
    "DynamicRange": ("0.2 of the contrast", "0.3 of the light"),
    "Sharpness": ("Gaussian blur, 2 px", "Gaussian blur, 4 px"),
}
"""Components that the embedded profiles limit, and the degradations that they are for."""


def captures(photographs: Sequence[Path]) -> Iterator[tuple[str, bytes]]:
    """Each photograph, and the first few degraded, with the name of what was done to it."""
    for number, path in enumerate(photographs):
        data = path.read_bytes()
        yield "none", data
        if number < DEGRADED:
            image = Image.open(io.BytesIO(data)).convert("RGB")
            for name, (degradation, _) in DEGRADATIONS.items():
                yield name, jpeg(degradation(image))


def held_against(profile: Profile, assessments: Iterable[Assessment]) -> list[Decision]:
    return [
        decide(
            profile,
            PreparedCapture(each.faces_found, each.face, each.aligned, {}, each.components),
            each.quality_score,
        )
        for each in assessments
    ]


def print_components(seen: Mapping[str, Sequence[Assessment]]) -> None:
    """What is ordinary, and the medians of what is not."""
    print("| component | 1 % – median – 99 % | degraded, median |\n|---|---|---|")
    for name, kinds in SHOWN.items():
        low, middle, high = np.percentile(_native(seen["none"], name), [1, 50, 99])
        medians = (f"{np.median(_native(seen[kind], name)):.2g}, {kind}" for kind in kinds)
        print(f"| {name} | {low:.3g} – {middle:.3g} – {high:.3g} | {'; '.join(medians)} |")
    detection = [each.face.detection_score for each in seen["none"] if each.face]
    in_shadow = np.mean(_native(seen["none"], "IlluminationUniformity") == 0)
    print(f"\nlowest detection score {min(detection):.2f}", end=", ")
    print(f"IlluminationUniformity 0 in {in_shadow:.1%}\n")


def _native(assessments: Iterable[Assessment], name: ComponentName) -> npt.NDArray[np.float64]:
    return np.array([c.native_value for a in assessments for c in a.components if c.name == name])


def print_profile(profile: Profile, decisions: Sequence[Decision]) -> None:
    """What becomes of ordinary photographs, and for which reasons."""
    verdicts = Counter(decision.verdict for decision in decisions)
    print(
        f"## {profile.name}:",
        ", ".join(f"{v} {n / len(decisions):.1%}" for v, n in verdicts.items()),
    )
    given = Counter(
        reason
        for decision in decisions
        for reason in {(r.code, r.component or "", r.verdict) for r in decision.reasons}
    )
    for reason, count in given.most_common():
        print(f"   {count / len(decisions):.1%}", *reason)
    other = [[r for r in decision.reasons if _other_attribute(r)] for decision in decisions]
    rejected = sum(any(r.verdict == "reject" for r in reasons) for reasons in other)
    print(f"   any other attribute: {sum(map(bool, other)) / len(other):.1%},", end=" ")
    print(f"rejected {rejected / len(other):.1%}\n")


def _other_attribute(reason: Reason) -> bool:
    """Than how many faces, and how large."""
    numbers = reason.code == "multiple_faces" or reason.component == "InterEyeDistance"
    return reason.kind == "attribute" and not numbers


def print_degraded(profile: Profile, seen: Mapping[str, Sequence[Assessment]]) -> None:
    """How many of each degradation are accepted, and how many are given a reason that fits."""
    print(f"| degradation | accepted by {profile.name} | reason that fits | given | all reasons |")
    print("|---|---|---|---|---|")
    for kind, (_, fitting) in DEGRADATIONS.items():
        decisions = held_against(profile, seen[kind])
        accepted = np.mean([decision.verdict == "accept" for decision in decisions])
        codes = [{reason.code for reason in decision.reasons} for decision in decisions]
        given = np.mean([not fitting.isdisjoint(each) for each in codes])
        counted = Counter(code for each in codes for code in each).most_common()
        shares = ", ".join(f"{code} {count / len(codes):.0%}" for code, count in counted)
        reasons = " or ".join(sorted(fitting))
        print(f"| {kind} | {accepted:.0%} | {reasons} | {given:.0%} | {shares} |")


def main() -> None:
    arguments = parser(__doc__, "data")
    arguments.add_argument("--pack", default="compact")
    options = arguments.parse_args()
    _, tested = halves_of_lfw(options.data)
    chosen = np.random.default_rng(0).choice(len(tested), PHOTOGRAPHS, replace=False)
    pipeline = pipeline_of(options.pack)
    seen: dict[str, list[Assessment]] = {}
    for kind, data in captures([tested[place].path for place in chosen]):
        seen.setdefault(kind, []).extend(pipeline.assess([data]))
    print_components(seen)
    profiles = read_profiles()
    for profile in profiles.values():
        print_profile(profile, held_against(profile, seen["none"]))
    print_degraded(profiles["enrolment"], seen)


if __name__ == "__main__":
    main()
