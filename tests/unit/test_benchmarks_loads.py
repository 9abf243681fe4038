"""The load client against a server that answers known statuses, on a clock of the test's own."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import pairwise

import pytest

from benchmarks.connection import Requests, get
from benchmarks.load_result import BROKEN, NOT_SENT, UNANSWERED, Sample
from benchmarks.loads import (
    OpenLoop,
    closed_loop,
    even_arrivals,
    one_by_one,
    poisson_arrivals,
)
from tests.clock import Clock
from tests.http_stub import Answer, stub_server

AT_ONCE = (0.0, 0.0, 0.0)


def bodies(*contents: bytes) -> Requests:
    return Requests("/quality", "image/jpeg", contents)


def run_open(
    answer: Answer,
    arrivals: Iterable[float],
    connections: int,
    clock: Callable[[], float],
    patience_seconds: float = 60.0,
) -> list[Sample]:
    async def run() -> list[Sample]:
        async with stub_server(answer) as port:
            loop = OpenLoop(port, bodies(b"photo"), connections, clock)
            return await loop.run(arrivals, patience_seconds)

    return asyncio.run(run())


def statuses(samples: Iterable[Sample]) -> dict[int, int]:
    return dict(Counter(sample.status for sample in samples))


def test_a_closed_loop_counts_every_answer_by_its_status():
    clock, seen = Clock(100.0), []

    async def answer(body: bytes) -> int:
        seen.append(body)
        clock.now += 1.0
        return {b"good": 200, b"refused": 429, b"bad": 422}[body]

    async def run() -> list[Sample]:
        async with stub_server(answer) as port:
            return await closed_loop(port, bodies(b"good", b"refused", b"bad"), 1, 6.0, clock)

    samples = asyncio.run(run())
    assert statuses(samples) == {200: 2, 429: 2, 422: 2}
    assert seen == [b"good", b"refused", b"bad"] * 2
    assert {sample.answered - sample.planned for sample in samples} == {1.0}


def test_closed_loop_callers_go_on_after_a_broken_connection():
    clock = Clock(100.0)

    async def answer(body: bytes) -> int | None:
        clock.now += 1.0
        return None if body == b"hang up" else 200

    async def run() -> list[Sample]:
        async with stub_server(answer) as port:
            return await closed_loop(port, bodies(b"good", b"hang up"), 1, 4.0, clock)

    assert [sample.status for sample in asyncio.run(run())] == [200, BROKEN, 200, BROKEN]


def test_a_connection_that_the_server_closes_after_its_answer_is_not_a_broken_one():
    clock = Clock(100.0)

    async def answer(_: bytes) -> int:
        clock.now += 1.0
        return 200

    async def run() -> list[Sample]:
        async with stub_server(answer, keep_alive=False) as port:
            closed = await closed_loop(port, bodies(b"photo"), 1, 3.0, clock)
            probes = await one_by_one(port, get("/livez"), AT_ONCE, clock)
            loop = OpenLoop(port, bodies(b"photo"), 1, clock)
            await loop.run([0.0])
            return closed + probes + await loop.run([0.0])

    assert statuses(asyncio.run(run())) == {200: 8}


def test_an_open_loop_does_not_wait_for_answers():
    """The server answers nobody before all three have come."""
    barrier = asyncio.Barrier(3)

    async def answer(_: bytes) -> int:
        await barrier.wait()
        return 200

    assert statuses(run_open(answer, AT_ONCE, 3, Clock(100.0))) == {200: 3}


def test_what_finds_no_free_connection_is_not_sent_and_counted():
    clock, arrived = Clock(100.0), []

    async def answer(body: bytes) -> int:
        arrived.append(body)
        await everything_due.wait()
        return 200

    everything_due = asyncio.Event()

    def arrivals() -> Iterable[float]:
        yield from AT_ONCE
        everything_due.set()

    samples = run_open(answer, arrivals(), 1, clock)
    assert statuses(samples) == {200: 1, NOT_SENT: 2}
    assert arrived == [b"photo"]


def test_latency_counts_from_when_a_request_was_due():
    """The client comes round to the second request four seconds late."""
    clock = Clock(100.0)

    async def answer(_: bytes) -> int:
        clock.now += 2.0
        return 429

    def arrivals() -> Iterable[float]:
        yield 0.0
        clock.now += 4.0
        yield 0.0

    samples = run_open(answer, arrivals(), 2, clock)
    assert {sample.planned for sample in samples} == {100.0}
    assert [s.answered - s.planned for s in samples][-1] == 8.0


def test_an_idle_connection_is_used_again_unless_the_server_may_be_closing_it():
    clock, connections = Clock(100.0), set()

    async def answer(_: bytes) -> int:
        connections.add(asyncio.current_task())
        return 200

    async def run(idle_seconds: float) -> int:
        connections.clear()
        async with stub_server(answer) as port:
            loop = OpenLoop(port, bodies(b"photo"), 8, clock)
            await loop.run([0.0])
            clock.now += idle_seconds
            await loop.run([0.0])
        return len(connections)

    assert asyncio.run(run(0.5)) == 1
    assert asyncio.run(run(3.0)) == 2


def test_a_request_that_is_never_answered_is_counted():
    """The client's patience is at its end before it begins."""

    async def answer(_: bytes) -> int:
        await asyncio.Event().wait()
        return 200

    assert statuses(run_open(answer, [0.0], 1, Clock(100.0), patience_seconds=0.0)) == {
        UNANSWERED: 1
    }


def test_a_connection_that_breaks_is_counted():
    async def hang_up(_: bytes) -> None:
        return None

    assert statuses(run_open(hang_up, [0.0], 1, Clock(100.0))) == {BROKEN: 1}


def test_a_port_where_nobody_listens_is_counted():
    async def run() -> list[Sample]:
        async with stub_server(lambda _: asyncio.sleep(0, 200)) as port:
            pass
        return await OpenLoop(port, bodies(b"photo"), 1, Clock(100.0)).run([0.0])

    assert statuses(asyncio.run(run())) == {BROKEN: 1}


def test_probes_that_wait_for_a_stalled_server_count_the_wait():
    """One second's stall, at the first of three probes that are due 0.25 seconds apart."""
    clock, stalls = Clock(100.0), [1.0, 0.0, 0.0]

    async def answer(_: bytes) -> int:
        clock.now += stalls.pop(0)
        return 200

    async def run() -> list[Sample]:
        async with stub_server(answer) as port:
            return await one_by_one(port, get("/livez"), even_arrivals(0.25, 0.75), clock)

    samples = asyncio.run(run())
    assert [sample.answered - sample.planned for sample in samples] == [1.0, 0.75, 0.5]


def test_poisson_arrivals_have_the_rate_and_the_spread_of_independent_callers():
    due = list(poisson_arrivals(rate=100.0, seconds=100.0))
    gaps = [b - a for a, b in pairwise(due)]
    mean = sum(gaps) / len(gaps)
    deviation = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert due[-1] < 100.0
    assert mean == pytest.approx(0.01, rel=0.03)
    assert deviation == pytest.approx(0.01, rel=0.05)


def test_arrivals_are_the_same_in_every_run():
    assert list(poisson_arrivals(50.0, 2.0)) == list(poisson_arrivals(50.0, 2.0))
