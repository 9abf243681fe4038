"""What callers may do with HTTP itself, and what one caller cannot do to the others."""

import contextlib
import json

import httpx
import pytest

from serfiq_core.testing import FakePipeline
from tests.http.service import Service, assert_problem, connect, random_capture
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


def test_a_slash_too_many_is_no_resource(service):
    assert_problem(service.client.post("/quality/", content=CAPTURE), 404, "not_found")


class TestParameters:
    def assess(self, service: Service, query: str) -> httpx.Response:
        headers = {"content-type": "image/png"}
        return service.client.post(f"/quality?{query}", content=CAPTURE, headers=headers)

    def test_thousands_of_wrong_ones_make_no_large_answer(self, service):
        for query in ("include=" + "," * 60_000, "include=" + ",".join(map(str, range(9_000)))):
            answer = self.assess(service, query)
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
