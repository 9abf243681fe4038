"""Many callers at once: batches, deadlines, callers who leave, and engines that fail.

The fake pipeline is held at a gate, so that what must wait does wait; no test depends on timing.
"""

import socket
import threading

import pytest

from serfiq_core.testing import FakePipeline
from tests.http.service import (
    PATIENCE_SECONDS,
    Service,
    assert_problem,
    queued,
    random_capture,
    wait_until,
)

CAPTURES = [random_capture(seed) for seed in range(50)]
CAPTURE = CAPTURES[0]


def test_fifty_at_once_score_as_each_alone_and_travel_together(gate, callers):
    with Service(lambda: FakePipeline(before_score=gate), max_batch_size=16) as service:
        alone = [service.assess(capture).json()["raw_score"] for capture in CAPTURES]
        gate.close()
        answers = [callers.submit(service.assess, capture) for capture in CAPTURES]
        # All but those in the batch at the gate are waiting behind it.
        wait_until(lambda: gate.waiting == 1 and queued(service) == 50 - gate.passed[0][0])
        gate.open()
        together = [answer.result(PATIENCE_SECONDS).json()["raw_score"] for answer in answers]
    assert together == alone
    sizes = [size for (size,) in gate.passed]
    assert sum(sizes) == 50
    assert max(sizes) == 16


@pytest.mark.parametrize("stage", ["before_prepare", "before_score"])
def test_past_the_deadline_is_a_504_and_makes_room(gate, stage):
    with Service(
        lambda: FakePipeline(**{stage: gate}), request_timeout_seconds=0.1, prepare_workers=1
    ) as service:
        gate.close()
        # On a busy machine the time may be over before the body has come: then once more.
        wait_until(lambda: service.assess(CAPTURE).json()["code"] == "deadline_exceeded")
        gate.open()
        wait_until(lambda: service.engine.in_flight == 0)
        wait_until(lambda: service.assess(CAPTURE).status_code == 200)


def test_a_worker_still_busy_counts_as_work(gate):
    with Service(
        lambda: FakePipeline(before_prepare=gate), request_timeout_seconds=0.1, max_queued_work=1
    ) as service:
        gate.close()
        # On a busy machine the time may be over before a worker has begun: then once more.
        wait_until(
            lambda: service.assess(CAPTURE).status_code == 504 and service.engine.in_flight == 1
        )
        assert_problem(service.assess(CAPTURE), 429, "overloaded")


def test_a_caller_who_left_is_dropped_before_his_batch(gate, callers):
    with Service(lambda: FakePipeline(before_score=gate), max_batch_size=8) as service:
        gate.close()
        first = callers.submit(service.assess, CAPTURES[0])
        wait_until(lambda: gate.waiting == 1)
        leaver = send_and_keep(service, CAPTURES[1])
        wait_until(lambda: queued(service) == 1)
        stayer = callers.submit(service.assess, CAPTURES[2])
        wait_until(lambda: queued(service) == 2)
        leaver.close()
        wait_until(lambda: service.engine.in_flight == 2)
        gate.open()
        assert first.result(PATIENCE_SECONDS).status_code == 200
        assert stayer.result(PATIENCE_SECONDS).status_code == 200
    assert gate.passed == [(1,), (1,)]


def send_and_keep(service: Service, capture: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", service.port), PATIENCE_SECONDS)
    head = f"POST /quality HTTP/1.1\r\nHost: x\r\nContent-Length: {len(capture)}\r\n"
    connection.sendall(head.encode() + b"Content-Type: image/png\r\n\r\n" + capture)
    return connection


def test_a_caller_who_leaves_while_sending_leaves_nothing_behind(service):
    connection = socket.create_connection(("127.0.0.1", service.port), PATIENCE_SECONDS)
    connection.sendall(
        b"POST /quality HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n"
        b"Content-Type: image/png\r\n\r\nhalf"
    )
    connection.close()
    wait_until(lambda: 'status="499"' in service.get("/metrics").text)
    assert service.engine.in_flight == 0
    assert service.assess(CAPTURE).status_code == 200


def test_a_failed_batch_is_a_500_for_every_caller_in_it(gate, callers):
    faults: list[Exception] = []

    def hold_then_fail(size: int) -> None:
        gate(size)
        if faults:
            raise faults[0]

    with Service(lambda: FakePipeline(before_score=hold_then_fail)) as service:
        gate.close()
        answers = [callers.submit(service.assess, capture) for capture in CAPTURES[:5]]
        wait_until(lambda: gate.waiting == 1 and queued(service) == 5 - gate.passed[0][0])
        faults.append(RuntimeError("device trouble"))
        gate.open()
        for answer in answers:
            assert_problem(answer.result(PATIENCE_SECONDS), 500, "internal_error")
        faults.clear()
        assert service.assess(CAPTURE).status_code == 200
        assert service.get("/livez").status_code == 200


@pytest.mark.parametrize("missing", [1, 2])
def test_a_wrong_number_of_scores_is_a_500(missing):
    class Forgetful(FakePipeline):
        forgets = 0

        def score(self, faces):
            return [*super().score(faces), *super().score(faces)][: 2 * len(faces) - self.forgets]

    pipeline = Forgetful()
    pipeline.forgets = 1
    with Service(lambda: pipeline) as service:
        pipeline.forgets = 0 if missing == 1 else 2
        assert_problem(service.assess(CAPTURE), 500, "internal_error")


def test_a_dead_device_thread_fails_both_probes_and_every_request(gate, callers):
    armed = threading.Event()

    def die(size: int) -> None:
        gate(size)
        if armed.is_set():
            raise SystemExit("the driver is gone")

    with Service(lambda: FakePipeline(before_score=die)) as service:
        gate.close()
        armed.set()
        answers = [callers.submit(service.assess, capture) for capture in CAPTURES[:4]]
        wait_until(lambda: gate.waiting == 1 and queued(service) == 4 - gate.passed[0][0])
        gate.open()
        for answer in answers:
            assert_problem(answer.result(PATIENCE_SECONDS), 503, "engine_stopped")
        assert_problem(service.assess(CAPTURE), 503, "engine_stopped")
        assert_problem(service.get("/livez"), 503, "engine_stopped")
        assert_problem(service.get("/readyz"), 503, "engine_stopped")
        assert "serfiq_ready 0.0" in service.get("/metrics").text
