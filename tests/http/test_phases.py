"""Starting, ready, draining, failed: what the probes and `/quality` say in each."""

import threading

from serfiq_core.errors import ChecksumError
from serfiq_core.testing import FakePipeline
from tests.http.service import (
    PATIENCE_SECONDS,
    Service,
    assert_problem,
    random_capture,
    wait_until,
)

CAPTURE = random_capture()


def test_it_listens_at_once_and_is_ready_when_the_model_is_warm():
    may_load, warming, may_warm = threading.Event(), threading.Event(), threading.Event()

    def load():
        assert may_load.wait(PATIENCE_SECONDS)
        return FakePipeline(before_score=warm)

    def warm(size):
        warming.set()
        assert may_warm.wait(PATIENCE_SECONDS)

    with Service(load, wait_for_model=False) as service:
        for proceed in (may_load.set, may_warm.set):
            assert service.get("/livez").status_code == 200
            assert_problem(service.get("/startupz"), 503, "starting")
            assert_problem(service.get("/readyz"), 503, "starting")
            assert_problem(service.get("/model"), 503, "starting")
            refused = service.assess(CAPTURE)
            assert_problem(refused, 503, "starting")
            assert int(refused.headers["retry-after"]) >= 1
            assert "serfiq_ready 0.0" in service.get("/metrics").text
            proceed()
            assert warming.wait(PATIENCE_SECONDS)
        wait_until(lambda: service.get("/readyz").status_code == 200)
        assert service.get("/startupz").status_code == 200
        assert "serfiq_ready 1.0" in service.get("/metrics").text
        assert service.assess(CAPTURE).status_code == 200


def test_a_model_that_cannot_be_loaded():
    def load():
        raise ChecksumError("/srv/packs/x/weights is another file")

    with Service(load, wait_for_model=False) as service:
        wait_until(lambda: service.engine.failed)
        assert_problem(service.get("/startupz"), 503, "load_failed")
        assert_problem(service.get("/readyz"), 503, "load_failed")
        assert "srv" not in assert_problem(service.assess(CAPTURE), 503, "load_failed")["detail"]


def test_the_log_says_why_before_it_shows_where(caplog):
    def load():
        raise ChecksumError("/srv/packs/x/weights is another file")

    with Service(load, wait_for_model=False) as service:
        wait_until(lambda: service.engine.failed)
    messages = [each.getMessage() for each in caplog.records if each.levelname == "CRITICAL"]
    assert messages == ["the model could not be loaded: /srv/packs/x/weights is another file"]


def test_a_model_that_cannot_be_warmed_up_counts_as_not_loaded():
    def fail(size):
        raise RuntimeError("no kernel image is available")

    with Service(lambda: FakePipeline(before_score=fail), wait_for_model=False) as service:
        wait_until(lambda: service.engine.failed)
        assert_problem(service.get("/startupz"), 503, "load_failed")


def test_draining_refuses_the_new_and_finishes_the_accepted():
    entered, may_go_on = threading.Event(), threading.Event()
    armed = threading.Event()

    def hold(size):
        if armed.is_set():
            entered.set()
            assert may_go_on.wait(PATIENCE_SECONDS)

    answers = []
    with Service(lambda: FakePipeline(before_score=hold)) as service:
        armed.set()
        caller = threading.Thread(target=lambda: answers.append(service.assess(CAPTURE)))
        caller.start()
        assert entered.wait(PATIENCE_SECONDS)
        service.engine.begin_draining()
        assert_problem(service.get("/readyz"), 503, "draining")
        assert_problem(service.assess(CAPTURE), 503, "draining")
        assert service.get("/livez").status_code == 200
        probe = service.get("/startupz")
        assert probe.status_code == 200
        assert probe.headers["connection"] == "close"
        may_go_on.set()
        caller.join(PATIENCE_SECONDS)
    assert [answer.status_code for answer in answers] == [200]
    assert answers[0].headers["connection"] == "close"
