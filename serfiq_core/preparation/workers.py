"""Captures are prepared in processes of their own, and this process waits for them.

Threads of one process would share its interpreter's lock, with each other and with the event loop.
And an image that crashes a decoder, or never lets it return, costs a worker and not the service.
This file knows what workers answer, not how they prepare.
"""

import logging
import os
import socket
import subprocess
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Self

from serfiq_core.errors import (
    CaptureError,
    DeadlineExceededError,
    EngineStoppedError,
    PreparationFailedError,
)
from serfiq_core.preparation.messages import READY, Channel, read_prepared
from serfiq_core.types import PreparedCapture

START_SECONDS = 60.0
"""For a worker to import torch and load a detector: 2 seconds on a quiet machine. A busy machine
with a cold disk may take ten times as long; one that takes longer than this hangs."""

PAUSES_SECONDS = (0.5, 1.0)
"""Before another start, when the system refused one: it may have memory again, or room for a
process, in a moment, and not in the next millisecond."""

STARTS = len(PAUSES_SECONDS) + 1
"""So many failures in a row are no accident."""

LEAVING_SECONDS = 1.0
"""For a worker that does not start to end by itself: the log has its exit status then."""

PACKAGE_ROOT = Path(__file__).parents[2]

SETTING = "SERFIQ_"
"""How the names of the service's settings begin in the environment. Its keys are among them, and
processes that decode what strangers send need none."""

STANDARD_ERROR = 2
"""Where whatever a worker prints goes to."""

logger = logging.getLogger(__name__)


