"""Decisions: every limit from both sides, and no way from a missing value to `accept`."""

import dataclasses
import math

import numpy as np
import pytest

from serfiq_core.decisions.decide import decide
from serfiq_core.decisions.objections import OBJECTIONS
from serfiq_core.decisions.profiles import ComponentLimits, Limit, Profile
from serfiq_core.types import (
    ALIGNED_SIDE_PX,
    Component,
    ComponentName,
    Face,
    PreparedCapture,
    Reason,
)

GREY = np.full((ALIGNED_SIDE_PX, ALIGNED_SIDE_PX, 3), 128, np.uint8)
FACE = Face((0, 0, 100, 100), 0.99, np.zeros((5, 2), np.float32))

YAW = ComponentLimits(
    "HeadPoseYaw",
    "native_value",
    (
        Limit("reject", "below", -30),
        Limit("reject", "above", 30),
        Limit("review", "below", -20),
        Limit("review", "above", 20),
    ),
)
UNIFORMITY = ComponentLimits("IlluminationUniformity", "value", (Limit("reject", "below", 10),))

BARE = Profile("bare", "1", accept_at=20, review_at=5, multiple_faces="reject")
PROFILE = dataclasses.replace(
    BARE,
    name="desk",
    version="7",
    detection_score=(Limit("reject", "below", 0.8), Limit("review", "below", 0.9)),
    components=(YAW, UNIFORMITY),
)


def component(
    name: ComponentName, native_value: float, value: float | None = None, unit: str = "degree"
) -> Component:
    return Component(name, native_value, unit, value, approximate=False)


def capture(
    *components: Component, faces_found: int | None = 1, face: Face | None = FACE
) -> PreparedCapture:
    return PreparedCapture(faces_found, face, GREY, components=components)


GOOD = (component("HeadPoseYaw", 0), component("IlluminationUniformity", 3, 90, "1"))


def scored(detection_score: float) -> Face:
    return dataclasses.replace(FACE, detection_score=detection_score)


def test_accept_has_no_reasons_and_names_the_profile():
    decision = decide(PROFILE, capture(*GOOD), 90)
    assert (decision.verdict, decision.reasons) == ("accept", ())
    assert (decision.profile, decision.profile_version) == ("desk", "7")


@pytest.mark.parametrize(
    ("quality_score", "verdict", "limit"),
    [
        (100.0, "accept", None),
        (20, "accept", None),
        (math.nextafter(20, 0), "review", 20),
        (5, "review", 20),
        (math.nextafter(5, 0), "reject", 5),
        (0.0, "reject", 5),
    ],
)
def test_the_score_is_held_against_both_limits(quality_score, verdict, limit):
    decision = decide(BARE, capture(), quality_score)
    assert decision.verdict == verdict
    if verdict == "accept":
        assert decision.reasons == ()
        return
    [reason] = decision.reasons
    assert reason == Reason("low_quality", verdict, quality_score, limit, "0-100")
    assert reason.kind == "usefulness"


@pytest.mark.parametrize(
    ("yaw", "verdict", "limit"),
    [
        (-31, "reject", -30),
        (-30, "review", -20),
        (-20, "accept", None),
        (20, "accept", None),
        (math.nextafter(20, 90), "review", 20),
        (30, "review", 20),
        (math.nextafter(30, 90), "reject", 30),
    ],
)
def test_a_component_is_held_against_its_limits_on_both_sides(yaw, verdict, limit):
    decision = decide(PROFILE, capture(component("HeadPoseYaw", yaw), GOOD[1]), 90)
    assert decision.verdict == verdict
    if verdict == "accept":
        assert decision.reasons == ()
        return
    [reason] = decision.reasons
    assert reason == Reason("extreme_pose", verdict, yaw, limit, "degree", "HeadPoseYaw")
    assert reason.kind == "attribute"


def test_a_limit_on_the_mapped_value_is_held_against_that():
    uneven = component("IlluminationUniformity", 3, 9.5, "1")
    [reason] = decide(PROFILE, capture(GOOD[0], uneven), 90).reasons
    assert reason == Reason("uneven_light", "reject", 9.5, 10, "0-100", "IlluminationUniformity")


@pytest.mark.parametrize(
    ("score", "verdict", "limit"),
    [(0.9, "accept", None), (0.89, "review", 0.9), (0.8, "review", 0.9), (0.79, "reject", 0.8)],
)
def test_the_detection_score_is_held_against_its_limits(score, verdict, limit):
    decision = decide(PROFILE, capture(*GOOD, face=scored(score)), 90)
    assert decision.verdict == verdict
    expected = [] if limit is None else [Reason("low_detection_score", verdict, score, limit)]
    assert list(decision.reasons) == expected


