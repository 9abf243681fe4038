"""Profiles: what a file may say, and where it is told that it is wrong."""

import dataclasses
import itertools
from pathlib import Path

import pytest

from serfiq_core.decisions.profiles import (
    EMBEDDED_PROFILES,
    ComponentLimits,
    Limit,
    Profile,
    in_force,
    read_profiles,
    smallest_inter_eye_distance_px,
    wanted_inter_eye_distance_px,
)
from serfiq_core.errors import ConfigurationError

GOOD = """\
# Our own.
[desk]
version = "2026-11"
accept_at = 20
review_at = 5.5
multiple_faces = "review"
detection_score = { reject_below = 0.8, review_below = 0.9 }

[desk.native_value]
HeadPoseYaw = { reject_below = -30, review_below = -20, review_above = 20, reject_above = 30 }
InterEyeDistance.reject_below = 40

[desk.value]
DynamicRange = { review_below = 10 }

[gate]
version = "1"
accept_at = 5
review_at = 5
multiple_faces = "accept"
"""


def read(tmp_path: Path, text: str, encoding: str = "utf-8") -> dict[str, Profile]:
    path = tmp_path / "profiles.toml"
    path.write_text(text, encoding=encoding)
    return read_profiles(path)


def test_a_profile_says_what_its_file_says(tmp_path):
    desk = Profile(
        name="desk",
        version="2026-11",
        accept_at=20,
        review_at=5.5,
        multiple_faces="review",
        detection_score=(Limit("reject", "below", 0.8), Limit("review", "below", 0.9)),
        components=(
            ComponentLimits("InterEyeDistance", "native_value", (Limit("reject", "below", 40),)),
            ComponentLimits(
                "HeadPoseYaw",
                "native_value",
                (
                    Limit("reject", "below", -30),
                    Limit("reject", "above", 30),
                    Limit("review", "below", -20),
                    Limit("review", "above", 20),
                ),
            ),
            ComponentLimits("DynamicRange", "value", (Limit("review", "below", 10),)),
        ),
    )
    assert read(tmp_path, GOOD) == {"desk": desk, "gate": Profile("gate", "1", 5, 5, "accept")}


def test_the_first_profile_of_the_file_comes_first(tmp_path):
    assert list(read(tmp_path, GOOD)) == ["desk", "gate"]


def test_editors_on_windows_may_write_it(tmp_path):
    windows = GOOD.replace("\n", "\r\n")
    assert read(tmp_path, windows, "utf-8-sig") == read(tmp_path, GOOD)


def test_the_embedded_profiles_go_from_default_to_strict():
    profiles = read_profiles()
    assert list(profiles) == ["enrolment", "verification", "identification"]
    lax, default, strict = (
        profiles[name] for name in ("verification", "enrolment", "identification")
    )
    assert lax.accept_at < default.accept_at < strict.accept_at
    assert lax.review_at < default.review_at < strict.review_at


def test_an_embedded_profile_limits_no_less_than_a_laxer_one():
    """Whatever one of them rejects or reviews, the next stricter one does not let pass."""
    profiles = read_profiles()
    order = ("verification", "enrolment", "identification")
    for laxer, stricter in itertools.pairwise(order):
        limits = {(each.component, each.scale): each for each in profiles[stricter].components}
        for lax in profiles[laxer].components:
            strict = limits[lax.component, lax.scale]
            for limit in lax.limits:
                [same] = [
                    other
                    for other in strict.limits
                    if (other.verdict, other.side) == (limit.verdict, limit.side)
                ]
                assert same.at >= limit.at if limit.side == "below" else same.at <= limit.at


YAW = "HeadPoseYaw = { reject_below = -30, review_below = -20, review_above = 20, reject_above = 30"

