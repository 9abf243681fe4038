"""While the queue is full: who is refused before FastAPI sees the request, and who is not.

The fake pipeline is held at a gate; no test depends on timing.
"""

import json
import logging
from typing import Any

import httpx
import numpy as np
import pytest

from app import connection_close
from app.logs import JsonFormatter
from serfiq_core.testing import FakePipeline
from tests.http.service import (
    PATIENCE_SECONDS,
    Service,
    assert_problem,
    connect,
    png,
    random_capture,
    wait_until,
)

CAPTURE = random_capture()
KEY = "the-key"
WRONG_KEYS = [
    {"x-api-key": "wrong"},
    {"x-api-key": ""},
    {"x-api-key": "", "authorization": "Bearer wrong"},
]
ROUTES = ["/quality", "/quality/batch"]
MEGABYTE = b"x" * 1_000_000
BODIES = {
    "announced": (f"Content-Length: {len(MEGABYTE)}\r\n", MEGABYTE),
    "chunked": ("Transfer-Encoding: chunked\r\n", b"%x\r\n%b\r\n0\r\n\r\n" % (10**6, MEGABYTE)),
}


@pytest.fixture
def full_service(gate, callers):
    """A service whose queue is full until the gate opens."""
    with Service(
        lambda: FakePipeline(before_score=gate), max_queued_work=1, api_keys=KEY
    ) as service:
        service.client.headers["x-api-key"] = KEY
        gate.close()
        accepted = callers.submit(service.assess, CAPTURE)
        wait_until(lambda: service.engine.in_flight == 1)
        yield service
        gate.open()
        assert accepted.result(PATIENCE_SECONDS).status_code == 200


class TestConnection:
    @pytest.mark.parametrize("path", ROUTES)
    @pytest.mark.parametrize("body", BODIES)
    def test_it_is_answered_before_the_body_and_stays_open(self, full_service, path, body):
        """The refusal comes before a megabyte is sent, and what is sent after all is swallowed:
        the next request of the connection is answered."""
        length, sent = BODIES[body]
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\n{length}"
        with connect(full_service) as caller, caller.makefile("rb") as answers:
            caller.sendall(head.encode() + b"Content-Type: image/png\r\n\r\n")
            status, headers, problem = read_answer(answers)
            assert status == 429
            assert json.loads(problem)["code"] == "overloaded"
            assert int(headers["retry-after"]) >= 1
            assert headers.get("connection") != "close"
            caller.sendall(sent)
            caller.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            assert read_answer(answers)[0] == 200

    def test_who_waits_for_leave_to_send_is_not_given_it(self, full_service):
        """`Expect: 100-continue`, as curl sends with a large body."""
        with connect(full_service) as caller, caller.makefile("rb") as answers:
            caller.sendall(
                f"POST /quality HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\n".encode()
                + b"Content-Length: 9000000\r\nExpect: 100-continue\r\n\r\n"
            )
            assert read_answer(answers)[0] == 429

    def test_a_client_that_keeps_connections_may_go_on(self, full_service, gate):
        noise = np.random.default_rng(0).integers(0, 256, (900, 900, 3), dtype=np.uint8)
        arguments = {"base_url": full_service.url, "headers": {"x-api-key": KEY}}
        headers = {"content-type": "image/png"}
        with httpx.Client(**arguments, timeout=PATIENCE_SECONDS) as client:
            for _ in range(5):
                response = client.post("/quality", content=png(noise), headers=headers)
                assert_problem(response, 429, "overloaded")
            gate.open()
            wait_until(lambda: full_service.engine.in_flight == 0)
            response = client.post("/quality", content=CAPTURE, headers=headers)
            assert response.status_code == 200