def test_no_face_is_a_rejection_for_that_alone():
    decision = decide(PROFILE, PreparedCapture(0, None, None), None)
    assert decision.verdict == "reject"
    assert decision.reasons == (Reason("no_face", "reject", 0, 1),)
    assert decision.reasons[0].kind == "attribute"


@pytest.mark.parametrize("policy", ["accept", "review", "reject"])
def test_a_second_face_is_treated_as_the_profile_says(policy):
    profile = dataclasses.replace(PROFILE, multiple_faces=policy)
    decision = decide(profile, capture(*GOOD, faces_found=3), 90)
    assert decision.verdict == policy
    expected = [] if policy == "accept" else [Reason("multiple_faces", policy, 3, 1)]
    assert list(decision.reasons) == expected


def test_all_reasons_are_given_the_gravest_first():
    profile = dataclasses.replace(PROFILE, multiple_faces="review")
    turned, uneven = component("HeadPoseYaw", 25), component("IlluminationUniformity", 3, 1)
    decision = decide(profile, capture(turned, uneven, faces_found=2, face=scored(0.7)), 10)
    assert decision.verdict == "reject"
    assert [(reason.code, reason.verdict) for reason in decision.reasons] == [
        ("low_detection_score", "reject"),
        ("uneven_light", "reject"),
        ("multiple_faces", "review"),
        ("extreme_pose", "review"),
        ("low_quality", "review"),
    ]


@pytest.mark.parametrize("quality_score", [None, math.nan, math.inf, -1.0, 101.0])
def test_a_score_that_is_none_is_not_assessed(quality_score):
    decision = decide(PROFILE, capture(*GOOD), quality_score)
    assert decision.verdict == "reject"
    assert decision.reasons == (Reason("not_assessed", "reject"),)
    assert decision.reasons[0].kind == "assessment"


@pytest.mark.parametrize("uniformity", [None, math.nan, math.inf])
def test_a_limited_component_that_is_no_number_is_named(uniformity):
    decision = decide(
        PROFILE, capture(GOOD[0], component("IlluminationUniformity", 3, uniformity)), 90
    )
    assert decision.reasons == (
        Reason("not_assessed", "reject", component="IlluminationUniformity"),
    )


def test_a_limited_component_that_is_missing_is_named():
    decision = decide(PROFILE, capture(GOOD[0]), 90)
    assert decision.verdict == "reject"
    assert decision.reasons == (
        Reason("not_assessed", "reject", component="IlluminationUniformity"),
    )


def test_a_component_that_is_limited_twice_is_missed_once():
    native = ComponentLimits(
        "IlluminationUniformity", "native_value", (Limit("review", "below", 1),)
    )
    profile = dataclasses.replace(BARE, components=(UNIFORMITY, native))
    decision = decide(profile, capture(), 90)
    assert decision.reasons == (
        Reason("not_assessed", "reject", component="IlluminationUniformity"),
    )


def test_a_component_without_limits_is_nobodys_business():
    assert decide(BARE, capture(component("HeadPoseYaw", math.nan)), 90).verdict == "accept"


@pytest.mark.parametrize(
    "broken",
    [
        capture(*GOOD, face=scored(math.nan)),
        capture(*GOOD, face=scored(1.5)),
        capture(*GOOD, face=None),
        capture(*GOOD, faces_found=None),
        capture(*GOOD, faces_found=-1),
    ],
)
def test_a_detection_that_makes_no_sense_is_not_assessed(broken):
    decision = decide(PROFILE, broken, 90)
    assert decision.verdict == "reject"
    assert decision.reasons == (Reason("not_assessed", "reject"),)


def test_of_an_aligned_face_nothing_is_asked_that_needs_a_detection():
    aligned = capture(GOOD[1], faces_found=None, face=None)
    assert decide(PROFILE, aligned, 90).verdict == "accept"
    uneven = capture(component("IlluminationUniformity", 3, 1), faces_found=None, face=None)
    assert [reason.code for reason in decide(PROFILE, uneven, 90).reasons] == ["uneven_light"]
    bare = capture(faces_found=None, face=None)
    assert decide(PROFILE, bare, 90).reasons == (
        Reason("not_assessed", "reject", component="IlluminationUniformity"),
    )


@pytest.mark.parametrize("name", OBJECTIONS)
@pytest.mark.parametrize("side", ["below", "above"])
def test_each_side_of_each_component_has_its_own_reason(name, side):
    code = getattr(OBJECTIONS[name], side)
    assert (side in OBJECTIONS[name].sides) == (code is not None)
    limits = ComponentLimits(name, "native_value", (Limit("review", side, 0.5),))
    profile = dataclasses.replace(BARE, components=(limits,))
    value = 0.4 if side == "below" else 0.6
    decision = decide(profile, capture(component(name, value)), 90)
    assert decision.verdict == "review"
    assert [reason.code for reason in decision.reasons] == [code or "not_assessed"]
    assert decide(profile, capture(component(name, 1 - value)), 90).verdict == "accept"
