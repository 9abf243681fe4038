"""A server under measurement, in a process of its own: started, awaited, stopped.

This file knows where the two servers that are compared come from, and nothing of what they answer.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from tempfile import TemporaryFile
from typing import IO, Any, Literal

from benchmarks.connection import HOST
from benchmarks.load_client import REPOSITORY

POLL_SECONDS = 0.1

START_SECONDS = 120.0
"""To import torch and to load a model on a busy machine takes seconds, not minutes."""

STOP_SECONDS = 40.0
"""The service ends within 25 seconds of SIGTERM."""

LOG_TAIL_BYTES = 4000
"""Of the log of a server that failed, as much as shows the error."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server that is ready. `path` takes photographs."""

    pid: int
    port: int
    path: str
    body: Literal["jpeg", "json"]


@dataclass(frozen=True, slots=True)
class LitServeSettings:
    """What LitServe lets one choose. `threads` are torch's, in each worker."""

    workers: int = 1
    threads: int = 2
    batch_timeout_seconds: float = 0.0
    max_batch_size: int = 32


@contextmanager
def serfiq_service(body: Literal["jpeg", "json"] = "jpeg") -> Iterator[Server]:
    """`serfiq serve`, with whatever `SERFIQ_…` says except host and port."""
    port = _free_port()
    command = [sys.executable, "-c", "from app.cli import main; main()", "serve"]
    environment = {"SERFIQ_HOST": HOST, "SERFIQ_PORT": str(port)}
    with _running(command, environment, port, "/readyz") as pid:
        yield Server(pid, port, "/quality", body)


@contextmanager
def litserve_service(settings: LitServeSettings) -> Iterator[Server]:
    """`benchmarks/litserve_app.py`; takes photographs as base64 in JSON."""
    port = _free_port()
    arguments = json.dumps({**asdict(settings), "port": port})
    command = [sys.executable, "-m", "benchmarks.litserve_app", arguments]
    with _running(command, {}, port, "/health") as pid:
        yield Server(pid, port, "/predict", "json")


def fetch(server: Server, path: str) -> Any:
    """What a GET of the path answers, from JSON."""
    with urllib.request.urlopen(f"http://{HOST}:{server.port}{path}") as response:
        return json.load(response)


@contextmanager
def _running(
    command: Sequence[str], environment: Mapping[str, str], port: int, ready_path: str
) -> Iterator[int]:
    """A process, by its id, while it serves.

    Raises:
        RuntimeError: it ended, or was not ready in time; the end of its log is in the message.
    """
    with TemporaryFile() as log:
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=log,
            cwd=REPOSITORY,
            env={**os.environ, **environment},
            start_new_session=True,
        )
        try:
            _wait_until_ready(process, f"http://{HOST}:{port}{ready_path}", log)
            yield process.pid
        finally:
            _stop(process)


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, log: IO[bytes]) -> None:
    end = time.monotonic() + START_SECONDS
    while not _answers(url):
        if process.poll() is not None or time.monotonic() > end:
            log.seek(0)
            tail = log.read()[-LOG_TAIL_BYTES:].decode(errors="replace")
            raise RuntimeError(f"{process.args!r} is not ready:\n{tail}")
        time.sleep(POLL_SECONDS)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=START_SECONDS) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, ConnectionError):
        return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Asks the server to end; what is left of its session after that is killed."""
    # Not SIGINT: whoever was started in the background by a shell ignores it.
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        print(f"{process.args!r} did not end when asked", file=sys.stderr)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _free_port() -> int:
    """One that nobody listens on now. LitServe takes no socket and no port 0."""
    with socket.create_server((HOST, 0)) as server:
        port: int = server.getsockname()[1]
    return port
