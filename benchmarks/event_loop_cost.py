"""What a capture costs the event loop; and a refusal, over what FastAPI's shortest answer costs it.

In one process and without sockets: the app is called as an ASGI server calls it, with its log going
nowhere. The pipeline is a fake, which prepares and scores one capture and then says the same of
all, or whose one worker never ends while the queue is to be full. Seconds are those of the event
loop's thread on the processor: whoever else is at work on the machine does not count.
"""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from starlette.types import ASGIApp, Message, Receive, Scope

from app.engine import Engine
from app.jobs import Job
from app.logs import JsonFormatter
from app.main import create_app
from app.settings import Settings
from benchmarks import event_loop
from benchmarks.full_load import Scale
from benchmarks.load_result import ACCEPTED
from benchmarks.measure import Figure, interleaved_seconds, measured, ratio
from benchmarks.overload import REFUSED
from benchmarks.photographs import make_photographs
from serfiq_core.errors import UndecodableImageError
from serfiq_core.scheduling.work import LEAST_WORK
from serfiq_core.testing import FakePipeline
from serfiq_core.types import AlignedFace, FaceScores, PreparedCapture

FIGURES = ("refusal_over_probe", "event_loop_milliseconds_per_capture")

REQUESTS = 300
"""Of each kind in a repetition: tens of milliseconds, which no single hiccup decides."""

REPETITIONS = 21

POLL_SECONDS = 0.01


def measure(_: Scale) -> list[Figure]:
    """Refused captures, in turn with `GET /livez`; and accepted ones."""
    return [
        *refusal_over_probe(REQUESTS, REPETITIONS),
        *milliseconds_per_capture(REQUESTS, REPETITIONS),
    ]


def refusal_over_probe(requests: int, repetitions: int) -> list[Figure]:
    """What a capture costs that is refused because the queue is full.

    Raises:
        RuntimeError: a capture was not refused, or a probe not answered.
    """
    settings = Settings(api_keys=(), max_queued_work=LEAST_WORK, max_batch_size=1)
    app = create_app(settings, FakePipeline)
    engine: Engine = app.state.engine
    with event_loop.runner() as runner, _log_going_nowhere():
        runner.run(_become_ready(engine))
        with _full(runner, engine):
            seconds = interleaved_seconds(
                {
                    "refusal": lambda: runner.run(_ask(app, "POST", "/quality", REFUSED, requests)),
                    "probe": lambda: runner.run(_ask(app, "GET", "/livez", ACCEPTED, requests)),
                },
                repetitions,
                time.thread_time,
            )
        engine.close()
    return [ratio(FIGURES[0], "cpu", seconds["refusal"], seconds["probe"])]


def milliseconds_per_capture(requests: int, repetitions: int) -> list[Figure]:
    """Of a capture that is accepted, its preparation and its scores aside.

    Raises:
        RuntimeError: it was not accepted.
    """
    app = create_app(Settings(api_keys=(), max_batch_size=1), _SettledPipeline)
    engine: Engine = app.state.engine
    [photograph] = make_photographs(1)
    with event_loop.runner() as runner, _log_going_nowhere():
        runner.run(_become_ready(engine))

        def captures() -> None:
            runner.run(_ask(app, "POST", "/quality", ACCEPTED, requests, photograph))

        seconds = interleaved_seconds({"captures": captures}, repetitions, time.thread_time)
        engine.close()
    each = [1000 * together / requests for together in seconds["captures"]]
    return [measured(FIGURES[1], "cpu", each)]


class _SettledPipeline(FakePipeline):
    """Says of every capture what it said of the first."""

    _prepared: PreparedCapture | None = None
    _scores: FaceScores | None = None

    def prepare(self, data: bytes, *, aligned: bool = False) -> PreparedCapture:
        if self._prepared is None:
            self._prepared = super().prepare(data, aligned=aligned)
        return self._prepared

    def score(self, faces: Sequence[AlignedFace]) -> list[FaceScores]:
        if self._scores is None:
            self._scores = super().score(faces[:1])[0]
        return [self._scores] * len(faces)


async def _become_ready(engine: Engine) -> None:
    engine.start()
    while engine.phase == "starting":
        await asyncio.sleep(POLL_SECONDS)


@contextmanager
def _full(runner: asyncio.Runner, engine: Engine) -> Iterator[None]:
    """Meanwhile one capture, held by its worker, is all that the queue has room for."""
    ended = threading.Event()

    def hold(_: object) -> PreparedCapture:
        ended.wait()
        raise UndecodableImageError("It was never meant to be assessed.")

    async def begin() -> asyncio.Task[object]:
        held = Job(hold, LEAST_WORK)
        never = float("inf")
        task: asyncio.Task[object] = asyncio.create_task(engine.assess(held, deadline=never))
        while engine.in_flight == 0:
            await asyncio.sleep(POLL_SECONDS)
        return task

    task = runner.run(begin())
    try:
        yield
    finally:
        task.cancel()
        ended.set()


@contextmanager
def _log_going_nowhere() -> Iterator[None]:
    """Lines are made and written as the service makes and writes them."""
    root = logging.getLogger()
    level = root.level
    with Path(os.devnull).open("w") as nowhere:
        handler = logging.StreamHandler(nowhere)
        handler.setFormatter(JsonFormatter())
        root.addHandler(handler)
        root.setLevel(logging.INFO)
        yield
        root.setLevel(level)
        root.removeHandler(handler)


async def _ask(
    app: ASGIApp, method: str, path: str, expected: int, count: int, body: bytes = b""
) -> None:
    statuses: set[int] = set()

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.add(message["status"])

    for _ in range(count):
        await app(_scope(method, path), _receive_of(body), send)
    if statuses != {expected}:
        raise RuntimeError(f"{method} {path} was answered {statuses}, not {expected}")


def _receive_of(body: bytes) -> Receive:
    """The body at once, and then nothing: the caller waits."""
    messages = iter([body])

    async def receive() -> Message:
        for part in messages:
            return {"type": "http.request", "body": part, "more_body": False}
        never: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        return await never

    return receive


def _scope(method: str, path: str) -> Scope:
    """As uvicorn makes it of a request of the benchmarks' own client."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 50000),
        "root_path": "",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [
            (b"host", b"127.0.0.1"),
            (b"content-type", b"image/jpeg"),
            (b"content-length", b"14000"),
        ],
        "state": {},
    }
