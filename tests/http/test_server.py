"""`serve`, as a process of its own: signals, exit statuses, and the metrics' own port."""

import contextlib
import re
import signal
import socket
import subprocess
import sys
import threading

import httpx
import pytest

from tests.conftest import REPOSITORY
from tests.http.service import PATIENCE_SECONDS, assert_problem, random_capture, wait_until

CAPTURE = random_capture()

SERVE = """
import atexit, logging, os, signal, sys, threading
import app.main
from app.settings import Settings
from serfiq_core.errors import EngineStoppedError, PackNotFoundError
from serfiq_core.testing import FakePipeline

def abort_if_left():
    # As torch has it of a thread that comes back to an interpreter that is ending.
    if any(thread.daemon for thread in threading.enumerate()):
        os.abort()

def wait_for_line():
    print("holding", file=sys.stderr, flush=True)
    sys.stdin.readline()

def hold(size):
    # The second call is the first request: the warm-up came before it.
    calls.append(size)
    if len(calls) == 2 and "die" in sys.argv:
        raise SystemExit("the driver is gone")
    if len(calls) == 2 and "hold" in sys.argv:
        wait_for_line()

def load():
    if "load" in sys.argv:
        wait_for_line()
    if "fail" in sys.argv:
        raise PackNotFoundError("no pack is called nothing")
    return FakePipeline(before_prepare=prepare, before_score=hold)

def signalled_late(end):
    # One signal as the server has ended, and one as the process ends.
    def shut_down():
        os.kill(os.getpid(), signal.SIGTERM)
        print("signalled twice", file=sys.stderr, flush=True)

    def end_late(status):
        os.kill(os.getpid(), signal.SIGTERM)
        logging.shutdown = shut_down
        end(status)
    return end_late

def prepare():
    prepared.append(1)
    if len(prepared) == 2 and "stopped" in sys.argv:
        raise EngineStoppedError("No process that prepares captures starts any more.")

def load_with_workers(settings, workers):
    # The first request is a capture without end: only killing the workers lets its caller go.
    killed = threading.Event()
    workers.callback(killed.set)
    def wait():
        prepared.append(1)
        if len(prepared) == 2:
            print("preparing", file=sys.stderr, flush=True)
            killed.wait()
    return FakePipeline(before_prepare=wait)

calls, prepared = [], []
atexit.register(abort_if_left)
app.main.load_with_workers = load_with_workers
if "late" in sys.argv:
    app.main._end = signalled_late(app.main._end)
app.main.serve(Settings(), None if "prepare" in sys.argv else load)
"""

BEFORE_IT_LISTENS = """
import os, sys

class Module:
    # Stands where one is: a signal comes while it is being imported.
    def __getattr__(self, _):
        os.kill(os.getpid(), number)
        sys.exit("it went on")

name, number = sys.argv[1], int(sys.argv[2])
sys.argv[1:] = ["serve"]
sys.modules[name] = Module()
from app.cli import main
main()
"""

UNREAD = """
import os, sys, threading
from contextlib import suppress
from app.main import _end

reader, writer = os.pipe()
os.close(reader)
os.dup2(writer, 2)
with suppress(BrokenPipeError):
    sys.stderr.write("nobody reads it")
sys.stdout = None
threading.Thread(target=threading.Event().wait, daemon=True).start()
_end(3)
"""


