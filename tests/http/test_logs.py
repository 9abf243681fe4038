"""One line per request, for machines, and nothing of the person in it."""

import base64
import json
import logging
import re
import time
from typing import get_args

import pytest

from app.logs import JsonFormatter, TextFormatter, configure_logging
from app.schemas import Extra
from serfiq_core.testing import FakePipeline
from tests.http.service import Service, assert_problem, random_capture, wait_until

CAPTURE = random_capture()


@pytest.fixture
def lines(caplog):
    """The lines of requests, each read back from its JSON, once there are so many: a line is
    written when its answer is on the way already."""
    caplog.set_level(logging.INFO)

    def records():
        return [record for record in caplog.records if record.name == "serfiq.requests"]

    def read(count):
        wait_until(lambda: len(records()) >= count)
        formatter = JsonFormatter()
        return [json.loads(formatter.format(record)) for record in records()]

    return read


def test_a_decision_is_one_line(service, lines):
    response = service.assess(CAPTURE)
    [line] = lines(1)
    decision = response.json()["decision"]
    assert line.pop("time")
    assert line.pop("seconds") >= 0
    assert line == {
        "level": "info",
        "logger": "serfiq.requests",
        "message": "request",
        "request_id": response.headers["x-request-id"],
        "method": "POST",
        "route": "/quality",
        "status": 200,
        "profile": "enrolment",
        "verdict": decision["verdict"],
        "reasons": [reason["code"] for reason in decision["reasons"]],
    }


def test_a_decision_record_is_one_line_without_what_could_find_the_photograph(service, caplog):
    caplog.set_level(logging.INFO, "serfiq.decisions")
    record = service.assess(CAPTURE).json()["decision_record"]
    [logged] = [each for each in caplog.records if each.name == "serfiq.decisions"]
    line = json.loads(JsonFormatter().format(logged))
    assert (line["logger"], line["message"]) == ("serfiq.decisions", "decision")
    assert line["request_id"] == record["request_id"]
    assert line["quality_score"] == round(record["quality_score"], 1)
    exactly = {"pack_checksum", "verdict", "profile_version", "passes", "seed", "calibration"}
    assert {name: line[name] for name in exactly} == {name: record[name] for name in exactly}
    assert not {"image_sha256", "raw_score", "mean_distance"} & line.keys()


def test_a_problem_is_one_line(service, lines):
    document = assert_problem(service.assess(b"rubbish"), 415, "unsupported_image_type")
    [line] = lines(1)
    assert line["problem"] == "unsupported_image_type"
    assert line["request_id"] == document["request_id"]


def test_probes_are_no_lines(service, lines):
    for path in ("/livez", "/readyz", "/startupz", "/metrics"):
        service.get(path)
    service.assess(CAPTURE)
    assert [line["route"] for line in lines(1)] == ["/quality"]


def test_nothing_of_the_person_is_logged(service, lines, caplog):
    caplog.set_level(logging.DEBUG)
    answer = service.assess(CAPTURE, include=",".join(get_args(Extra))).json()
    service.client.post("/quality", json={"image": base64.b64encode(CAPTURE).decode()})
    assert len(lines(2)) == 2
    formatter = JsonFormatter()
    text = "\n".join(formatter.format(record) for record in caplog.records)
    record = answer["decision_record"]
    biometrics = [*answer["embedding"], *answer["face"]["landmarks_px"], answer["raw_score"]]
    biometrics += [answer["mean_distance"], answer["quality_score"], record["image_sha256"]]
    assert not [value for value in biometrics if str(value) in text]
    assert answer["instability_overlay_png"][:60] not in text
    assert base64.b64encode(CAPTURE).decode()[:40] not in text


def test_an_unforeseen_error_is_logged_with_the_id_of_its_request(caplog):
    def fail():
        raise RuntimeError("who knows")

    pipeline = FakePipeline()
    with Service(lambda: pipeline) as service:
        pipeline._before_prepare = fail
        request_id = service.assess(CAPTURE).json()["request_id"]
    [record] = [r for r in caplog.records if r.getMessage() == "unhandled error"]
    line = json.loads(JsonFormatter().format(record))
    assert line["request_id"] == request_id
    assert "who knows" in line["exception"]


@pytest.fixture
def root_logger():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield root
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.parametrize(("form", "formatter"), [("json", JsonFormatter), ("text", TextFormatter)])
def test_level_and_form_are_settings(root_logger, form, formatter, capsys):
    configure_logging("warning", form)
    assert root_logger.level == logging.WARNING
    assert type(root_logger.handlers[0].formatter) is formatter
    logging.getLogger("any").info("unheard")
    logging.getLogger("any").warning("heard\nin one record", extra={"fields": {"route": "/x"}})
    written = capsys.readouterr().err
    assert "unheard" not in written
    assert "/x" in written
    if form == "json":
        assert json.loads(written)["message"] == "heard\nin one record"


@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter("%(asctime)s %(message)s")])
def test_times_are_of_utc_wherever_the_machine_is(monkeypatch, formatter):
    record = logging.LogRecord("any", logging.INFO, "", 0, "said", None, None)
    record.created, record.msecs = 1.5, 500.0
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        line = formatter.format(record)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert re.search(r"1970-01-01T00:00:01\.500(Z|\+00:00)", line)