def read_answer(stream: Any) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the next answer on a connection."""
    status = int(stream.readline().split()[1])
    headers = {}
    while line := stream.readline().strip():
        name, _, value = line.decode().partition(": ")
        headers[name.lower()] = value
    return status, headers, stream.read(int(headers["content-length"]))


class TestWhoIsRefused:
    @pytest.mark.parametrize("path", ROUTES)
    def test_who_may_not_ask_learns_nothing_of_the_queue(self, full_service, path):
        for headers in WRONG_KEYS:
            refused = full_service.client.post(path, content=CAPTURE, headers=headers)
            assert_problem(refused, 401, "unauthorised")
            assert refused.headers["www-authenticate"] == "Bearer"
        bearer = {"x-api-key": "", "authorization": f"Bearer {KEY}"}
        known = full_service.client.post(path, headers=bearer)
        assert_problem(known, 429, "overloaded")

    def test_what_cannot_be_accepted_later_either_is_told_so_later(self, full_service):
        """The query and the Content-Type are not looked at."""
        assert_problem(full_service.client.post("/quality?include=ponies"), 429, "overloaded")

    def test_other_routes_and_methods_are_answered(self, full_service):
        assert full_service.get("/livez").status_code == 200
        assert full_service.get("/readyz").status_code == 200
        assert full_service.get("/model").status_code == 200
        assert_problem(full_service.client.post("/nowhere"), 404, "not_found")
        for path in ROUTES:
            assert_problem(full_service.get(path), 405, "method_not_allowed")
            assert full_service.client.options(path).headers["allow"] == "POST"
            assert_problem(full_service.client.post(f"{path}/"), 404, "not_found")

    def test_a_service_that_drains_says_so_and_not_that_it_is_full(self, full_service):
        full_service.engine.begin_draining()
        refused = full_service.assess(CAPTURE)
        assert_problem(refused, 503, "draining")
        assert refused.headers["retry-after"] == "1"

    @pytest.mark.parametrize("body", BODIES)
    def test_who_is_refused_by_a_service_that_drains_may_send_his_body_and_must_go(
        self, full_service, body, monkeypatch
    ):
        """All of the answer comes before the body, the end of the connection after it: no reset."""
        monkeypatch.setattr(connection_close, "LINGER_SECONDS", PATIENCE_SECONDS)
        full_service.engine.begin_draining()
        length, sent = BODIES[body]
        head = f"POST /quality HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\n{length}\r\n"
        with connect(full_service) as caller, caller.makefile("rb") as answers:
            caller.sendall(head.encode())
            status, headers, _ = read_answer(answers)
            assert (status, headers["connection"]) == (503, "close")
            caller.sendall(sent)
            assert answers.read() == b""

    def test_a_path_prefix_is_no_part_of_the_route(self, gate, callers):
        """As where another ASGI server mounts the app, or is told of a proxy's prefix."""
        with Service(
            lambda: FakePipeline(before_score=gate), max_queued_work=1, root_path="/faces"
        ) as service:
            gate.close()
            accepted = callers.submit(service.assess, CAPTURE)
            wait_until(lambda: service.engine.in_flight == 1)
            assert_problem(service.client.post("/quality?include=ponies"), 429, "overloaded")
            gate.open()
            assert accepted.result(PATIENCE_SECONDS).status_code == 200


class TestWhatIsLeft:
    """A refusal in front of FastAPI is seen like any other answer."""

    @pytest.mark.parametrize("path", ROUTES)
    def test_it_is_counted_under_its_route(self, full_service, path):
        full_service.client.post(path)
        labels = f'method="POST",route="{path}",status="429"'
        metrics = full_service.get("/metrics").text
        assert f"serfiq_http_requests_total{{{labels}}} 1.0" in metrics
        refusals = f'route="{path}",status_class="4xx"'
        assert f"serfiq_http_request_seconds_count{{{refusals}}} 1.0" in metrics
        assert 'serfiq_requests_refused_total{cause="overloaded"} 1.0' in metrics

    def test_it_is_one_line_of_the_log_under_its_own_id(self, full_service, caplog):
        caplog.set_level(logging.INFO, "serfiq.requests")
        headers = {"x-request-id": "front-end_7.1"}
        document = assert_problem(
            full_service.client.post("/quality", headers=headers), 429, "overloaded"
        )
        assert document["request_id"] == "front-end_7.1"

        def lines():
            ours = [record for record in caplog.records if record.name == "serfiq.requests"]
            return [json.loads(JsonFormatter().format(record)) for record in ours]

        wait_until(lambda: bool(lines()))
        [line] = lines()
        assert line.pop("time")
        assert line.pop("seconds") >= 0
        assert line == {
            "level": "info",
            "logger": "serfiq.requests",
            "message": "request",
            "request_id": "front-end_7.1",
            "method": "POST",
            "route": "/quality",
            "status": 429,
            "problem": "overloaded",
        }
