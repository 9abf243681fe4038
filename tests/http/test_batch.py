"""`POST /quality/batch`: its two forms, mixed outcomes, and captures of several people."""

import base64
import json
import logging
from typing import Any, get_args

import httpx
import numpy as np
import pytest

from app.capture_body import IMAGE_MEDIA_TYPES
from app.schemas import Extra
from serfiq_core.errors import DeviceMemoryError, EngineStoppedError
from serfiq_core.testing import FAKE_INFO, FakePipeline
from serfiq_core.types import AlignedFace, FaceScores
from tests.http.service import (
    Service,
    assert_problem,
    blank_capture,
    png,
    random_capture,
    wait_until,
)

CAPTURES = [random_capture(seed) for seed in range(5)]
TRUNCATED = CAPTURES[0][:200]


def as_form(images: list[bytes]) -> dict[str, Any]:
    return {"files": [("image", ("photo.png", image)) for image in images]}


def as_json(images: list[bytes]) -> dict[str, Any]:
    return {"json": {"images": [base64.b64encode(image).decode() for image in images]}}


FORMS = pytest.mark.parametrize("form", [as_form, as_json])


def post(service: Service, images: list[bytes], form=as_form, **params: Any) -> httpx.Response:
    return service.client.post("/quality/batch", params=params, **form(images))


def answer_to(service: Service, images: list[bytes], form=as_form, **params: Any) -> Any:
    response = post(service, images, form, **params)
    assert response.status_code == 200, response.text
    return response.json()


def without_ids(item: dict[str, Any]) -> dict[str, Any]:
    """What two answers about the same capture have in common."""
    record = {
        k: v for k, v in item["decision_record"].items() if k not in ("request_id", "item", "time")
    }
    own = ("request_id", "decision_record", "consistency", "consistent", "weight")
    return {**{k: v for k, v in item.items() if k not in own}, "record": record}


class ColourPipeline(FakePipeline):
    """Everyone is the colour that prevails in his picture: red, green or blue."""

    def score(self, faces: "list[AlignedFace]") -> list[FaceScores]:  # type: ignore[override]
        return [
            FaceScores(
                made.sampled,
                made.closed_form,
                np.eye(8, dtype=np.float32)[int(face.sum(axis=(0, 1)).argmax())],
                made.instability_map,
            )
            for face, made in zip(faces, super().score(faces), strict=True)
        ]


def picture_of(person: int, seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 128, (120, 160, 3), dtype=np.uint8)
    pixels[..., person] += 100
    return png(pixels)


@pytest.fixture(scope="module")
def colours():
    with Service(ColourPipeline) as running:
        yield running


class TestAnswer:
    @FORMS
    def test_each_item_is_what_the_capture_alone_would_get(self, service, form):
        answer = answer_to(service, CAPTURES, form)
        for item, capture in zip(answer["items"], CAPTURES, strict=True):
            assert without_ids(item) == without_ids(service.assess(capture).json())
            assert item["request_id"] == answer["request_id"]

    def test_the_best_has_the_highest_score(self, service):
        answer = answer_to(service, CAPTURES)
        scores = [item["quality_score"] for item in answer["items"]]
        assert answer["ranking"] == sorted(range(5), key=lambda index: -scores[index])
        assert answer["best"] == int(np.argmax(scores))
        assert answer["no_best"] is None
        assert answer["one_subject"] is True
        assert answer["same_person_cosine"] == FAKE_INFO.same_person_cosine

    def test_one_capture_is_a_batch(self, service):
        answer = answer_to(service, CAPTURES[:1])
        assert (answer["best"], answer["ranking"], answer["one_subject"]) == (0, [0], None)
        assert answer["items"][0]["consistency"] is None

    @FORMS
    def test_sixty_four_are_taken(self, service, form):
        answer = answer_to(service, [CAPTURES[0]] * 64, form)
        assert len(answer["items"]) == 64
        assert answer["ranking"] == list(range(64))

    def test_what_was_not_asked_for_is_absent(self, service):
        answer = answer_to(service, CAPTURES[:2])
        assert "fused_embedding" not in answer
        assert not {"weight", "embedding"} & answer["items"][0].keys()

    def test_the_fused_embedding_can_be_repeated_from_the_answer(self, service):
        answer = answer_to(service, CAPTURES, include="embedding")
        acceptable = [i for i in answer["items"] if i["decision"]["verdict"] != "reject"]
        precisions = np.array([1 / item["mean_distance"] ** 2 for item in acceptable])
        weights = [item["weight"] for item in acceptable]
        assert weights == pytest.approx(precisions / precisions.sum())
        assert sum(item["weight"] for item in answer["items"]) == pytest.approx(1)
        mean = weights @ np.array([item["embedding"] for item in acceptable])
        assert answer["fused_embedding"] == pytest.approx(mean / np.linalg.norm(mean), abs=1e-6)

    def test_options_hold_for_every_capture(self, service):
        aligned = [
            png(np.random.default_rng(seed).integers(0, 256, (112, 112, 3), dtype=np.uint8))
            for seed in range(2)
        ]
        options = {"aligned": True, "estimator": "closed_form", "include": "instability_map"}
        for item in answer_to(service, aligned, **options)["items"]:
            assert item["faces_found"] is None
            assert item["estimator"] == "closed_form"
            assert np.shape(item["instability_map"]) == (7, 7)

    def test_each_is_decided_by_the_profile_asked_for(self, service):
        verdicts = set()
        for name in service.get("/model").json()["profiles"]:
            alone = [service.assess(capture, profile=name).json() for capture in CAPTURES]
            together = answer_to(service, CAPTURES, profile=name)["items"]
            assert [item["decision"] for item in together] == [one["decision"] for one in alone]
            assert {item["decision"]["profile"] for item in together} == {name}
            verdicts.add(tuple(item["decision"]["verdict"] for item in together))
        assert len(verdicts) > 1  # they do differ


