"""Decisions: every limit from both sides, and no way from a missing value to `accept`."""

import dataclasses
import math

import numpy as np
import pytest

from serfiq_core.decide import (
    EMBEDDED_PROFILES,
    HINTS,
    decide,
    read_profiles,
    smallest_inter_eye_distance_px,
)
from serfiq_core.errors import ConfigurationError
from serfiq_core.types import Face

PROFILE = read_profiles()["enrolment"]


def face(inter_eye_distance_px: float) -> Face:
    landmarks = np.zeros((5, 2), np.float32)
    landmarks[1, 0] = inter_eye_distance_px
    return Face((0, 0, 100, 100), 0.99, landmarks)


BIG = face(PROFILE.inter_eye_distance_min_px + 50)


@pytest.mark.parametrize(
    ("quality_score", "verdict"),
    [
        (100.0, "accept"),
        (PROFILE.accept_at, "accept"),
        (math.nextafter(PROFILE.accept_at, 0), "review"),
        (PROFILE.review_at, "review"),
        (math.nextafter(PROFILE.review_at, 0), "reject"),
        (0.0, "reject"),
    ],
)
def test_the_score_is_held_against_both_limits(quality_score, verdict):
    decision = decide(PROFILE, 1, BIG, quality_score)
    assert decision.verdict == verdict
    expected = [] if verdict == "accept" else ["low_quality"]
    assert [reason.code for reason in decision.reasons] == expected
    for reason in decision.reasons:
        assert (reason.value, reason.limit) == (quality_score, PROFILE.accept_at)


def test_no_face_is_a_rejection():
    decision = decide(PROFILE, 0, None, None)
    assert decision.verdict == "reject"
    assert [reason.code for reason in decision.reasons] == ["no_face"]


def test_a_second_face_is_named_with_how_many_there_were():
    decision = decide(PROFILE, 3, BIG, 90)
    assert decision.verdict == PROFILE.multiple_faces == "reject"
    assert [(r.code, r.value) for r in decision.reasons] == [("multiple_faces", 3)]


def test_a_small_face_is_named_with_its_inter_eye_distance():
    limit = PROFILE.inter_eye_distance_min_px
    assert decide(PROFILE, 1, face(limit), 90).verdict == "accept"
    decision = decide(PROFILE, 1, face(limit - 1), 90)
    assert decision.verdict == "reject"
    assert [(r.code, r.value, r.limit) for r in decision.reasons] == [
        ("face_too_small", limit - 1, limit)
    ]


def test_all_reasons_are_given_and_the_worst_counts():
    decision = decide(PROFILE, 2, face(1), PROFILE.review_at)
    assert decision.verdict == "reject"
    codes = [reason.code for reason in decision.reasons]
    assert codes == ["multiple_faces", "face_too_small", "low_quality"]


@pytest.mark.parametrize("quality_score", [None, math.nan, math.inf, -1.0, 101.0])
def test_what_was_not_assessed_is_never_accepted(quality_score):
    decision = decide(PROFILE, 1, BIG, quality_score)
    assert decision.verdict == "reject"
    assert [reason.code for reason in decision.reasons] == ["not_assessed"]


def test_a_face_without_a_distance_is_too_small():
    assert decide(PROFILE, 1, face(math.nan), 90).verdict == "reject"


def test_an_aligned_face_is_held_against_the_score_alone():
    assert decide(PROFILE, None, None, 90).verdict == "accept"


def test_every_reason_has_a_hint():
    assert all(hint.endswith(".") for hint in HINTS.values())


GOOD = EMBEDDED_PROFILES.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no profile"),
        ("[enrolment", "Expected"),
        ("enrolment = 3", "is not a table"),
        (GOOD + "colour = 1", "unknown key colour"),
        (GOOD.replace('version = "1"', ""), "lacks version"),
        (GOOD.replace('version = "1"', "version = 1"), "version must be a text"),
        (GOOD.replace("accept_at = 20", "accept_at = 120"), "from 0 to 100"),
        (GOOD.replace("accept_at = 20", "accept_at = true"), "accept_at must be a number"),
        (GOOD.replace("accept_at = 20", "accept_at = nan"), "accept_at must be a number"),
        (GOOD.replace("review_at = 5", "review_at = 50"), "review_at lies above accept_at"),
        (GOOD.replace('faces = "reject"', 'faces = "maybe"'), "accept, review, reject"),
        (GOOD.replace('faces = "reject"', "faces = []"), "accept, review, reject"),
    ],
)
def test_a_wrong_profile_is_refused_by_name(tmp_path, text, message):
    path = tmp_path / "profiles.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=message) as caught:
        read_profiles(path)
    assert str(path) in str(caught.value)


def test_a_missing_profile_file_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match=r"nowhere\.toml"):
        read_profiles(tmp_path / "nowhere.toml")


def test_the_smallest_inter_eye_distance_is_that_of_the_least_demanding_profile():
    strict = dataclasses.replace(PROFILE, inter_eye_distance_min_px=90)
    smallest = PROFILE.inter_eye_distance_min_px
    assert smallest_inter_eye_distance_px([strict, PROFILE, strict]) == smallest
    assert smallest_inter_eye_distance_px([]) == 0