class PreparationWorkers:
    """Prepares captures in child processes. Implements `Preparer`; safe from several threads.

    As many captures are prepared at a time as there are workers; further callers wait. None are
    before `start`. As a context it ends them.

    Args:
        command: starts one worker: `python …`, and in the end `serfiq_core.preparation.worker.run`.
        count: of workers.
        limit_seconds: for one capture. A worker that takes longer is killed and replaced.
    """

    def __init__(self, command: Sequence[str], count: int, limit_seconds: float) -> None:
        self._limit_seconds = limit_seconds
        self._workers = [_Worker(command) for _ in range(count)]
        # Taken from the right; a worker that is not ready goes to the left, to be taken last.
        self._idle = deque(self._workers)
        self._idle_count = threading.Semaphore(0)
        self._closed = threading.Event()
        self._restarting = threading.Lock()
        """Whoever holds it may end and start processes, and close."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pids(self) -> list[int]:
        """The processes that were started."""
        return [worker.pid for worker in self._workers if worker.pid is not None]

    def start(self) -> Self:
        """Start all workers, without waiting for them. Returns itself.

        Raises:
            EngineStoppedError: closed already.
        """
        with self._restarting:
            self._refuse_when_closed()
            for worker in self._workers:
                worker.start()
        self._idle_count.release(len(self._workers))
        return self

    def wait_until_ready(self) -> None:
        """Return when every worker has loaded its detector. Before any capture, on one thread.

        Raises:
            PreparationFailedError: a worker ended before that, three times in a row; says of what.
            EngineStoppedError: closed meanwhile.
        """
        for worker in self._workers:
            self._make_ready(worker)

    def prepare(self, data: bytes, *, aligned: bool = False) -> PreparedCapture:
        """As `Preparer.prepare`.

        Raises:
            CaptureError: the bytes cannot be decoded, or are not an aligned face.
            DeadlineExceededError: it took longer than the limit.
            PreparationFailedError: its worker died, raised what is no `CaptureError`, or does not
                start.
            EngineStoppedError: closed, or none is left and none starts.
        """
        with self._idle_count:
            worker = self._idle.pop()
            try:
                self._make_ready_or_stop(worker)
                return self._ask(worker, data, aligned)
            finally:
                if worker.ready:
                    self._idle.append(worker)
                else:
                    self._idle.appendleft(worker)

    def close(self) -> None:
        """End all workers at once. Whoever waits for one is told EngineStoppedError."""
        with self._restarting:
            self._closed.set()
            for worker in self._workers:
                worker.end()

    def _make_ready_or_stop(self, worker: "_Worker") -> None:
        """As `_make_ready`, for a caller who shall not be told of files."""
        try:
            self._make_ready(worker)
        except PreparationFailedError as error:
            with self._restarting:
                hopeful = any(each.hopeful for each in self._workers)
            if hopeful:
                raise PreparationFailedError("The capture could not be prepared.") from error
            raise EngineStoppedError(
                "No process that prepares captures starts any more; the log says why."
            ) from error

    def _make_ready(self, worker: "_Worker") -> None:
        if worker.loaded and not worker.running:
            self._replace(worker, "has ended")
        for pause_seconds in (*PAUSES_SECONDS, 0):
            try:
                worker.wait_until_ready()
            except (EOFError, OSError, ValueError) as error:
                why = str(error)
                if worker.refused:
                    self._closed.wait(pause_seconds)
                worker.let_end()
                self._replace(worker, f"does not start: {why}")
            else:
                return
        worker.given_up = True
        raise PreparationFailedError(f"The processes that prepare captures do not start: {why}")

    def _ask(self, worker: "_Worker", data: bytes, aligned: bool) -> PreparedCapture:
        deadline = monotonic() + self._limit_seconds
        # Until all of its answer is here: nobody else may take it for his own.
        worker.ready = False
        try:
            worker.channel.send({"aligned": aligned}, data, deadline)
            header, payload = worker.channel.receive(deadline)
            worker.ready = True
            if "traceback" not in header:
                return read_prepared(header, payload)
        except CaptureError:
            raise
        except TimeoutError as error:
            self._replace(worker, f"took longer than {self._limit_seconds:g} seconds")
            raise DeadlineExceededError("The capture took too long to prepare.") from error
        except Exception as error:
            self._replace(worker, f"died of a capture: {error!r}")
            raise PreparationFailedError("The process that prepared the capture died.") from error
        logger.error("a capture was not prepared", extra={"fields": header})
        raise PreparationFailedError("The capture could not be prepared.")

    def _replace(self, worker: "_Worker", why: str) -> None:
        with self._restarting:
            self._refuse_when_closed()
            fields = {"pid": worker.pid, "exit_status": worker.end()}
            logger.warning("a preparation worker is replaced: it %s", why, extra={"fields": fields})
            worker.start()

    def _refuse_when_closed(self) -> None:
        if self._closed.is_set():
            raise EngineStoppedError("The service has stopped.")


class _Worker:
    """A process that prepares one capture at a time, and its successors.

    One thread at a time has it; any may ask whether it is `hopeful`, and any may `end` it.

    `loaded`: whether it has loaded its detector. `ready`: and owes nobody an answer. `given_up`:
    its last starts have failed. `refused`: what the system had against starting its process.
    """

    channel: Channel
    loaded = ready = given_up = False
    refused: OSError | None = None
    _process: subprocess.Popen[bytes] | None = None

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command

    @property
    def pid(self) -> int | None:
        process = self._process
        return None if process is None else process.pid

    @property
    def running(self) -> bool:
        """Whether its process has been started, and has not ended."""
        process = self._process
        return process is not None and process.poll() is None

    @property
    def hopeful(self) -> bool:
        """Whether its process runs, and has loaded its detector or may yet."""
        return self.running and not self.given_up

    def start(self) -> None:
        """Start a process, without waiting for it: `wait_until_ready` says what kept it from it."""
        if self._process is not None:
            self.channel.close()
        self.loaded = self.ready = False
        self._process = self.refused = None
        try:
            self._fork()
        except OSError as error:
            self.refused = error

    def _fork(self) -> None:
        # The same modules as here, wherever that is, and none of the working directory.
        path = os.pathsep.join(filter(None, (str(PACKAGE_ROOT), os.environ.get("PYTHONPATH"))))
        # A socket, since one cannot wait for a pipe so long and no longer.
        ours, theirs = socket.socketpair()
        self.channel = Channel(ours)
        with theirs:
            self._process = subprocess.Popen(
                self._command,
                stdin=theirs.fileno(),
                stdout=STANDARD_ERROR,
                env={**_without_settings(os.environ), "PYTHONPATH": path, "PYTHONSAFEPATH": "1"},
            )

    def wait_until_ready(self) -> None:
        """Return when the process has loaded its detector; at once when it had before.

        Raises:
            EOFError, OSError, ValueError: it could not be started or load its detector, has ended,
                hangs, or speaks nonsense.
        """
        if self.refused is not None:
            raise self.refused
        if self.ready and self.running:
            return
        header, _ = self.channel.receive(monotonic() + START_SECONDS)
        if header != READY:
            raise ValueError(header.get("not_ready", "its first message is another one"))
        self.loaded = self.ready = True
        self.given_up = False

    def let_end(self) -> None:
        """Give the process a moment to end with a status of its own."""
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(LEAVING_SECONDS)

    def end(self) -> int | None:
        """Kill the process: it has nothing to lose. Returns its exit status.

        Whoever waits for its answer reads the end of the channel, which is not closed meanwhile.
        """
        if self._process is None:
            return None
        self._process.kill()
        return self._process.wait()


def _without_settings(environment: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value for name, value in environment.items() if not name.upper().startswith(SETTING)
    }