class TestMixedOutcomes:
    @FORMS
    def test_what_is_wrong_with_one_is_said_in_its_place(self, service, form):
        images = [TRUNCATED, CAPTURES[0], b"", blank_capture(), b"%PDF-1.7", CAPTURES[1]]
        answer = answer_to(service, images, form)
        codes = [item.get("code") for item in answer["items"]]
        assert codes == [
            "undecodable_image",
            None,
            "malformed_body",
            None,
            "unsupported_image_type",
            None,
        ]
        assert sorted(answer["ranking"]) == [1, 3, 5]
        assert answer["ranking"][-1] == 3
        assert answer["best"] in (1, 5)
        problem = answer["items"][0]
        assert set(problem) == {"type", "title", "status", "detail", "code", "request_id"}
        assert (problem["status"], problem["request_id"]) == (422, answer["request_id"])
        for image, item in zip(images, answer["items"], strict=True):
            alone = service.client.post("/quality", files={"image": image}).json()
            assert item.get("code") == alone.get("code")
            assert item.get("detail") == alone.get("detail")

    def test_the_others_are_as_without_it(self, service):
        alone = answer_to(service, CAPTURES[:2], include="embedding")
        mixed = answer_to(service, [CAPTURES[0], TRUNCATED, CAPTURES[1]], include="embedding")
        assert mixed["fused_embedding"] == alone["fused_embedding"]
        for theirs, ours in zip(mixed["items"][::2], alone["items"], strict=True):
            assert theirs["consistency"] == ours["consistency"]
            assert theirs["weight"] == ours["weight"]

    def test_all_undecodable_is_an_answer_without_a_best(self, service):
        answer = answer_to(service, [TRUNCATED, b"GIF89a"])
        assert (answer["best"], answer["no_best"]) == (None, "none_assessed")
        assert answer["ranking"] == []

    def test_all_without_a_face_are_all_rejected(self, service):
        answer = answer_to(service, [blank_capture()] * 2, include="embedding")
        assert (answer["best"], answer["no_best"]) == (None, "all_rejected")
        assert answer["fused_embedding"] is None
        assert [item["weight"] for item in answer["items"]] == [0, 0]

    def test_one_that_is_larger_than_a_capture_may_be(self):
        small, large = random_capture(0, 40, 40), random_capture(1, 100, 100)
        with Service(max_body_bytes=len(large) - 1) as service:
            answer = answer_to(service, [large, small])
        assert answer["items"][0]["code"] == "body_too_large"
        assert answer["items"][0]["status"] == 413
        assert answer["ranking"] == [1]

    def test_one_that_the_engine_fails_on(self):
        with Service(FailingOnce, max_batch_size=1) as service:
            answer = answer_to(service, CAPTURES[:3])
        failed = [item for item in answer["items"] if "code" in item]
        assert [item["code"] for item in failed] == ["device_memory"]
        assert len(answer["ranking"]) == 2

    def test_what_nobody_foresaw_tells_nothing_and_is_logged(self, caplog):
        with Service(BreakingOnce, max_batch_size=1) as service:
            answer = answer_to(service, CAPTURES[:3])
        [failed] = [item for item in answer["items"] if "code" in item]
        assert failed["code"] == "internal_error"
        assert "secret" not in json.dumps(answer)
        [record] = [r for r in caplog.records if r.getMessage() == "unhandled error"]
        assert vars(record)["fields"]["request_id"] == answer["request_id"]


