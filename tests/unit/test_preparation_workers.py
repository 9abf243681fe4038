"""Worker processes: what they answer, and what becomes of those that die, hang or never start."""

import errno
import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from serfiq_core.decisions.profiles import (
    EMBEDDED_PROFILES,
    read_profiles,
    smallest_inter_eye_distance_px,
)
from serfiq_core.errors import (
    DeadlineExceededError,
    EngineStoppedError,
    PreparationFailedError,
    UndecodableImageError,
)
from serfiq_core.packs.pack import DetectorFile
from serfiq_core.preparation import workers as module
from serfiq_core.preparation.messages import Channel
from serfiq_core.preparation.worker import NICENESS, command
from serfiq_core.preparation.workers import STARTS, PreparationWorkers
from tests.lax_profile import with_a_lax_profile

PATIENCE_SECONDS = 60

FAKE = """
import os, signal, sys
from serfiq_core.errors import UndecodableImageError
from serfiq_core.preparation.worker import run
from serfiq_core.types import PreparedCapture

class Preparer:
    def prepare(self, data, *, aligned=False):
        if data == b"die":
            os._exit(7)
        if data == b"hang":
            os.write(2, b"hanging")
            while True:
                signal.pause()
        if data == b"refuse":
            raise UndecodableImageError("it ends early")
        if data == b"environment":
            return PreparedCapture(sum("SERFIQ" in name.upper() for name in os.environ), None, None)
        if data == b"bug":
            raise ZeroDivisionError("a bug")
        return PreparedCapture(len(data), None, None)

run(Preparer)
"""

NEVER_READY = """
import sys
with open(sys.argv[1], "a") as file:
    file.write("started ")
"""

HANGS = """
import sys
sys.stdin.buffer.read()
"""


@pytest.fixture
def start():
    made = []

    def begin(count=1, limit_seconds=PATIENCE_SECONDS):
        made.append(PreparationWorkers([sys.executable, "-c", FAKE], count, limit_seconds))
        made[-1].start().wait_until_ready()
        return made[-1]

    yield begin
    for each in made:
        each.close()


def test_workers_make_way_for_the_event_loop(start):
    own = os.getpriority(os.PRIO_PROCESS, 0)
    [pid] = start().pids
    assert os.getpriority(os.PRIO_PROCESS, pid) == min(own + NICENESS, 19)


def test_profiles_that_change_later_change_no_worker(tmp_path):
    """One that takes another's place looks for the faces that the others look for."""
    profiles = tmp_path / "profiles.toml"
    profiles.write_text(EMBEDDED_PROFILES.read_text())
    made = command(None, profiles)
    assert str(profiles) not in made
    wanted_px = smallest_inter_eye_distance_px(read_profiles(profiles).values())
    assert wanted_px > 0
    assert made[-2:] == ["--inter-eye-distance", str(wanted_px)]


def test_no_face_is_looked_for_on_behalf_of_a_profile_in_the_shadow(tmp_path):
    profiles, embedded = with_a_lax_profile(tmp_path), command(None, None)
    assert command(None, profiles, "lax") == embedded
    assert command(None, profiles) != embedded


def test_every_caller_gets_his_own_answer(start):
    workers = start(count=2)
    with ThreadPoolExecutor(6) as callers:
        answers = callers.map(lambda size: workers.prepare(bytes(size)).faces_found, range(40))
        assert list(answers) == list(range(40))


@pytest.mark.parametrize(
    ("capture", "error"), [(b"refuse", UndecodableImageError), (b"bug", PreparationFailedError)]
)
def test_a_capture_that_cannot_be_prepared_costs_no_worker(start, capture, error):
    workers = start()
    before = workers.pids
    with pytest.raises(error):
        workers.prepare(capture)
    assert workers.prepare(b"12").faces_found == 2
    assert workers.pids == before


def test_a_worker_knows_no_keys(start, monkeypatch):
    for name in ("SERFIQ_API_KEYS", "serfiq_api_keys"):
        monkeypatch.setenv(name, "hush-hush")
    assert start().prepare(b"environment").faces_found == 0


def test_a_worker_that_dies_is_replaced_and_its_caller_told(start, caplog):
    workers = start()
    before = workers.pids
    with pytest.raises(PreparationFailedError, match="died"):
        workers.prepare(b"die")
    assert workers.prepare(b"12").faces_found == 2
    assert workers.pids != before
    [warning] = caplog.records
    assert warning.fields["exit_status"] in (7, -signal.SIGKILL)  # it may be killed while it exits


def test_a_worker_that_dies_between_captures_is_replaced_unnoticed(start):
    workers = start()
    [before] = workers.pids
    os.kill(before, signal.SIGKILL)
    os.waitid(os.P_PID, before, os.WEXITED | os.WNOWAIT)
    assert workers.prepare(b"12").faces_found == 2
    assert workers.pids != [before]


def test_a_worker_that_hangs_is_killed_and_replaced(start):
    workers = start(limit_seconds=3)
    before = workers.pids
    with pytest.raises(DeadlineExceededError):
        workers.prepare(b"hang")
    assert workers.prepare(b"12").faces_found == 2
    assert workers.pids != before


@pytest.mark.parametrize("error", [MemoryError, RecursionError])
@pytest.mark.parametrize("step", ["send", "receive"])
def test_an_answer_that_was_not_read_is_nobody_elses(start, monkeypatch, step, error):
    workers = start()
    whole = getattr(Channel, step)

    def break_off(self, *arguments):
        monkeypatch.undo()
        if step == "send":
            whole(self, *arguments)  # the worker gets its capture, and will answer
        raise error

    monkeypatch.setattr(Channel, step, break_off)
    with pytest.raises(PreparationFailedError):
        workers.prepare(b"1")
    assert workers.prepare(b"12").faces_found == 2


