"""Three ways to send requests: as fast as answers come, at fixed times, and one after another.

Each returns its samples; what they amount to is `load_result`'s affair.
"""

import asyncio
import random
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from time import perf_counter

from benchmarks.connection import Connection, Requests
from benchmarks.load_result import BROKEN, NOT_SENT, UNANSWERED, Sample

Clock = Callable[[], float]

IDLE_SECONDS = 2.0
"""A connection that lay idle for longer is not used again: uvicorn closes them after five seconds,
and a request that crosses with the closing would look like a fault of the server."""

PATIENCE_SECONDS = 40.0
"""After the last request was due. The service answers, if only with 504, within 30 seconds."""


def poisson_arrivals(rate: float, seconds: float, seed: int = 0) -> Iterator[float]:
    """Seconds from the start at which requests are due: independent callers, `rate` a second."""
    gaps = random.Random(seed)
    due = gaps.expovariate(rate)
    while due < seconds:
        yield due
        due += gaps.expovariate(rate)


def even_arrivals(interval_seconds: float, seconds: float) -> Iterator[float]:
    """Seconds from the start at which requests are due, the first at once."""
    return (index * interval_seconds for index in range(int(seconds / interval_seconds)))


async def closed_loop(
    port: int, requests: Requests, connections: int, seconds: float, clock: Clock = perf_counter
) -> list[Sample]:
    """Every connection sends its next request as soon as it has the answer to the last."""
    samples: list[Sample] = []
    end = clock() + seconds

    async def one_caller() -> None:
        connection = await Connection.open(port)
        while (sent := clock()) < end:
            if not connection.usable:
                connection = await Connection.open(port)
            try:
                status = await connection.ask(requests.take())
            except ConnectionError:
                status = BROKEN
            samples.append(Sample(sent, clock(), status))
        connection.close()

    await asyncio.gather(*(one_caller() for _ in range(connections)))
    return samples


async def one_by_one(
    port: int, request: bytes, arrivals: Iterable[float], clock: Clock = perf_counter
) -> list[Sample]:
    """One connection; a request whose time has come waits for the answer to the one before."""
    samples: list[Sample] = []
    connection = await Connection.open(port)
    start = clock()
    for due in arrivals:
        planned = start + due
        await asyncio.sleep(max(0.0, planned - clock()))
        if not connection.usable:
            connection = await Connection.open(port)
        try:
            status = await connection.ask(request)
        except ConnectionError:
            status = BROKEN
        samples.append(Sample(planned, clock(), status))
    connection.close()
    return samples


class OpenLoop:
    """Requests are sent when they are due, whether or not earlier ones were answered.

    Args:
        port: of a server on this machine.
        requests: what to send.
        most_connections: a request that finds all of them busy is not sent, and recorded as such.
        clock: seconds.
    """

    def __init__(
        self, port: int, requests: Requests, most_connections: int, clock: Clock = perf_counter
    ) -> None:
        self._port = port
        self._requests = requests
        self._most_connections = most_connections
        self._clock = clock
        self._idle: list[tuple[Connection, float]] = []
        self._busy: dict[asyncio.Task[None] | asyncio.Future[int], float] = {}
        self._samples: list[Sample] = []

    async def run(
        self, arrivals: Iterable[float], patience_seconds: float = PATIENCE_SECONDS
    ) -> list[Sample]:
        """Sends at these times, in seconds from now, and waits for what is still on its way.

        Connections stay open.
        """
        start = self._clock()
        for due in arrivals:
            planned = start + due
            # Also when it is late already: answers must be read in between.
            await asyncio.sleep(max(0.0, planned - self._clock()))
            self._send(planned)
        await self._finish(patience_seconds)
        return self._samples

    def _send(self, planned: float) -> None:
        connection = self._take_idle()
        if connection is not None:
            self._ask(connection, planned)
        elif len(self._busy) < self._most_connections:
            opening = asyncio.create_task(self._open_and_ask(planned))
            self._busy[opening] = planned
            opening.add_done_callback(self._busy.pop)
        else:
            self._samples.append(Sample(planned, self._clock(), NOT_SENT))

    def _take_idle(self) -> Connection | None:
        """The one used last, so that those which are not needed grow old."""
        while self._idle:
            connection, since = self._idle.pop()
            if connection.usable and self._clock() - since < IDLE_SECONDS:
                return connection
            connection.close()
        return None

    async def _open_and_ask(self, planned: float) -> None:
        try:
            connection = await Connection.open(self._port)
        except OSError:
            self._samples.append(Sample(planned, self._clock(), BROKEN))
        else:
            self._ask(connection, planned)

    def _ask(self, connection: Connection, planned: float) -> None:
        answer = connection.ask(self._requests.take())
        self._busy[answer] = planned
        answer.add_done_callback(partial(self._note, connection, planned))

    def _note(self, connection: Connection, planned: float, answer: asyncio.Future[int]) -> None:
        del self._busy[answer]
        status = BROKEN
        if answer.exception() is None:
            status = answer.result()
            self._idle.append((connection, self._clock()))
        self._samples.append(Sample(planned, self._clock(), status))

    async def _finish(self, patience_seconds: float) -> None:
        end = self._clock() + patience_seconds
        while self._busy and (left := end - self._clock()) > 0:
            await asyncio.wait(self._busy, timeout=left)
        self._samples += [Sample(due, self._clock(), UNANSWERED) for due in self._busy.values()]
