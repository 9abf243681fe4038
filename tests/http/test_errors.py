"""Every error is a problem document, and no error says more than it should."""

import socket
import threading

import pytest

from app import request_errors
from app.problems import INTERNAL, PROBLEMS, kind_of
from serfiq_core import errors
from serfiq_core.testing import FakePipeline
from tests.http.service import PATIENCE_SECONDS, Service, assert_problem, random_capture

CAPTURE = random_capture()

MAPPED_BY_ANCESTOR = {
    errors.PackError: [
        errors.PackNotFoundError,
        errors.ManifestError,
        errors.ChecksumError,
        errors.WeightsError,
        errors.UnsuitableError,
        errors.LicenceError,
        errors.DownloadError,
        errors.ArchiveError,
        errors.OnnxImportError,
        errors.UnsupportedOperatorError,
        errors.ImportMismatchError,
    ],
    errors.EvaluationError: [errors.InsufficientDataError],
}
"""Errors of packs and of evaluations: none of them is an answer to a request."""


def classes_of(module):
    found = [each for each in vars(module).values() if isinstance(each, type)]
    return [each for each in found if issubclass(each, Exception)]


def test_every_error_of_the_core_is_mapped_on_purpose():
    by_ancestor = {child: parent for parent, cs in MAPPED_BY_ANCESTOR.items() for child in cs}
    for cls in classes_of(errors):
        if cls in by_ancestor:
            assert cls not in PROBLEMS
            assert kind_of(cls("x")) is PROBLEMS[by_ancestor[cls]]
        else:
            assert cls in PROBLEMS, f"{cls.__name__} is in no row of the table"


def test_every_error_of_a_request_is_mapped_on_purpose():
    roots = {request_errors.RequestError, request_errors.NotReadyError}
    assert {cls for cls in classes_of(request_errors) if cls not in PROBLEMS} == roots


def test_a_new_error_takes_the_row_of_its_nearest_ancestor():
    class NewError(errors.NotAlignedError):
        pass

    assert kind_of(NewError("x")) is PROBLEMS[errors.NotAlignedError]
    assert kind_of(ZeroDivisionError()) is INTERNAL


def test_codes_are_as_many_as_kinds():
    kinds = set(PROBLEMS.values())
    assert len({kind.code for kind in kinds}) == len(kinds)


def test_unknown_path(service):
    assert_problem(service.get("/nowhere"), 404, "not_found")


@pytest.mark.parametrize(
    ("path", "allowed"), [("/model", "GET, HEAD"), ("/metrics", "GET, HEAD"), ("/quality", "POST")]
)
def test_wrong_method(service, path, allowed):
    response = service.client.put(path)
    assert_problem(response, 405, "method_not_allowed")
    assert response.headers["allow"] == allowed


@pytest.mark.parametrize("stage", ["before_prepare", "before_score"])
def test_an_unforeseen_error_says_nothing_of_the_inside(stage):
    armed = threading.Event()

    def fail(*_):
        if armed.is_set():
            raise RuntimeError("secret: /etc/passwd")

    with Service(lambda: FakePipeline(**{stage: fail})) as service:
        armed.set()
        response = service.assess(CAPTURE)
        assert_problem(response, 500, "internal_error")
        assert "secret" not in response.text
        assert "decision" not in response.text
        armed.clear()
        assert service.assess(CAPTURE).status_code == 200


def test_errors_that_name_the_inside_do_not_speak():
    def fail():
        raise errors.ConfigurationError("/srv/profiles.toml is wrong")

    pipeline = FakePipeline()
    with Service(lambda: pipeline) as service:
        pipeline._before_prepare = fail
        response = service.assess(CAPTURE)
    assert "srv" not in response.text
    assert_problem(response, 500, "internal_error")


def test_a_request_id_is_taken_over_when_it_is_harmless(service):
    response = service.get("/nowhere", headers={"x-request-id": "front-end_7.1"})
    assert assert_problem(response, 404, "not_found")["request_id"] == "front-end_7.1"


@pytest.mark.parametrize("given", ["a b", 'x"y', "x" * 65, ""])
def test_a_request_id_that_could_do_harm_is_replaced(service, given):
    response = service.get("/livez", headers={"x-request-id": given})
    assert len(response.headers["x-request-id"]) == 32


@pytest.fixture(scope="module")
def locked():
    with Service(api_keys="first-key, second-key") as running:
        yield running


@pytest.fixture(scope="module")
def narrow():
    with Service(max_body_bytes=len(CAPTURE)) as running:
        yield running


class TestKeys:
    @pytest.mark.parametrize(
        "headers",
        [
            {"x-api-key": "first-key"},
            {"x-api-key": "second-key"},
            {"authorization": "Bearer second-key"},
            {"authorization": "bearer second-key"},
        ],
    )
    def test_a_known_key_opens(self, locked, headers):
        headers = {**headers, "content-type": "image/png"}
        assert locked.client.post("/quality", content=CAPTURE, headers=headers).status_code == 200
        assert locked.get("/model", headers=headers).status_code == 200

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"x-api-key": ""},
            {"x-api-key": "first-ke"},
            {"x-api-key": "first-key, second-key"},
            {"authorization": "Bearer wrong"},
            {"authorization": "Basic first-key"},
            {"x-api-key": "wrong", "authorization": "Bearer first-key"},
        ],
    )
    def test_anything_else_does_not(self, locked, headers):
        headers = {**headers, "content-type": "image/png"}
        for response in (
            locked.client.post("/quality?include=ponies", content=CAPTURE, headers=headers),
            locked.get("/model", headers=headers),
        ):
            assert_problem(response, 401, "unauthorised")
            assert response.headers["www-authenticate"] == "Bearer"

    def test_a_key_in_another_alphabet_is_wrong_and_no_crash(self, locked):
        headers = {"x-api-key": "schlüssel".encode()}
        assert_problem(locked.get("/model", headers=headers), 401, "unauthorised")

    @pytest.mark.parametrize("path", ["/livez", "/readyz", "/startupz", "/metrics", "/docs"])
    def test_probes_and_documentation_need_none(self, locked, path):
        assert locked.get(path).status_code == 200


class TestTooLarge:
    def test_the_limit_itself_is_taken(self, narrow):
        assert narrow.assess(CAPTURE).status_code == 200

    def test_one_byte_more_is_not(self, narrow):
        assert_problem(narrow.assess(CAPTURE + b"\0"), 413, "body_too_large")
        assert narrow.assess(CAPTURE).status_code == 200

    def test_what_is_announced_is_refused_before_it_is_sent(self, narrow):
        with socket.create_connection(("127.0.0.1", narrow.port), PATIENCE_SECONDS) as connection:
            connection.sendall(
                b"POST /quality HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"
                b"Content-Length: 999999999999\r\n\r\n"
            )
            answer = b""
            while b"body_too_large" not in answer:
                piece = connection.recv(65536)
                assert piece, answer
                answer += piece
        assert answer.startswith(b"HTTP/1.1 413 ")

    def test_chunks_are_counted(self, narrow):
        chunks = (CAPTURE[i : i + 1000] for i in range(0, len(CAPTURE), 1000))
        headers = {"content-type": "image/png"}
        response = narrow.client.post("/quality", content=chunks, headers=headers)
        assert response.status_code == 200
        more = (b"x" * 1000 for _ in range(len(CAPTURE) // 1000 + 1))
        response = narrow.client.post("/quality", content=more, headers=headers)
        assert_problem(response, 413, "body_too_large")