def test_workers_that_never_start_are_given_up(tmp_path):
    starts = tmp_path / "starts"
    command = [sys.executable, "-c", NEVER_READY, str(starts)]
    with PreparationWorkers(command, 1, PATIENCE_SECONDS) as workers:
        workers.start()
        with pytest.raises(PreparationFailedError, match=r"do not start: the other end .* closed"):
            workers.wait_until_ready()
    assert starts.read_text().split().count("started") >= STARTS - 1  # the last is ended with them


class TestSuccessors:
    """What becomes of captures, and of the workers, when none that died can be replaced."""

    @pytest.fixture
    def no_memory(self, monkeypatch):
        monkeypatch.setattr(module, "PAUSES_SECONDS", (0, 0))

        def refuse(*_, **__):
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

        def begin():
            monkeypatch.setattr(module.subprocess, "Popen", refuse)

        return begin

    @staticmethod
    def kill(pid):
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)

    def test_while_another_lives_a_capture_fails_and_the_next_is_prepared(self, start, no_memory):
        workers = start(count=2)
        self.kill(workers.pids[-1])
        no_memory()
        with pytest.raises(PreparationFailedError):
            workers.prepare(b"12")
        assert workers.prepare(b"12").faces_found == 2

    def test_when_none_is_left_they_have_stopped(self, start, no_memory, caplog):
        workers = start(count=2)
        for pid in workers.pids:
            self.kill(pid)
        no_memory()
        with pytest.raises(EngineStoppedError, match="No process"):
            workers.prepare(b"12")
        assert caplog.text.count("Cannot allocate memory") == STARTS

    def test_a_start_that_was_refused_is_tried_again_after_a_while(
        self, start, no_memory, monkeypatch
    ):
        monkeypatch.setattr(module, "PAUSES_SECONDS", (2, 3))
        workers, pauses = start(), []
        monkeypatch.setattr(workers._closed, "wait", pauses.append)
        self.kill(workers.pids[0])
        no_memory()
        with pytest.raises(EngineStoppedError):
            workers.prepare(b"12")
        assert pauses == [2, 3, 0]

    def test_while_another_starts_they_have_not_stopped(self, start, no_memory):
        workers = start(count=2)
        for pid in workers.pids:
            self.kill(pid)
        workers._workers[0].start()
        no_memory()
        with pytest.raises(PreparationFailedError):
            workers.prepare(b"12")
        assert workers.prepare(b"12").faces_found == 2

    def test_while_others_start_in_vain_they_have_stopped(self, monkeypatch):
        monkeypatch.setattr(module, "START_SECONDS", 0)
        monkeypatch.setattr(module, "LEAVING_SECONDS", 0)
        workers = PreparationWorkers([sys.executable, "-c", HANGS], 2, PATIENCE_SECONDS)
        with workers.start():
            with pytest.raises(PreparationFailedError):
                workers.prepare(b"12")
            with pytest.raises(EngineStoppedError):
                workers.prepare(b"12")

    def test_a_start_that_succeeds_again_is_all_it_takes(self, start, no_memory, monkeypatch):
        workers = start()
        self.kill(workers.pids[0])
        no_memory()
        with pytest.raises(EngineStoppedError):
            workers.prepare(b"12")
        monkeypatch.undo()
        assert workers.prepare(b"12").faces_found == 2

    def test_a_worker_that_dies_and_has_no_successor_fails_its_capture_alone(
        self, start, no_memory
    ):
        workers = start(count=2)
        no_memory()
        with pytest.raises(PreparationFailedError, match="died"):
            workers.prepare(b"die")
        assert workers.prepare(b"12").faces_found == 2

    def test_the_connection_to_one_that_died_is_closed(self, start):
        workers = start()
        connection = workers._workers[0].channel._connection
        with pytest.raises(PreparationFailedError):
            workers.prepare(b"die")
        assert workers.prepare(b"12").faces_found == 2
        assert connection.fileno() == -1


def test_a_detector_that_changed_keeps_a_worker_from_starting_and_the_log_says_why(
    tmp_path, caplog, capfd
):
    """It would find other faces than the record names. No pack.toml is asked: there is none."""
    detector = tmp_path / "det.onnx"
    detector.write_bytes(b"another")
    made = command(DetectorFile(detector, "0" * 64), None)
    with PreparationWorkers(made, 1, PATIENCE_SECONDS) as workers:
        workers.start()
        with pytest.raises(
            PreparationFailedError, match=r"det\.onnx: SHA-256 should be 0+, and is"
        ):
            workers.wait_until_ready()
    assert all("SHA-256 should be" in record.getMessage() for record in caplog.records)
    assert {record.fields["exit_status"] for record in caplog.records} == {1}
    assert capfd.readouterr().err == ""


def test_closing_wakes_who_waits(start, capfd):
    workers = start()
    with ThreadPoolExecutor(2) as callers:
        hanging = callers.submit(workers.prepare, b"hang")
        waiting = callers.submit(workers.prepare, b"12")
        printed, patience = "", threading.Event()
        while "hanging" not in printed:
            patience.wait(0.01)
            printed += capfd.readouterr().err
        workers.close()
        for caller in (hanging, waiting):
            with pytest.raises(EngineStoppedError):
                caller.result(PATIENCE_SECONDS)
    with pytest.raises(EngineStoppedError):
        workers.prepare(b"12")


def test_signals_to_the_whole_group_do_not_end_a_worker(start):
    workers = start()
    for number in (signal.SIGTERM, signal.SIGINT):
        os.kill(workers.pids[0], number)
    before = workers.pids
    assert workers.prepare(b"12").faces_found == 2
    assert workers.pids == before
