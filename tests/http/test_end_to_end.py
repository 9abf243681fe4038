"""The main job, for real: the embedded pack, a portrait, three body forms, one score."""

import base64
import dataclasses
import io
import json

import numpy as np
import pytest
from PIL import Image, ImageFilter

from app.loading import load_in_process
from app.settings import Settings
from serfiq_core.decisions.profiles import read_profiles
from serfiq_core.packs.amend import amend_manifest
from serfiq_core.packs.pack import read_pack
from serfiq_core.packs.registry import embedded_pack
from tests.http.service import Service, assert_problem, encoded, wait_until
from tests.photographs import astronaut, enlarged
from tests.small_packs import small_verdict, write_small_pack


def post(service: Service, image: bytes, query: str = ""):
    headers = {"content-type": "image/jpeg"}
    response = service.client.post(f"/quality?{query}", content=image, headers=headers)
    assert response.status_code == 200, response.text
    return response.json()


def test_a_portrait_gets_a_real_score(real_service, portrait):
    answer = post(real_service, portrait)
    assert answer["faces_found"] == 1
    assert 0 < answer["raw_score"] < 1
    assert 0 < answer["standard_error"] < 0.01
    assert answer["raw_score"] == pytest.approx(answer["closed_form"]["raw_score"], abs=0.02)
    left, top, right, bottom = answer["face"]["box_px"]
    assert 150 < left < right < 300
    assert 30 < top < bottom < 220


def test_the_decision_follows_from_the_score_and_the_profile(real_service, portrait):
    answer = post(real_service, portrait)
    decision = answer["decision"]
    profile = read_profiles()[decision["profile"]]
    score = answer["quality_score"]
    assert 0 <= score <= 100
    if score >= profile.accept_at:
        assert (decision["verdict"], decision["reasons"]) == ("accept", [])
        return
    reviewed = score >= profile.review_at
    assert decision["verdict"] == ("review" if reviewed else "reject")
    [reason] = decision["reasons"]
    assert reason["code"] == "low_quality"
    broken = profile.accept_at if reviewed else profile.review_at
    assert (reason["value"], reason["limit"]) == (score, broken)


def test_the_three_body_forms_give_the_same_score(real_service, portrait):
    raw = post(real_service, portrait)
    form = real_service.client.post("/quality", files={"image": ("photo.jpg", portrait)}).json()
    text = base64.b64encode(portrait).decode()
    as_json = real_service.client.post("/quality", json={"image": text}).json()
    assert raw["sampled"] == form["sampled"] == as_json["sampled"]
    assert raw["quality_score"] == form["quality_score"] == as_json["quality_score"]


def test_http_changes_nothing(real_service, portrait):
    [direct] = load_in_process(Settings()).assess([portrait])
    assert direct.scores is not None
    served = post(real_service, portrait)
    assert served["raw_score"] == pytest.approx(direct.scores.sampled.raw_score, abs=1e-6)


def test_the_faces_looked_for_are_those_that_the_operator_s_profiles_take(real_service, tmp_path):
    """Some 10 pixels between the eyes: too few for every embedded profile."""
    ours = tmp_path / "profiles.toml"
    ours.write_text(
        '[ours]\nversion = "1"\naccept_at = 20\nreview_at = 5\nmultiple_faces = "reject"\n'
        "[ours.native_value]\nInterEyeDistance = { reject_below = 8 }\n"
    )
    small = encoded(enlarged(astronaut(), 0.23), "PNG")
    assert post(real_service, small)["faces_found"] == 0
    with Service(None, profiles_path=ours, prepare_workers=1) as service:
        assert post(service, small)["faces_found"] == 1


def test_everything_that_can_be_included(real_service, portrait):
    answer = post(real_service, portrait, "include=embedding,instability_map,landmarks")
    model = real_service.get("/model").json()
    assert len(answer["embedding"]) == model["embedding_size"]
    assert np.linalg.norm(answer["embedding"]) == pytest.approx(1, abs=1e-5)
    assert np.shape(answer["instability_map"]) == tuple(model["map_shape"][1:])
    assert np.sum(answer["instability_map"]) == pytest.approx(1, abs=1e-4)
    (left_eye_x, eye_y), (right_eye_x, _), (_, nose_y) = answer["face"]["landmarks_px"][:3]
    assert left_eye_x < right_eye_x
    assert eye_y < nose_y


def test_a_ruined_portrait_scores_lower(real_service, portrait):
    with Image.open(io.BytesIO(portrait)) as image:
        blurred = encoded(np.asarray(image.filter(ImageFilter.GaussianBlur(4))), "JPEG")
    for query in ("estimator=sampled", "estimator=closed_form"):
        assert (
            post(real_service, blurred, query)["raw_score"]
            < post(real_service, portrait, query)["raw_score"]
        )


def test_the_record_names_the_pack_in_use(real_service, portrait):
    record = post(real_service, portrait)["decision_record"]
    model = real_service.get("/model").json()
    shared = (record.keys() & model.keys()) - {"verdict"}  # of the capture, and of the pack
    assert {"pack", "pack_checksum", "passes", "seed", "dropout_rate", "calibration"} <= shared
    assert {key: record[key] for key in shared} == {key: model[key] for key in shared}


def test_model_tells_the_whole_verdict(real_service):
    verdict = embedded_pack().manifest.standing_verdict
    told = real_service.get("/model").json()["verdict"]
    assert told == json.loads(json.dumps(dataclasses.asdict(verdict)))
    assert told["verdict"] in ("suitable", "weak")
    assert (told["reasons"] == []) == (told["verdict"] == "suitable")
    assert told["measured"]["faces"] >= 60


def test_an_unsuitable_pack_does_not_start_unless_allowed(tmp_path):
    pack = read_pack(write_small_pack(tmp_path))
    amend_manifest(pack, verdict=small_verdict("unsuitable", ("ranks blur backwards",)))
    for allowed in (False, True):
        settings = {"pack": "small", "packs_dir": tmp_path, "allow_unsuitable": allowed}
        with Service(None, wait_for_model=allowed, **settings) as service:
            if allowed:
                assert service.get("/model").json()["verdict"]["verdict"] == "unsuitable"
            else:
                wait_until(lambda: service.engine.failed)
                assert_problem(service.get("/startupz"), 503, "load_failed")