WRONG = {
    # Unknown keys.
    "unknown key": (
        'multiple_faces = "review"\n',
        'multiple_faces = "review"\ncolour = 1\n',
        7,
        "colour",
        "is not known; known are version, accept_at",
    ),
    "misspelt key": ("accept_at = 20", "acept_at = 20", 4, "acept_at", "mean accept_at"),
    "component that does not exist": (
        "DynamicRange =",
        "DynamicRang =",
        14,
        "value.DynamicRang",
        "did you mean DynamicRange",
    ),
    "component like no other": ("DynamicRange =", "Charm =", 14, "value.Charm", "known are Single"),
    "misspelt limit": (
        "reject_below = 40",
        "reject_bellow = 40",
        11,
        "native_value.InterEyeDistance.reject_bellow",
        "did you mean reject_below",
    ),
    # Wrong types.
    "number as a text": ("accept_at = 20", 'accept_at = "20"', 4, "accept_at", "from 0 to 100"),
    "truth as a number": ("accept_at = 20", "accept_at = true", 4, "accept_at", "a number"),
    "no number": ("accept_at = 20", "accept_at = nan", 4, "accept_at", "not nan"),
    "no percentage": ("accept_at = 20", "accept_at = 120", 4, "accept_at", "not 120"),
    "number as a version": ('"2026-11"', "2026", 3, "version", "a text in quotes"),
    "blank version": ('"2026-11"', '" "', 3, "version", "a text in quotes"),
    "date as a version": ('"2026-11"', "2026-11-01", 3, "version", "a text in quotes"),
    "no verdict": ('"review"', '"perhaps"', 6, "multiple_faces", "accept, review, reject"),
    "list as a verdict": ('"review"', "[]", 6, "multiple_faces", "accept, review, reject"),
    "number as a limit table": (
        "{ review_below = 10 }",
        "10",
        14,
        "value.DynamicRange",
        "must be a table, not 10",
    ),
    "list as a table of limits": (
        "[desk.value]\nDynamicRange = { review_below = 10 }",
        "[[desk.value]]",
        13,
        "value",
        "must be a table",
    ),
    "text as a limit": (
        "reject_below = 40",
        'reject_below = "40px"',
        11,
        "native_value.InterEyeDistance.reject_below",
        "must be a number",
    ),
    "infinite limit": (
        "reject_below = 40",
        "reject_below = inf",
        11,
        "native_value.InterEyeDistance.reject_below",
        "must be a number from 0, not inf",
    ),
    "limit beyond all floats": (
        "reject_below = 40",
        "reject_below = 1" + 400 * "0",
        11,
        "native_value.InterEyeDistance.reject_below",
        "must be a number from 0",
    ),
    # Contradictions.
    "review above accept": (
        "review_at = 5.5",
        "review_at = 50",
        5,
        "review_at",
        "is 50 and lies above accept_at, 20",
    ),
    "review on the wrong side": (
        "review_below = -20",
        "review_below = -40",
        10,
        "native_value.HeadPoseYaw.review_below",
        "is -40 and must lie above reject_below, -30",
    ),
    "review on the wrong side, above": (
        "review_above = 20",
        "review_above = 35",
        10,
        "native_value.HeadPoseYaw.reject_above",
        "is 30 and must lie above review_above, 35",
    ),
    "review where all is rejected already": (
        "review_below = -20",
        "review_below = -30",
        10,
        "native_value.HeadPoseYaw.review_below",
        "is -30 and must lie above reject_below, -30",
    ),
    "least above most": (
        YAW,
        "HeadPoseYaw = { reject_below = 20, reject_above = -20",
        10,
        "native_value.HeadPoseYaw.reject_above",
        "is -20 and must lie above reject_below, 20",
    ),
    # Without effect, or with one that nobody can want.
    "limit that limits nothing": (
        "{ review_below = 10 }",
        "{}",
        14,
        "value.DynamicRange",
        "limits nothing: give it some of reject_below",
    ),
    "limit against the better": (
        "{ review_below = 10 }",
        "{ review_above = 10 }",
        14,
        "value.DynamicRange.review_above",
        "would refuse the better ones: use below",
    ),
    "limit out of reach": (
        YAW,
        "HeadPoseYaw = { reject_above = 300",
        10,
        "native_value.HeadPoseYaw.reject_above",
        "must be a number from -90 to 90, not 300",
    ),
    "value with several causes": (
        "DynamicRange =",
        "LuminanceMean =",
        14,
        "value.LuminanceMean",
        "several causes; use native_value",
    ),
    "detection score in percent": (
        "{ reject_below = 0.8",
        "{ reject_below = 80",
        7,
        "detection_score.reject_below",
        "from 0 to 1, not 80",
    ),
    "lower detection scores wanted": (
        "{ reject_below = 0.8",
        "{ reject_above = 0.8",
        7,
        "detection_score.reject_above",
        "would refuse the better ones",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_profile_is_refused_with_file_line_profile_and_key(tmp_path, case):
    old, new, line, key, complaint = WRONG[case]
    assert GOOD.count(old) == 1
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path, GOOD.replace(old, new))
    message = str(caught.value)
    start = f"{tmp_path / 'profiles.toml'}, line {line}: profile desk: {key} "
    assert message.startswith(start)
    assert complaint in message.removeprefix(start)


@pytest.mark.parametrize(
    ("text", "line", "complaint"),
    [
        ("enrolment = 3", 1, "profile enrolment: must be a table, not 3"),
        ("\n[[enrolment]]\naccept_at = 1", 2, "profile enrolment: must be a table"),
        (GOOD.replace('version = "1"\n', ""), 16, "profile gate: lacks version"),
        ('# x\n["für alle"]\n', 2, "profile für alle: a name is made of"),
        ('[""]\n', 1, "profile : a name is made of"),
    ],
)
def test_a_whole_profile_can_be_wrong(tmp_path, text, line, complaint):
    with pytest.raises(ConfigurationError, match=f", line {line}: {complaint}"):
        read(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "holds no profile"),
        ("# nothing\n", "holds no profile"),
        ("[enrolment", r"\(at end of document\)"),
        ("a = 1\nb == 2\n", r"\(at line 2, column 4\)"),
        (GOOD + "\n[gate]\n", r"twice \(at line 22, column 6\)"),
        (
            GOOD.replace("[desk.value]", "[desk.native_value]"),
            r"twice \(at line 13, column 19\)",
        ),
        (
            GOOD.replace("InterEyeDistance.reject_below", "HeadPoseYaw.reject_below"),
            r"\(at line 11, ",
        ),
        (GOOD.replace("review_at = 5.5", "accept_at = 5"), r"overwrite.*\(at line 5, column 14\)"),
    ],
)
def test_what_is_no_toml_or_says_something_twice_is_refused_with_its_line(
    tmp_path, text, complaint
):
    with pytest.raises(ConfigurationError, match=complaint) as caught:
        read(tmp_path, text)
    assert str(tmp_path / "profiles.toml") in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match=r"nowhere\.toml"):
        read_profiles(tmp_path / "nowhere.toml")
    latin = tmp_path / "latin.toml"
    latin.write_bytes('[a]\nversion = "für"'.encode("latin-1"))
    with pytest.raises(ConfigurationError, match=r"latin\.toml: 'utf-8'"):
        read_profiles(latin)


