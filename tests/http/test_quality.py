"""`POST /quality`: its three body forms, its options, and every field of its answer."""

import base64
import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from serfiq_core.testing import FAKE_INFO, FakePipeline
from serfiq_core.types import Component, FaceScores, Score
from tests.http.service import (
    Service,
    assert_problem,
    blank_capture,
    encoded,
    png,
    random_capture,
)
from tests.records import recorded

CAPTURE = random_capture()


def pixels(seed: int, height: int = 120, width: int = 160) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def scores_of(answer: dict[str, Any]) -> tuple[Any, ...]:
    return answer["quality_score"], answer["raw_score"], answer["sampled"], answer["closed_form"]


def test_the_three_body_forms_give_the_same_answer(service):
    raw = service.assess(CAPTURE)
    form = service.client.post("/quality", files={"image": ("anything.exe", CAPTURE)})
    text = base64.b64encode(CAPTURE).decode()
    as_json = service.client.post("/quality", json={"image": text})
    assert [r.status_code for r in (raw, form, as_json)] == [200, 200, 200]
    assert scores_of(raw.json()) == scores_of(form.json()) == scores_of(as_json.json())


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "BMP"])
def test_each_image_type_is_taken(service, form):
    data = encoded(pixels(1), form)
    headers = {"content-type": f"image/{form.lower()}"}
    response = service.client.post("/quality", content=data, headers=headers)
    assert response.status_code == 200, response.text
    assert response.json()["faces_found"] == 1


def test_the_bytes_decide_not_the_content_type(service):
    headers = {"content-type": "image/bmp"}
    response = service.client.post("/quality", content=CAPTURE, headers=headers)
    assert scores_of(response.json()) == scores_of(service.assess(CAPTURE).json())


def test_a_part_of_a_form_without_a_file_name_is_taken(service):
    body = (
        b'--x\r\nContent-Disposition: form-data; name="image"\r\n\r\n' + CAPTURE + b"\r\n--x--\r\n"
    )
    headers = {"content-type": "multipart/form-data; boundary=x"}
    assert service.client.post("/quality", content=body, headers=headers).status_code == 200


def test_the_answer_says_everything_and_only_what_was_asked_for(service):
    answer = service.assess(CAPTURE).json()
    assert set(answer) == {
        "request_id",
        "quality_score",
        "estimator",
        "raw_score",
        "mean_distance",
        "standard_error",
        "sampled",
        "closed_form",
        "decision",
        "faces_found",
        "face",
        "decision_record",
    }
    assert answer["quality_score"] == pytest.approx(100 * answer["raw_score"])
    assert answer["sampled"] == {
        "raw_score": answer["raw_score"],
        "mean_distance": answer["mean_distance"],
        "standard_error": 0.001,
    }
    assert answer["closed_form"]["standard_error"] is None
    assert answer["face"] == {
        "box_px": [40.0, 30.0, 120.0, 90.0],
        "detection_score": 0.99,
        "inter_eye_distance_px": pytest.approx(48.0),
    }


def test_the_decision_record_suffices_to_repeat_the_decision(service):
    before = datetime.now(UTC)
    answer = service.assess(CAPTURE, estimator="closed_form").json()
    record = answer["decision_record"]
    assert abs(datetime.fromisoformat(record.pop("time")) - before) < timedelta(minutes=5)
    assert record == {
        "record_version": 2,
        "request_id": answer["request_id"],
        "item": None,
        "image_sha256": hashlib.sha256(CAPTURE).hexdigest(),
        "aligned": False,
        "verdict": answer["decision"]["verdict"],
        "reasons": recorded(answer["decision"]["reasons"]),
        "faces_found": 1,
        "quality_score": answer["quality_score"],
        "raw_score": answer["raw_score"],
        "mean_distance": answer["mean_distance"],
        "detector": "fake",
        "software_version": "1",
        "libraries": {},
        "device": "cpu",
        "device_name": "fake",
        "batch_size": 1,
        "batch_index": 0,
        "threads": 1,
        "pack": "fake",
        "pack_version": "1",
        "pack_checksum": "0" * 64,
        "estimator": "closed_form",
        "convention": "paper",
        "passes": 100,
        "dropout_rate": 0.4,
        "seed": 0,
        "precision": "float32",
        "calibration": "fake",
        "profile": "enrolment",
        "profile_version": FAKE_INFO.profiles["enrolment"],
    }


@pytest.mark.parametrize(
    "query",
    [
        "include=embedding,instability_map,landmarks",
        "include=embedding&include=instability_map&include=landmarks",
        "include=embedding,+instability_map&include=landmarks",
        "include=embedding,instability_map,&include=&include=,landmarks",
    ],
)
def test_include_by_commas_or_repeated(service, query):
    headers = {"content-type": "image/png"}
    response = service.client.post(f"/quality?{query}", content=CAPTURE, headers=headers)
    answer = response.json()
    assert np.linalg.norm(answer["embedding"]) == pytest.approx(1, abs=1e-5)
    assert np.shape(answer["instability_map"]) == (7, 7)
    assert np.sum(answer["instability_map"]) == pytest.approx(1, abs=1e-5)
    assert np.shape(answer["face"]["landmarks_px"]) == (5, 2)


def test_the_record_of_a_photograph_without_a_face_has_no_scores(service):
    record = service.assess(blank_capture()).json()["decision_record"]
    assert (record["verdict"], record["faces_found"]) == ("reject", 0)
    assert [reason["code"] for reason in record["reasons"]] == ["no_face"]
    for field in ("quality_score", "raw_score", "mean_distance", "batch_size", "threads"):
        assert record[field] is None


