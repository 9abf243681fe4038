"""Decisions as callers see them: reasons, hints in their language, profiles, and no shadow."""

import dataclasses

import pytest

from app.hints import hint
from serfiq_core.testing import FakePipeline
from tests.http.service import Service, blank_capture, random_capture
from tests.records import recorded

CAPTURE = random_capture()


class TurnedPipeline(FakePipeline):
    """Every face it finds is turned far away, and nobody knows how sharp it is."""

    def prepare(self, data, *, aligned=False):
        prepared = super().prepare(data, aligned=aligned)
        return dataclasses.replace(
            prepared,
            components=tuple(
                dataclasses.replace(each, native_value=80.0, unit="degree")
                if each.name == "HeadPoseYaw"
                else each
                for each in prepared.components
                if each.name != "Sharpness"
            ),
        )


@pytest.fixture(scope="module")
def turned():
    with Service(TurnedPipeline) as running:
        yield running


def assess(service: Service, image: bytes, *languages: str):
    headers = [("content-type", "image/png"), *(("accept-language", each) for each in languages)]
    response = service.client.post("/quality", content=image, headers=headers)
    assert response.status_code == 200, response.text
    return response


def test_usefulness_attributes_and_what_was_not_assessed_are_told_apart(turned):
    profile = turned.get("/model").json()["profiles"]
    assert "identification" in profile
    answer = turned.assess(CAPTURE, profile="identification").json()
    kinds = {reason["code"]: reason["kind"] for reason in answer["decision"]["reasons"]}
    assert kinds["extreme_pose"] == "attribute"
    assert kinds["not_assessed"] == "assessment"
    low = next(
        reason
        for seed in range(100)
        for reason in turned.assess(random_capture(seed)).json()["decision"]["reasons"]
        if reason["code"] == "low_quality"
    )
    assert low["kind"] == "usefulness"
    assert low["component"] is None
    assert (low["unit"], low["value"] < low["limit"]) == ("0-100", True)


def test_a_reason_names_its_component_with_value_limit_and_unit(turned):
    reasons = turned.assess(CAPTURE).json()["decision"]["reasons"]
    [pose] = [reason for reason in reasons if reason["code"] == "extreme_pose"]
    limit = pose.pop("limit")
    assert 0 < limit < 80
    assert pose == {
        "code": "extreme_pose",
        "kind": "attribute",
        "verdict": "reject",
        "component": "HeadPoseYaw",
        "value": 80.0,
        "unit": "degree",
        "hint": hint("extreme_pose", "en"),
    }
    [missing] = [reason for reason in reasons if reason["code"] == "not_assessed"]
    assert (missing["component"], missing["verdict"]) == ("Sharpness", "reject")
    assert (missing["value"], missing["limit"], missing["unit"]) == (None, None, None)


def verdicts_of(reasons):
    return {reason["verdict"] for reason in reasons}


def test_the_record_has_every_reason_with_its_own_value_and_limit(turned):
    """Of a face that is rejected for its pose, and for its quality alone would be reviewed."""
    captures = map(random_capture, range(100))
    answers = (turned.assess(each).json() for each in captures)
    answer = next(each for each in answers if "review" in verdicts_of(each["decision"]["reasons"]))
    reasons = answer["decision"]["reasons"]
    codes = {reason["code"] for reason in reasons}
    assert codes == {"extreme_pose", "not_assessed", "low_quality"}
    assert answer["decision_record"]["reasons"] == recorded(reasons)


@pytest.mark.parametrize(
    ("languages", "spoken"),
    [
        ((), "en"),
        (("de-AT, en;q=0.5",), "de"),
        (("nl, fr;q=0.3, es;q=0.7",), "es"),
        (("zh-CN",), "zh"),
        (("nl", "fr"), "fr"),
        (("???",), "en"),
    ],
)
def test_hints_are_in_the_language_that_was_asked_for(service, languages, spoken):
    response = assess(service, blank_capture(), *languages)
    assert response.headers["content-language"] == spoken
    assert response.headers["vary"] == "Accept-Language"
    [reason] = response.json()["decision"]["reasons"]
    assert reason["hint"] == hint("no_face", spoken)


def test_the_language_changes_nothing_but_the_hints(turned):
    english, chinese = (assess(turned, CAPTURE, each).json() for each in ("en", "zh"))
    for answer in (english, chinese):
        for field in ("request_id", "decision_record"):
            del answer[field]
        for reason in answer["decision"]["reasons"]:
            del reason["hint"]
    assert english == chinese


def test_each_profile_can_be_asked_for_by_name(service):
    for name, version in service.get("/model").json()["profiles"].items():
        decision = service.assess(CAPTURE, profile=name).json()["decision"]
        assert (decision["profile"], decision["profile_version"]) == (name, version)


def test_a_shadow_profile_never_shows_in_an_answer(service):
    with Service(lambda: FakePipeline(shadow_profile="identification")) as shadowed:
        for image in (CAPTURE, blank_capture()):
            with_shadow = shadowed.assess(image).json()
            without = service.assess(image).json()
            for answer in (with_shadow, without):
                del answer["request_id"]
                for field in ("request_id", "time"):
                    del answer["decision_record"][field]
            assert with_shadow == without
