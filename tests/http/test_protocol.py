"""What callers may do with HTTP itself, and what one caller cannot do to the others."""

import contextlib
import gzip
import json
import re

import httpx
import pytest

from serfiq_core.testing import FakePipeline
from tests.http.service import Service, assert_problem, connect, random_capture, wait_until
from tests.http.test_early_refusal import read_answer

CAPTURE = random_capture()


@pytest.fixture(scope="module")
def service():
    with Service(FakePipeline) as service:
        yield service


def head(path: str = "/quality", **headers: str) -> bytes:
    lines = {"Host": "x", "Content-Type": "image/png", **headers}
    fields = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in lines.items())
    return f"POST {path} HTTP/1.1\r\n{fields}\r\n".encode()


def test_an_offered_upgrade_is_passed_over(service, caplog):
    """As the HTTP client of Java and `curl --http2` offer it, with the body behind."""
    offer = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2_Settings": "AAQ"}
    with connect(service) as caller, caller.makefile("rb") as answers:
        for _ in range(2):  # and the connection goes on
            caller.sendall(head(Content_Length=str(len(CAPTURE)), **offer) + CAPTURE)
            status, _, answer = read_answer(answers)
            assert status == 200
            assert json.loads(answer)["faces_found"] == 1


def test_a_websocket_is_no_way_in(service):
    offer = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Key": "x" * 16}
    refused = service.get("/quality", headers={**offer, "Sec-WebSocket-Version": "13"})
    assert_problem(refused, 405, "method_not_allowed")


@pytest.mark.parametrize("name", ["X-Anything", "Content-Type", "Accept-Language"])
def test_a_head_without_end_is_cut_off(service, name):
    """Reading it would keep everybody else waiting. It is refused after 64 KiB, long before all of
    it has come."""
    with connect(service) as caller, caller.makefile("rb") as answers:
        caller.sendall(f"POST /quality HTTP/1.1\r\nHost: x\r\n{name}: ".encode())
        with contextlib.suppress(OSError):
            caller.sendall(b";" * 100_000_000)
            pytest.fail("all of it was read")
        assert answers.readline() in (b"HTTP/1.1 400 Bad Request\r\n", b"")


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/model", "/docs", "/openapi.json"])
def test_what_can_be_got_can_be_asked_for_its_head(service, path):
    """RFC 9110, section 9.1."""
    got, asked = service.get(path), service.client.head(path)
    assert asked.status_code == 200
    assert asked.content == b""
    for name in ("content-type", "content-length"):
        assert asked.headers[name] == got.headers[name]
    counted = f'method="HEAD",route="{path}",status="200"}} 1.0'
    wait_until(lambda: counted in service.get("/metrics").text)


def test_what_cannot_be_got_has_no_head(service):
    assert service.client.head("/quality").status_code == 405
    assert service.client.head("/nowhere").status_code == 404


@pytest.mark.parametrize("path", ["/quality", "/quality/batch"])
def test_a_body_that_is_encoded_is_refused_by_the_name_of_its_encoding(service, path):
    headers = {"content-type": "image/png", "content-encoding": "gzip"}
    refused = service.client.post(path, content=gzip.compress(CAPTURE), headers=headers)
    problem = assert_problem(refused, 415, "unsupported_content_encoding")
    assert "'gzip'" in problem["detail"]
    assert refused.headers["accept-encoding"] == "identity"


def test_a_body_that_is_said_to_be_as_it_is_is_taken(service):
    headers = {"content-type": "image/png", "content-encoding": "Identity"}
    answer = service.client.post("/quality", content=CAPTURE, headers=headers)
    assert answer.status_code == 200


@pytest.mark.parametrize("path", ["/quality", "/quality/batch"])
def test_a_body_that_does_not_come_is_no_fault_of_the_service(path):
    with Service(request_timeout_seconds=0.1) as service:
        with connect(service) as caller, caller.makefile("rb") as answers:
            caller.sendall(head(path, Content_Length="9") + b"abc")
            status, headers, problem = read_answer(answers)
        assert (status, headers["connection"]) == (408, "close")
        assert json.loads(problem)["code"] == "body_timeout"
        metrics = service.get("/metrics").text
        assert set(re.findall(r"serfiq_requests_refused_total{.*} (.*)", metrics)) == {"0.0"}


def test_a_slash_too_many_is_no_resource(service):
    assert_problem(service.client.post("/quality/", content=CAPTURE), 404, "not_found")


class TestParameters:
    def assess(self, service: Service, query: str) -> httpx.Response:
        headers = {"content-type": "image/png"}
        return service.client.post(f"/quality?{query}", content=CAPTURE, headers=headers)

    def test_thousands_of_wrong_ones_make_no_large_answer(self, service):
        answer = self.assess(service, "include=" + ",".join(map(str, range(9_000))))
        assert_problem(answer, 422, "invalid_parameters")
        assert len(answer.content) < 2_000

    def test_of_many_unknown_ones_the_first_ten_are_named(self, service):
        answer = self.assess(service, "&".join(f"unknown{number}=1" for number in range(3_000)))
        problem = assert_problem(answer, 422, "invalid_parameters")
        assert len(problem["errors"]) == 10

    def test_an_extra_may_be_named_twice(self, service):
        answer = self.assess(service, "include=landmarks&include=landmarks,components")
        assert answer.status_code == 200

    @pytest.mark.parametrize("query", ["aligned=true&aligned=false", "profile=a&profile=enrolment"])
    def test_one_value_is_given_once(self, service, query):
        problem = assert_problem(self.assess(service, query), 422, "invalid_parameters")
        [complaint] = problem["errors"]
        assert complaint == {
            "location": f"query.{query.partition('=')[0]}",
            "message": "Given more than once",
        }
