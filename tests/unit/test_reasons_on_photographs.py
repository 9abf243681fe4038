"""The embedded profiles on real photographs: what is off is named, and what is ordinary is not."""

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter

from serfiq_core.loading import load_pipeline
from serfiq_core.packs.registry import embedded_pack
from serfiq_core.types import Decision
from tests.encoded import encoded
from tests.faces import lfw_paths
from tests.photographs import astronaut, enlarged

PORTRAIT = Image.fromarray(enlarged(astronaut(), 1.5))
PHOTOGRAPHS = 40


@pytest.fixture(scope="module")
def pipeline():
    return load_pipeline(embedded_pack(), device="cpu")


def blurred(radius_px: float) -> Callable[[Image.Image], Image.Image]:
    return lambda image: image.filter(ImageFilter.GaussianBlur(radius_px))


def lit(factor: float) -> Callable[[Image.Image], Image.Image]:
    return lambda image: ImageEnhance.Brightness(image).enhance(factor)


DEGRADED: dict[str, tuple[str, str, Callable[[Image.Image], Image.Image]]] = {
    "blurred": ("blurred", "Sharpness", blurred(8)),
    "dark": ("too_dark", "LuminanceMean", lit(0.15)),
    "bright": ("too_bright", "OverExposurePrevention", lit(1.5)),
    "flat": (
        "low_contrast",
        "DynamicRange",
        lambda image: ImageEnhance.Contrast(image).enhance(0.2),
    ),
    "tilted": (
        "extreme_pose",
        "HeadPoseRoll",
        lambda image: image.rotate(30, Image.Resampling.BICUBIC),
    ),
    "small": ("face_too_small", "InterEyeDistance", lambda image: image.resize((330, 330))),
    "cut off": (
        "face_cropped",
        "LeftwardCropOfTheFaceImage",
        lambda image: image.crop((295, 0, 768, 768)),
    ),
}


def decision_of(pipeline, image: Image.Image) -> Decision:
    [assessment] = pipeline.assess([encoded(image, "JPEG", quality=92)])
    return assessment.decision


def test_an_ordinary_portrait_has_nothing_off(pipeline):
    decision = decision_of(pipeline, PORTRAIT)
    assert [reason for reason in decision.reasons if reason.kind != "usefulness"] == []


@pytest.mark.parametrize("name", DEGRADED)
def test_what_is_off_is_named(pipeline, name):
    code, component, degrade = DEGRADED[name]
    decision = decision_of(pipeline, degrade(PORTRAIT))
    assert decision.verdict != "accept"
    assert (code, component) in {(each.code, each.component) for each in decision.reasons}


def test_ordinary_photographs_are_assessed_whole_and_seldom_have_something_off(
    pipeline, shared_data
):
    captures = [path.read_bytes() for path in lfw_paths(shared_data, PHOTOGRAPHS)]
    off = 0
    for assessment in pipeline.assess(captures, profile="enrolment"):
        reasons = assessment.decision.reasons
        assert "not_assessed" not in {reason.code for reason in reasons}
        named = {reason.component for reason in reasons} - {None, "InterEyeDistance"}
        off += bool(named)
    # docs/decisions.md: 5 % of 600.
    assert off <= 0.2 * PHOTOGRAPHS


def test_an_aligned_face_is_assessed_by_what_it_has(pipeline):
    face = np.asarray(PORTRAIT.crop((225, 45, 450, 270)).resize((112, 112)))
    data = encoded(Image.fromarray(face), "PNG")
    for profile in pipeline.info.profiles:
        [assessment] = pipeline.assess([data], aligned=True, profile=profile)
        assert "assessment" not in {reason.kind for reason in assessment.decision.reasons}
