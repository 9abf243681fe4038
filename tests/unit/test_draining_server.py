"""How long a server that ends waits for what: answers have what is left of the grace."""

import asyncio
import logging
import signal
from types import SimpleNamespace

import pytest

from app import server
from app.server import DrainingServer, configured

GRACE_SECONDS = 30


class Clock:
    """`time.monotonic` that only the test moves."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(server, "time", clock)
    return clock


@pytest.fixture
def engine():
    engine = SimpleNamespace(phase="ready", in_flight=1, draining=False, died=False)
    engine.begin_draining = lambda: setattr(engine, "draining", True)
    return engine


def draining(engine, grace_seconds=GRACE_SECONDS):
    app = DrainingServer(configured(lambda *_: None, date_header=False), engine, grace_seconds)
    app.handle_exit(signal.SIGTERM, None)
    assert engine.draining
    return app


def tick(app):
    asyncio.run(app.on_tick(1))
    return app.should_exit, app.config.timeout_graceful_shutdown


def test_it_goes_on_while_captures_are_assessed(clock, engine):
    app = draining(engine)
    clock.now += 20
    assert tick(app) == (False, None)


def test_answers_that_are_still_drawn_have_what_is_left_of_the_grace(clock, engine):
    app = draining(engine)
    clock.now += 5
    engine.in_flight = 0
    # Of 30 seconds 5 are over, and one is for what is closed last.
    assert tick(app) == (True, 24)


def test_work_that_does_not_end_leaves_a_second_for_other_answers(clock, engine):
    app = draining(engine)
    clock.now += 27.9
    assert tick(app) == (False, None)
    clock.now += 0.2
    assert tick(app) == (True, 1)


def test_without_grace_it_ends_at_once(clock, engine):
    assert tick(draining(engine, grace_seconds=0)) == (True, 1)


def test_when_the_engine_has_died_those_who_waited_are_told_and_the_server_ends(
    clock, engine, caplog
):
    app = DrainingServer(configured(lambda *_: None, date_header=False), engine, GRACE_SECONDS)
    assert tick(app) == (False, None)
    engine.died = True
    assert tick(app) == (False, None)
    engine.in_flight = 0
    assert tick(app) == (True, 29)
    assert app.broken
    assert not engine.draining  # the probes say what has happened
    assert [record.levelname for record in caplog.records] == ["CRITICAL"]


def test_a_first_signal_after_that_is_no_second_one_and_gains_no_time(clock, engine):
    engine.died = True
    app = DrainingServer(configured(lambda *_: None, date_header=False), engine, GRACE_SECONDS)
    tick(app)
    clock.now += 20
    app.handle_exit(signal.SIGTERM, None)
    assert engine.draining
    assert not app.should_exit
    clock.now += 8.1
    assert tick(app) == (True, 1)
    assert not app.force_exit


def test_the_log_tells_once_that_it_drains(clock, engine, caplog):
    caplog.set_level(logging.INFO, "app.server")
    app = draining(engine)
    for _ in range(3):
        tick(app)
    [line] = caplog.records
    assert (line.getMessage(), line.fields) == ("draining", {"in_flight": 1})


def test_a_second_signal_does_not_wait(clock, engine):
    app = draining(engine)
    app.handle_exit(signal.SIGTERM, None)
    assert app.should_exit
    assert app.force_exit  # connections are not waited for