def test_the_smallest_inter_eye_distance_is_that_of_the_least_demanding_profile(tmp_path):
    desk = read(tmp_path, GOOD)["desk"]
    strict = dataclasses.replace(
        desk,
        components=(
            ComponentLimits(
                "InterEyeDistance",
                "native_value",
                (Limit("reject", "below", 90), Limit("review", "below", 120)),
            ),
        ),
    )
    assert smallest_inter_eye_distance_px([strict, desk, strict]) == 40
    assert smallest_inter_eye_distance_px([strict]) == 90
    assert smallest_inter_eye_distance_px([]) == 0


def test_a_profile_without_a_limit_in_pixels_wants_every_face(tmp_path):
    profiles = read(tmp_path, GOOD)
    assert smallest_inter_eye_distance_px(profiles.values()) == 0
    mapped = ComponentLimits("InterEyeDistance", "value", (Limit("reject", "below", 50),))
    other = dataclasses.replace(profiles["gate"], components=(mapped,))
    assert smallest_inter_eye_distance_px([profiles["desk"], other]) == 0


def test_the_embedded_file_explains_every_key_it_may_hold():
    text = EMBEDDED_PROFILES.read_text(encoding="utf-8")
    comments = "\n".join(line for line in text.splitlines() if line.startswith("#"))
    for key in ("accept_at", "review_at", "multiple_faces", "detection_score", "native_value"):
        assert key in comments


def test_a_profile_in_the_shadow_is_not_in_force_unless_it_is_the_default(tmp_path):
    profiles = read(tmp_path, GOOD)
    assert [each.name for each in in_force(profiles, None)] == ["desk", "gate"]
    assert [each.name for each in in_force(profiles, "gate")] == ["desk"]
    assert [each.name for each in in_force(profiles, "desk")] == ["desk", "gate"]
    path = tmp_path / "profiles.toml"
    assert wanted_inter_eye_distance_px(path) == 0
    assert wanted_inter_eye_distance_px(path, "gate") == 40
