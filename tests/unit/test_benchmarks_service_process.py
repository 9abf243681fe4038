"""The processes of a measurement: the service, its client, and the engine without HTTP."""

import asyncio
import urllib.error

import pytest

from app.engine import Engine
from app.metrics import Metrics
from app.settings import Settings
from benchmarks.full_load import Scale, full_load
from benchmarks.in_process import InProcessPlan, drive
from benchmarks.load_client import Client, Plan
from benchmarks.load_result import NOT_SENT
from benchmarks.photographs import make_photographs
from benchmarks.process_memory import resident_bytes_of_tree
from benchmarks.service_process import (
    LitServeSettings,
    Server,
    fetch,
    litserve_service,
    serfiq_service,
)
from serfiq_core.testing import FakePipeline
from tests.http.service import Service, wait_until

SECONDS = 0.3
"""Of load: how much comes of it does not matter here."""


@pytest.fixture
def folder(tmp_path):
    for index, photograph in enumerate(make_photographs(3)):
        (tmp_path / f"{index}.jpg").write_bytes(photograph)
    return tmp_path


def test_the_service_is_started_asked_and_stopped():
    with serfiq_service() as server:
        assert fetch(server, "/model")["device"] in ("cpu", "cuda")
        assert resident_bytes_of_tree(server.pid) > 0
    assert resident_bytes_of_tree(server.pid) == 0
    with pytest.raises(urllib.error.URLError):
        fetch(server, "/livez")


def test_a_service_that_cannot_start_says_why(monkeypatch):
    monkeypatch.setenv("SERFIQ_PACK", "nothing")
    with pytest.raises(RuntimeError, match="no pack named 'nothing'"), serfiq_service():
        pass


def test_litserve_takes_the_same_requests(folder):
    pytest.importorskip("litserve", reason="needs the optional extra bench")
    with litserve_service(LitServeSettings(threads=1)) as server:
        result = full_load(server, Scale(folder, 1, SECONDS, SECONDS))
    assert set(result.statuses) <= {200}
    assert resident_bytes_of_tree(server.pid) == 0


@pytest.mark.parametrize("body", ["jpeg", "json"])
@pytest.mark.parametrize("kind", ["closed", "open"])
def test_the_client_sends_what_the_service_accepts(folder, kind, body):
    with Service() as service:
        plan = Plan(
            kind=kind,
            port=service.port,
            path="/quality",
            seconds=SECONDS,
            photographs=str(folder),
            body=body,
            connections=8,
            rate=50.0,
        )
        result = Client(plan).result()
    # On a busy machine all connections may still be taken when a request is due.
    assert set(result.statuses) - {NOT_SENT} == {200}


def test_the_client_probes(folder):
    with Service() as service:
        result = Client(Plan("probe", service.port, "/livez", SECONDS)).result()
    assert set(result.statuses) == {200}


def test_a_client_that_fails_is_an_error(folder):
    with Service() as service:
        port = service.port
    with pytest.raises(RuntimeError, match="status 1"):
        Client(Plan("probe", port, "/livez", SECONDS)).result()


def test_a_full_load_that_is_refused_is_no_measurement(folder):
    with Service() as service:
        server = Server(0, service.port, "/quality?profile=none", "jpeg")
        with pytest.raises(RuntimeError, match="422"):
            full_load(server, Scale(folder, 1, SECONDS, SECONDS))


def test_the_engine_is_driven_without_http(folder):
    engine = Engine(Settings(), Metrics(), FakePipeline)
    engine.start()
    wait_until(lambda: engine.phase == "ready")
    try:
        result = asyncio.run(drive(engine, InProcessPlan(str(folder), 4, SECONDS, 0.0)))
    finally:
        engine.close()
    assert set(result.statuses) == {200}
    assert engine.in_flight == 0
