"""What an item of a batch has as `POST /quality` has it: language, drawings, a line of the log."""

import base64
import logging

from tests.http.service import Service, blank_capture, random_capture

CAPTURES = [random_capture(seed) for seed in range(2)]


def batch_of(service: Service, images: list[bytes], query: str = "", **headers: str):
    files = [("image", ("photo.png", image)) for image in images]
    response = service.client.post(f"/quality/batch{query}", files=files, headers=headers)
    assert response.status_code == 200, response.text
    return response


def test_hints_come_in_the_language_of_the_caller(service):
    images = [blank_capture()]
    german = batch_of(service, images, **{"Accept-Language": "de"})
    english = batch_of(service, images)
    assert german.headers["Content-Language"] == "de"
    assert german.headers["Vary"] == "Accept-Language"
    assert english.headers["Content-Language"] == "en"
    [in_german], [in_english] = (
        [reason["hint"] for reason in answer.json()["items"][0]["decision"]["reasons"]]
        for answer in (german, english)
    )
    assert in_german != in_english


def test_each_item_has_the_drawings_asked_for(service):
    query = "?include=gradient_map,instability_overlay,gradient_overlay"
    for item in batch_of(service, CAPTURES, query).json()["items"]:
        assert item["gradient_map"]
        for name in ("instability_overlay_png", "gradient_overlay_png"):
            assert base64.b64decode(item[name]).startswith(b"\x89PNG")


def test_each_decision_is_a_line_of_the_log(service, caplog):
    caplog.set_level(logging.INFO, "serfiq.decisions")
    items = batch_of(service, [*CAPTURES, b"no image"]).json()["items"]
    lines = [vars(each)["fields"] for each in caplog.records if each.name == "serfiq.decisions"]
    verdicts = [item["decision"]["verdict"] for item in items if "decision" in item]
    assert [line["verdict"] for line in lines] == verdicts
    assert len(verdicts) == 2