class FailingOnce(FakePipeline):
    """The second face after the warm-up fails."""

    error: Exception = DeviceMemoryError("no room")
    scored = 0

    def score(self, faces):  # type: ignore[no-untyped-def]
        self.scored += 1
        if self.scored == 3:
            raise self.error
        return super().score(faces)


class BreakingOnce(FailingOnce):
    error = RuntimeError("secret")


class Stopped(FakePipeline):
    """Answers for the warm-up only."""

    scored = 0

    def score(self, faces):  # type: ignore[no-untyped-def]
        self.scored += 1
        if self.scored > 1:
            raise EngineStoppedError("The engine takes no more work.")
        return super().score(faces)


def test_an_engine_that_answers_for_none_fails_the_request():
    with Service(Stopped) as service:
        assert_problem(post(service, CAPTURES), 503, "engine_stopped")


class TestSeveralPeople:
    def test_one_person_is_one_subject(self, colours):
        answer = answer_to(colours, [picture_of(0, seed) for seed in range(3)])
        assert answer["one_subject"] is True
        assert [item["consistency"] for item in answer["items"]] == pytest.approx([1, 1, 1])

    def test_an_intruder_is_flagged_and_not_fused(self, colours):
        people = [0, 0, 1, 0]
        images = [picture_of(person, seed) for seed, person in enumerate(people)]
        answer = answer_to(colours, images, include="embedding")
        assert [item["consistent"] for item in answer["items"]] == [True, True, False, True]
        assert answer["one_subject"] is False
        assert answer["items"][2]["consistency"] == pytest.approx(0)
        assert answer["items"][2]["weight"] == 0
        assert answer["fused_embedding"] in ([1, *[0] * 7], None)
        assert answer["best"] != 2

    def test_of_two_that_disagree_none_is_the_best(self, colours):
        images = [picture_of(person, seed) for seed, person in ((1, 0), (4, 2))]
        answer = answer_to(colours, images, include="embedding")
        assert [item["consistent"] for item in answer["items"]] == [False, False]
        assert answer["best"] is None
        assert answer["fused_embedding"] is None

    def test_no_majority_no_best(self, colours):
        images = [picture_of(person, seed) for seed, person in enumerate([0, 0, 1, 1])]
        answer = answer_to(colours, images)
        assert any(item["decision"]["verdict"] != "reject" for item in answer["items"])
        assert (answer["best"], answer["no_best"]) == (None, "several_people")


class TestRefusals:
    @FORMS
    @pytest.mark.parametrize("count", [0, 65])
    def test_no_captures_and_too_many(self, service, form, count):
        arguments = form([CAPTURES[0]] * count)
        if not arguments.get("files", True):
            headers = {"content-type": "multipart/form-data; boundary=x"}
            arguments = {"content": b"--x--\r\n", "headers": headers}
        response = service.client.post("/quality/batch", **arguments)
        assert "1 to 64" in assert_problem(response, 422, "capture_count")["detail"]

    @pytest.mark.parametrize(
        "query",
        ["algined=true", "include=ponies", "estimator=guess", "profile=a&profile=enrolment"],
    )
    def test_parameters(self, service, query):
        response = service.client.post(f"/quality/batch?{query}", **as_form(CAPTURES))
        assert_problem(response, 422, "invalid_parameters")

    def test_a_profile_that_there_is_not(self, service):
        assert_problem(post(service, CAPTURES, profile="lax"), 422, "option_unavailable")

    @pytest.mark.parametrize("media_type", [*IMAGE_MEDIA_TYPES, "text/plain"])
    def test_a_raw_image_is_no_batch(self, service, media_type):
        headers = {"content-type": media_type}
        response = service.client.post("/quality/batch", content=CAPTURES[0], headers=headers)
        assert_problem(response, 415, "unsupported_content_type")

    def test_broken_bodies(self, service):
        for body in (b"{", b'{"images": ["AQID", "no base64"]}', b'{"image": "AQID"}'):
            headers = {"content-type": "application/json"}
            response = service.client.post("/quality/batch", content=body, headers=headers)
            assert_problem(response, 400, "malformed_body")
        files = [("image", ("a.png", CAPTURES[0])), ("aligned", (None, b"true"))]
        response = service.client.post("/quality/batch", files=files)
        assert_problem(response, 400, "malformed_body")

    def test_a_body_too_large_for_a_batch(self):
        with Service(max_batch_body_bytes=1000) as service:
            assert_problem(post(service, CAPTURES), 413, "body_too_large")

    def test_a_key_is_needed(self):
        with Service(api_keys=["key"]) as service:
            assert_problem(post(service, CAPTURES), 401, "unauthorised")

    def test_nothing_stays_admitted_after_them(self, service):
        assert service.engine.in_flight == 0


