"""Maps, drawings and records over HTTP; the record of an answer, repeated on the command line."""

import base64
import io
import itertools
import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from app.cli import cli
from serfiq_core.errors import DeviceMemoryError
from serfiq_core.maps.overlay import overlay_png
from serfiq_core.testing import FakePipeline
from tests.http.service import (
    PATIENCE_SECONDS,
    Gate,
    Service,
    blank_capture,
    png,
    queued,
    random_capture,
    wait_until,
)

CAPTURE = random_capture()
EVERYTHING = "instability_map,gradient_map,instability_overlay,gradient_overlay"


def picture(text: str) -> np.ndarray:
    with Image.open(io.BytesIO(base64.b64decode(text, validate=True))) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


def test_maps_and_their_drawings_on_request(service):
    answer = service.assess(CAPTURE, include=EVERYTHING).json()
    assert np.shape(answer["gradient_map"]) == (28, 28)
    assert np.sum(answer["gradient_map"]) == pytest.approx(1, abs=1e-4)
    for name in ("instability_overlay_png", "gradient_overlay_png"):
        assert picture(answer[name]).shape == (336, 336, 3)
    assert answer["instability_overlay_png"] != answer["gradient_overlay_png"]


def test_each_drawing_shows_its_own_map_over_the_face(service):
    face = np.random.default_rng(0).integers(0, 256, (112, 112, 3), dtype=np.uint8)
    answer = service.assess(png(face), aligned="true", include=EVERYTHING).json()
    for name in ("instability", "gradient"):
        shares = np.array(answer[f"{name}_map"], np.float32)
        assert base64.b64decode(answer[f"{name}_overlay_png"]) == overlay_png(face, shares)


def test_each_comes_alone(service):
    fields = {name: f"{name}_png" if "overlay" in name else name for name in EVERYTHING.split(",")}
    for name, field in fields.items():
        answer = service.assess(CAPTURE, include=name).json()
        assert set(fields.values()) & set(answer) == {field}


def test_without_a_face_there_is_nothing_to_draw(service):
    answer = service.assess(blank_capture(), include=EVERYTHING).json()
    for field in ("instability_map", "gradient_map", "instability_overlay_png"):
        assert answer[field] is None
    assert answer["gradient_overlay_png"] is None


@pytest.mark.parametrize("error", [DeviceMemoryError("no room"), RuntimeError("no derivative")])
def test_a_gradient_that_cannot_be_had_is_left_out_and_spoils_nothing(error):
    class Full(FakePipeline):
        def gradient_map(self, face):
            raise error

    with Service(Full) as service:
        answer = service.assess(CAPTURE, include="gradient_map,gradient_overlay").json()
        size = service.engine._loaded.batcher.max_batch_size
    assert answer["raw_score"] is not None
    assert (answer["gradient_map"], answer["gradient_overlay_png"]) == (None, None)
    assert size == 32


def test_a_gradient_is_that_of_the_face_it_was_asked_for(gate, callers):
    captures = [random_capture(seed) for seed in range(3)]
    with Service(lambda: FakePipeline(before_score=gate)) as service:
        alone = service.assess(captures[2], include="gradient_map").json()
        gate.close()
        callers.submit(service.assess, captures[0])
        wait_until(lambda: gate.waiting == 1)
        callers.submit(service.assess, captures[1])
        wait_until(lambda: queued(service) == 1)
        second_of_two = callers.submit(service.assess, captures[2], include="gradient_map")
        wait_until(lambda: queued(service) == 2)
        gate.open()
        answer = second_of_two.result(PATIENCE_SECONDS).json()
    assert gate.passed == [(1,), (2,)]
    assert answer["gradient_map"] == alone["gradient_map"]


def test_no_batch_holds_two_gradients_and_who_wants_none_causes_none(callers):
    gate, events = Gate(), []

    class Watched(FakePipeline):
        def score(self, faces):
            events.append(("score", len(faces)))
            return super().score(faces)

        def gradient_map(self, face):
            events.append(("gradient", 1))
            return super().gradient_map(face)

    pipeline = Watched(before_score=gate)
    with Service(lambda: pipeline, prepare_workers=8) as service:
        events.clear()
        gate.close()
        first = callers.submit(service.assess, CAPTURE)
        wait_until(lambda: gate.waiting == 1)
        wants = [callers.submit(service.assess, CAPTURE, include="gradient_map") for _ in range(3)]
        plain = [callers.submit(service.assess, CAPTURE) for _ in range(3)]
        wait_until(lambda: service.engine.in_flight == 7)
        wait_until(lambda: service.engine._loaded.batcher.depth == 4)
        gate.open()
        answers = [future.result().json() for future in [first, *wants, *plain]]
    assert [("gradient_map" in answer) for answer in answers] == [False, *[True] * 3, *[False] * 3]
    assert events.count(("gradient", 1)) == 3
    assert ("score", 4) in events
    assert (("gradient", 1), ("gradient", 1)) not in set(itertools.pairwise(events))


# --- the embedded pack


def served(real_service: Service, portrait: bytes, **params):
    headers = {"content-type": "image/jpeg"}
    response = real_service.client.post(
        "/quality", content=portrait, headers=headers, params=params
    )
    assert response.status_code == 200, response.text
    return response.json()


def test_the_portrait_is_drawn(real_service, portrait):
    answer = served(real_service, portrait, include=EVERYTHING)
    assert np.shape(answer["instability_map"]) == (7, 7)
    assert np.shape(answer["gradient_map"]) == (28, 28)
    assert np.sum(answer["gradient_map"]) == pytest.approx(1, abs=1e-4)
    # Where the share is small the portrait shines through: bright skin, dark suit.
    assert picture(answer["instability_overlay_png"]).std() > 30


def test_a_served_answer_is_explained_to_the_bit(real_service, portrait, tmp_path):
    photograph = tmp_path / "photo.jpg"
    photograph.write_bytes(portrait)
    for params in ({}, {"estimator": "closed_form", "include": "embedding,gradient_map"}):
        saved = tmp_path / "answer.json"
        saved.write_text(json.dumps(served(real_service, portrait, **params)))
        result = CliRunner().invoke(cli, ["explain", str(saved), "--image", str(photograph)])
        assert result.exit_code == 0, result.output
        assert result.output.splitlines()[-1] == "agrees, bit for bit"


def test_what_was_scored_in_company_is_explained_to_the_bit(
    real_service, portrait, tmp_path, callers
):
    photograph, saved = tmp_path / "photo.jpg", tmp_path / "record.json"
    photograph.write_bytes(portrait)
    futures = [callers.submit(served, real_service, portrait) for _ in range(16)]
    records = [future.result()["decision_record"] for future in futures]
    together = max(records, key=lambda record: (record["batch_size"], record["batch_index"]))
    assert together["batch_size"] > 1
    saved.write_text(json.dumps(together))
    result = CliRunner().invoke(cli, ["explain", str(saved), "--image", str(photograph)])
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[-1] == "agrees, bit for bit"