class Process:
    """`serve` with the fake pipeline; its log is read line by line as it comes."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVE, *arguments],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
            env={
                "PATH": "/usr/bin:/bin",
                "SERFIQ_PORT": "0",
                "SERFIQ_MAX_BATCH_SIZE": "32",
                **environment,
            },
        )
        self.log: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        self.log.extend(iter(self.process.stderr.readline, ""))

    def wait_for_log(self, pattern: str) -> "re.Match[str]":
        found: list[re.Match[str]] = []

        def seen() -> bool:
            matches = (re.search(pattern, line) for line in list(self.log))
            found.extend(match for match in matches if match)
            return bool(found)

        wait_until(seen)
        return found[0]

    def wait_until_ready(self) -> str:
        url = self.wait_for_log(r"http://127\.0\.0\.1:\d+")[0]
        self.wait_for_log('"ready"')
        return url

    def exit_status(self) -> int:
        return self.process.wait(PATIENCE_SECONDS)


@pytest.fixture
def start():
    started: list[Process] = []

    def begin(*arguments: str, **environment: str) -> Process:
        started.append(Process(*arguments, **environment))
        return started[-1]

    yield begin
    for each in started:
        each.process.kill()
        each.process.wait()


def run(program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=REPOSITORY,
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )


def post(url: str) -> httpx.Response:
    headers = {"content-type": "image/png"}
    return httpx.post(f"{url}/quality", content=CAPTURE, headers=headers, timeout=PATIENCE_SECONDS)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_an_idle_server_orderly(start, number):
    server = start()
    url = server.wait_until_ready()
    assert post(url).status_code == 200
    server.process.send_signal(number)
    assert server.exit_status() == 0


def test_sigterm_drains_before_it_ends(start):
    server = start("hold", SERFIQ_SHUTDOWN_GRACE_SECONDS="600")
    url = server.wait_until_ready()
    answers: list[httpx.Response] = []
    caller = threading.Thread(target=lambda: answers.append(post(url)))
    caller.start()
    server.wait_for_log("holding")
    server.process.send_signal(signal.SIGTERM)
    wait_until(lambda: httpx.get(f"{url}/readyz").status_code == 503)
    assert post(url).json()["code"] == "draining"
    assert server.process.stdin is not None
    server.process.stdin.write("go on\n")
    server.process.stdin.flush()
    caller.join(PATIENCE_SECONDS)
    assert [answer.status_code for answer in answers] == [200]
    assert server.exit_status() == 0


def test_the_grace_ends_even_for_work_that_does_not(start):
    server = start("hold", SERFIQ_SHUTDOWN_GRACE_SECONDS="0")
    url = server.wait_until_ready()
    answers: list[httpx.Response | None] = []

    def call() -> None:
        try:
            answers.append(post(url))
        except httpx.TransportError:
            answers.append(None)

    caller = threading.Thread(target=call)
    caller.start()
    server.wait_for_log("holding")
    server.process.send_signal(signal.SIGTERM)
    assert server.exit_status() == 0
    caller.join(PATIENCE_SECONDS)
    assert answers[0] is not None
    problem = assert_problem(answers[0], 503, "draining")
    assert answers[0].headers["connection"] == "close"
    line = server.wait_for_log(r'"request_id": "(\w+)", .* "status": 503, .* "problem": "draining"')
    assert line[1] == problem["request_id"]
    assert "Traceback" not in "".join(server.log)


def test_the_grace_ends_for_a_body_that_does_not_come(start):
    server = start(SERFIQ_SHUTDOWN_GRACE_SECONDS="0")
    url = httpx.URL(server.wait_until_ready())
    with socket.create_connection((url.host, url.port), PATIENCE_SECONDS) as caller:
        caller.sendall(b"POST /quality HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc")
        wait_until(lambda: httpx.get(f"{url}/readyz").status_code == 200)
        server.process.send_signal(signal.SIGTERM)
        answer = b"".join(iter(lambda: caller.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b'"code":"draining"' in answer
    assert server.exit_status() == 0
    assert "Traceback" not in "".join(server.log)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_it_loads_ends_it_orderly(start, number):
    """Although nothing can end the thread that loads."""
    server = start("load")
    server.wait_for_log("holding")
    server.process.send_signal(number)
    assert server.exit_status() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("module", ["typer", "app.settings"])
def test_a_signal_before_it_listens_for_signals_ends_it_orderly(module, number):
    ended = run(BEFORE_IT_LISTENS, module, str(int(number)))
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_signal_that_comes_too_late_changes_no_status(start):
    server = start("fail", "late")
    assert server.exit_status() == 1
    assert server.wait_for_log("signalled twice")


def test_it_ends_with_its_status_where_nobody_reads_what_it_prints():
    assert run(UNREAD).returncode == 3


def test_a_second_signal_waits_for_nobody(start):
    """Not even for somebody whose body is still coming in, for whom ten minutes would be left."""
    server = start(SERFIQ_SHUTDOWN_GRACE_SECONDS="600")
    url = httpx.URL(server.wait_until_ready())
    with socket.create_connection((url.host, url.port)) as caller:
        caller.sendall(b"POST /quality HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc")
        wait_until(lambda: httpx.get(f"{url}/readyz").status_code == 200)
        server.process.send_signal(signal.SIGTERM)
        server.wait_for_log("Shutting down")
        server.process.send_signal(signal.SIGTERM)
        assert server.exit_status() == 0


def test_a_second_signal_kills_workers_at_a_capture(start):
    server = start("prepare", SERFIQ_SHUTDOWN_GRACE_SECONDS="600")
    url = server.wait_until_ready()

    def call() -> None:
        with contextlib.suppress(httpx.TransportError):
            post(url)

    caller = threading.Thread(target=call)
    caller.start()
    server.wait_for_log("preparing")
    server.process.send_signal(signal.SIGTERM)
    server.wait_for_log('"draining"')
    server.process.send_signal(signal.SIGTERM)
    assert server.exit_status() == 0
    caller.join(PATIENCE_SECONDS)
    assert "lifespan" not in "".join(server.log)


def test_a_misspelt_setting_is_told_of(start):
    server = start(SERFIQ_API_KEY="the-key")
    assert server.wait_for_log("SERFIQ_API_KEY is no setting")


def test_a_service_that_everybody_may_ask_is_warned_of(start):
    server = start(SERFIQ_HOST="0.0.0.0", SERFIQ_API_KEYS="")
    assert server.wait_for_log("no API keys: everybody who reaches port 0 of 0.0.0.0 may ask")


def test_a_model_that_cannot_be_loaded_ends_the_process_with_status_1(start):
    server = start("fail")
    assert server.exit_status() == 1
    assert server.wait_for_log("no pack is called nothing")


@pytest.mark.parametrize("end", ["die", "stopped"])
def test_an_engine_that_dies_ends_the_process_with_status_1(start, end):
    server = start(end)
    url = server.wait_until_ready()
    assert post(url).json()["code"] == "engine_stopped"
    assert server.exit_status() == 1
    assert server.wait_for_log('"critical".* only a new process helps')


def test_whom_a_dead_engine_cuts_off_is_told_so(start):
    server = start("stopped", SERFIQ_SHUTDOWN_GRACE_SECONDS="0")
    url = httpx.URL(server.wait_until_ready())
    with socket.create_connection((url.host, url.port), PATIENCE_SECONDS) as caller:
        caller.sendall(b"POST /quality HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc")
        wait_until(lambda: httpx.get(f"{url}/readyz").status_code == 200)
        assert post(str(url)).headers["connection"] == "close"
        answer = b"".join(iter(lambda: caller.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b'"code":"engine_stopped"' in answer
    assert server.exit_status() == 1
    assert "Traceback" not in "".join(server.log)


def test_a_port_that_is_taken_ends_the_process_with_status_3(start):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = start("load", SERFIQ_PORT=str(taken.getsockname()[1]))
        assert server.exit_status() == 3


def test_metrics_on_their_own_port_are_only_there(start):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = start(SERFIQ_METRICS_PORT=str(port))
    url = server.wait_until_ready()
    assert "serfiq_ready 1.0" in httpx.get(f"http://127.0.0.1:{port}/metrics").text
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.2:{port}/metrics")  # as SERFIQ_HOST has it
    assert httpx.get(f"{url}/metrics").status_code == 404