def lines(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name == "serfiq.requests"]


class TestTelling:
    def test_each_capture_is_counted_and_the_route_is_one(self):
        with Service() as service:
            answer_to(service, [CAPTURES[0], blank_capture(), TRUNCATED])
            text = service.get("/metrics").text
        assert (
            'serfiq_http_requests_total{method="POST",route="/quality/batch",status="200"} 1'
            in text
        )
        assert "serfiq_quality_score_count 1.0" in text
        assert 'serfiq_reasons_total{reason="no_face"} 1.0' in text

    def test_each_decision_is_logged_and_recorded_with_its_place(self, service, caplog):
        with caplog.at_level(logging.INFO, "serfiq.decisions"):
            answer = answer_to(service, [CAPTURES[0], b"no image", CAPTURES[1]])
            alone = service.assess(CAPTURES[0]).json()
        logged = [each.fields for each in caplog.records if each.name == "serfiq.decisions"]
        assert [fields["item"] for fields in logged] == [0, 2, None]
        assert answer["items"][2]["decision_record"]["item"] == 2
        assert alone["decision_record"]["item"] is None

    def test_the_log_line_has_counts_and_nothing_of_a_face(self, service, caplog):
        with caplog.at_level(logging.INFO, "serfiq.requests"):
            answer = answer_to(service, [CAPTURES[0], blank_capture(), TRUNCATED])
            # The line follows the answer.
            wait_until(lambda: lines(caplog))
        [record] = lines(caplog)
        fields = vars(record)["fields"]
        assert fields["route"] == "/quality/batch"
        assert fields["captures"] == 3
        assert sum(fields["verdicts"].values()) == 2
        assert fields["problems"] == {"undecodable_image": 1}
        assert fields["no_best"] == answer["no_best"]
        assert not {"consistency", "embedding", "quality_score", "items"} & fields.keys()

    def test_it_is_documented(self, service):
        document = service.get("/openapi.json").json()
        operation = document["paths"]["/quality/batch"]["post"]
        content = operation["requestBody"]["content"]
        assert set(content) == {"multipart/form-data", "application/json"}
        images = content["application/json"]["schema"]["properties"]["images"]
        assert (images["minItems"], images["maxItems"]) == (1, 64)
        assert "`capture_count`" in operation["responses"]["422"]["description"]
        properties = document["components"]["schemas"]["BatchAnswer"]["properties"]
        answer = answer_to(service, CAPTURES[:2], include=",".join(get_args(Extra)))
        assert set(answer) == set(properties)
        item = document["components"]["schemas"]["CaptureAnswer"]["properties"]
        assert set(answer["items"][0]) == set(item)


class TestPhotographs:
    """The embedded pack, and photographs of real people."""

    @pytest.fixture
    def photographs(self, shared_data):
        def of(name: str, *numbers: int) -> list[bytes]:
            folder = shared_data / "lfw" / "images" / name
            return [(folder / f"{name}_{number:04}.jpg").read_bytes() for number in numbers]

        return of

    def test_one_person(self, real_service, photographs):
        answer = answer_to(real_service, photographs("Serena_Williams", 1, 2, 4, 5))
        assert answer["one_subject"] is True
        assert answer["best"] == answer["ranking"][0]

    @pytest.mark.parametrize("place", [0, 2])
    def test_somebody_else_among_them(self, real_service, photographs, place):
        images = photographs("Serena_Williams", 1, 2, 4)
        images.insert(place, photographs("Colin_Powell", 1)[0])
        answer = answer_to(real_service, images)
        flagged = [i for i, item in enumerate(answer["items"]) if item["consistent"] is False]
        assert flagged == [place]
        assert answer["best"] not in (None, place)

    def test_two_people(self, real_service, photographs):
        images = photographs("Serena_Williams", 1) + photographs("Colin_Powell", 1)
        answer = answer_to(real_service, images, include="embedding")
        assert answer["one_subject"] is False
        assert (answer["best"], answer["no_best"]) == (None, "several_people")
        assert answer["fused_embedding"] is None

    def test_it_is_ranked_and_fused_as_each_is_scored_alone(self, real_service, photographs):
        images = photographs("Halle_Berry", 1, 2, 4)
        answer = answer_to(real_service, images, include="embedding")
        for item, image in zip(answer["items"], images, strict=True):
            alone = real_service.assess(image).json()
            assert item["raw_score"] == pytest.approx(alone["raw_score"], abs=1e-6)
            assert item["decision"]["verdict"] == alone["decision"]["verdict"]
        assert np.linalg.norm(answer["fused_embedding"]) == pytest.approx(1, abs=1e-5)