def test_an_aligned_face_needs_no_detector(service):
    aligned = png(pixels(3, 112, 112))
    answer = service.assess(aligned, aligned=True, include="landmarks").json()
    assert answer["decision_record"]["aligned"] is True
    assert answer["faces_found"] is None
    assert answer["face"] is None
    assert answer["raw_score"] is not None


def test_a_capture_that_is_no_aligned_face_is_refused_as_one(service):
    assert_problem(service.assess(CAPTURE, aligned=True), 422, "not_aligned")


def test_no_face_is_a_result(service):
    response = service.assess(blank_capture(), include="embedding,instability_map,landmarks")
    assert response.status_code == 200
    answer = response.json()
    assert answer["faces_found"] == 0
    for field in ("quality_score", "raw_score", "mean_distance", "standard_error", "sampled"):
        assert answer[field] is None
    for field in ("closed_form", "face", "embedding", "instability_map"):
        assert answer[field] is None
    decision = answer["decision"]
    assert decision["verdict"] == "reject"
    assert [reason["code"] for reason in decision["reasons"]] == ["no_face"]
    assert decision["reasons"][0]["hint"]


def test_the_estimator_of_the_answer_is_the_one_asked_for(service):
    answer = service.assess(CAPTURE, estimator="closed_form").json()
    assert answer["estimator"] == "closed_form"
    assert answer["standard_error"] is None
    assert answer["raw_score"] == answer["closed_form"]["raw_score"]


@pytest.mark.parametrize(
    "query",
    [
        "include=ponies",
        "include=embedding,ponies",
        "estimator=guess",
        "aligned=perhaps",
        "algined=true",
    ],
)
def test_a_parameter_out_of_range_or_unknown_is_refused(service, query):
    headers = {"content-type": "image/png"}
    response = service.client.post(f"/quality?{query}", content=CAPTURE, headers=headers)
    document = assert_problem(response, 422, "invalid_parameters")
    assert all(error["location"].startswith("query.") for error in document["errors"])


def test_an_unknown_parameter_is_called_so(service):
    headers = {"content-type": "image/png"}
    response = service.client.post("/quality?algined=true", content=CAPTURE, headers=headers)
    document = assert_problem(response, 422, "invalid_parameters")
    assert document["detail"] == "query.algined: There is no such parameter"


def test_an_unknown_profile_is_refused_and_the_known_are_named(service):
    response = service.assess(CAPTURE, profile="lax")
    assert "enrolment" in assert_problem(response, 422, "option_unavailable")["detail"]
    assert service.assess(CAPTURE, profile="enrolment").status_code == 200


def test_what_the_recogniser_cannot_give_is_refused():
    info = replace(FAKE_INFO, map_shape=None)
    with Service(lambda: FakePipeline(info)) as service:
        for name in ("instability_map", "instability_overlay"):
            assert_problem(service.assess(CAPTURE, include=name), 422, "option_unavailable")
        answer = service.assess(CAPTURE, include="embedding,gradient_map").json()
    assert len(answer["embedding"]) == info.embedding_size
    assert answer["gradient_map"] is not None


class NumberlessPipeline(FakePipeline):
    """A recogniser that answers with no number, as a broken device does."""

    def score(self, faces):
        nothing = Score(float("nan"), float("nan"), float("inf"))
        embedding = np.full(8, np.nan, np.float32)
        return [FaceScores(nothing, nothing, embedding, None) for _ in faces]


def test_what_could_not_be_computed_is_null_and_rejected():
    with Service(NumberlessPipeline) as service:
        response = service.assess(CAPTURE, include="embedding")
    assert response.status_code == 200, response.text
    answer = response.json()
    assert answer["decision"]["verdict"] == "reject"
    assert [r["code"] for r in answer["decision"]["reasons"]] == ["not_assessed"]
    assert answer["raw_score"] is None
    assert answer["sampled"]["standard_error"] is None
    assert answer["embedding"] is None


class CrowdPipeline(FakePipeline):
    def prepare(self, data, *, aligned=False):
        return replace(super().prepare(data, aligned=aligned), faces_found=20)


def test_a_crowd_is_rejected_with_its_number():
    with Service(CrowdPipeline) as service:
        decision = service.assess(CAPTURE).json()["decision"]
    assert decision["verdict"] == "reject"
    [reason] = [r for r in decision["reasons"] if r["code"] == "multiple_faces"]
    assert (reason["value"], reason["limit"]) == (20, 1)


class MeasuringPipeline(FakePipeline):
    def decide(self, prepared, scores, **options):
        components = (
            Component("HeadPoseYaw", -12.5, "degrees", 95.3, approximate=True),
            Component("Sharpness", 0.51, "ratio", None, approximate=True),
        )
        return replace(super().decide(prepared, scores, **options), components=components)


def test_components_are_answered_when_asked_for():
    with Service(MeasuringPipeline) as service:
        without = service.assess(CAPTURE).json()
        answer = service.assess(CAPTURE, include="components").json()
    assert "components" not in without
    yaw, sharpness = answer["components"]
    assert yaw == {
        "name": "HeadPoseYaw",
        "native_value": -12.5,
        "unit": "degrees",
        "value": 95.3,
        "approximate": True,
    }
    assert sharpness["value"] is None


def test_model_says_what_scores_depend_on(service):
    answer = service.get("/model").json()
    assert answer["pack"] == "fake"
    assert answer["map_shape"] == [4, 7, 7]
    assert answer["profiles"] == FAKE_INFO.profiles
    assert answer["default_profile"] == service.assess(CAPTURE).json()["decision"]["profile"]
    assert answer["licence"] == "Apache-2.0"
    assert answer["verdict"] is None
