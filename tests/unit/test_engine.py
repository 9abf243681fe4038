"""The engine without a server: a device that is stuck, on a clock that the tests turn, and the size
of batches that it finds out at start."""

import asyncio
import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from app.device import CROWDED_FROM, WORTHWHILE_BATCH, CapturePipeline
from app.engine import Engine
from app.jobs import Job
from app.metrics import Metrics
from app.settings import Settings
from app.usable_cores import usable_cores
from serfiq_core.errors import (
    DeviceMemoryError,
    EngineStalledError,
    EngineStoppedError,
    UndecodableImageError,
)
from serfiq_core.scheduling.admission import Admission
from serfiq_core.scheduling.work import LEAST_WORK
from serfiq_core.testing import FakePipeline
from serfiq_core.types import Assessment, PreparedCapture
from tests.clock import Clock
from tests.http.service import PATIENCE_SECONDS, Gate, random_capture, wait_until

CAPTURE = random_capture()
TIMEOUT_SECONDS = 30.0


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def start() -> Iterator[Callable[..., Engine]]:
    engines: list[Engine] = []

    def begin(
        before_score: Callable[[int], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        **settings: Any,
    ) -> Engine:
        metrics = Metrics()
        engine = Engine(
            Settings(request_timeout_seconds=TIMEOUT_SECONDS, **settings),
            metrics,
            lambda: FakePipeline(before_score=before_score),
            clock,
        )
        engines.append(engine)
        engine.start()
        wait_until(lambda: engine.phase != "starting")
        return engine

    yield begin
    for engine in engines:
        engine.close()


@pytest.fixture
def callers() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


def assess(engine: Engine) -> Assessment:
    job = Job(lambda pipeline: pipeline.prepare(CAPTURE), work=1.0)
    return asyncio.run(engine.assess(job, deadline=float("inf")))


class TestStuck:
    @pytest.fixture
    def stuck(
        self,
        gate: Gate,
        clock: Clock,
        start: Callable[..., Engine],
        callers: ThreadPoolExecutor,
    ) -> "Iterator[tuple[Engine, Future[Assessment]]]":
        """An engine whose device is at a batch since the clock was at 0, and who waits for it."""
        engine = start(gate, clock, max_batch_size=8)
        gate.close()
        answer = callers.submit(assess, engine)
        wait_until(lambda: gate.waiting == 1)
        yield engine, answer
        gate.open()  # the callers' pool, which goes next, waits for its threads

    def test_a_long_batch_is_no_trouble_while_someone_may_wait_for_it(
        self, stuck: "tuple[Engine, Future[Assessment]]", clock: Clock
    ) -> None:
        engine, _ = stuck
        clock.now = TIMEOUT_SECONDS
        assert engine.alive
        engine.check_alive()

    def test_past_the_timeout_it_is_not_alive_and_refuses(
        self, stuck: "tuple[Engine, Future[Assessment]]", clock: Clock
    ) -> None:
        engine, _ = stuck
        clock.now = TIMEOUT_SECONDS + 0.1
        assert not engine.alive
        with pytest.raises(EngineStalledError, match="30 seconds"):
            engine.check_alive()
        with pytest.raises(EngineStalledError):
            engine.check_ready()
        with pytest.raises(EngineStalledError):
            assess(engine)
        assert engine.in_flight == 1

    def test_when_the_batch_comes_back_it_is_alive_again(
        self, stuck: "tuple[Engine, Future[Assessment]]", clock: Clock, gate: Gate
    ) -> None:
        engine, answer = stuck
        clock.now = 10 * TIMEOUT_SECONDS
        assert not engine.alive
        gate.open()
        assert answer.result(PATIENCE_SECONDS).scores is not None
        wait_until(lambda: engine.alive)
        assert assess(engine).scores is not None

    def test_while_it_drains_nobody_shall_restart_it(
        self, stuck: "tuple[Engine, Future[Assessment]]", clock: Clock
    ) -> None:
        engine, _ = stuck
        clock.now = 10 * TIMEOUT_SECONDS
        engine.begin_draining()
        assert engine.alive


class TestBatchSize:
    def test_it_is_found_out_on_the_thread_that_owns_the_device(
        self, start: Callable[..., Engine], caplog: pytest.LogCaptureFixture
    ) -> None:
        sizes: list[int] = []
        threads: set[int] = set()

        def note(size: int) -> None:
            sizes.append(size)
            threads.add(threading.get_ident())
            if size > 1:
                raise DeviceMemoryError("one at a time")

        with caplog.at_level("INFO"):
            engine = start(note)
        assert engine.phase == "ready"
        assert sizes == [1, 1, 1, 2, 1]  # three to measure, the one too many, and the warm-up
        assess(engine)
        assert len(threads) == 1
        [ready] = [record for record in caplog.records if record.getMessage() == "ready"]
        assert vars(ready)["fields"]["max_batch_size"] == 1

    def test_larger_batches_are_tried_up_to_what_fits(self, start: Callable[..., Engine]) -> None:
        sizes: set[int] = set()
        engine = start(sizes.add)
        assert engine.phase == "ready"
        assert {1, 2, 4} <= sizes <= {1, 2, 4, 8, 16, 32, 64}

    def test_it_is_not_measured_when_it_was_set(self, start: Callable[..., Engine]) -> None:
        sizes: list[int] = []
        start(sizes.append, max_batch_size=16)
        assert sizes == [1]

    def test_a_device_without_room_for_one_face_cannot_be_started(
        self, start: Callable[..., Engine]
    ) -> None:
        def fail(_: int) -> None:
            raise DeviceMemoryError("not one")

        assert start(fail).failed


class TestDrainRate:
    """`Retry-After` is told from it: `tests/unit/test_drain_rate.py`."""

    @pytest.fixture
    def gone(self, monkeypatch: pytest.MonkeyPatch) -> list[float]:
        """Of each capture that is no longer on its way, how much of its work counts as done."""
        units: list[float] = []
        release = Admission.release

        def noted(self: Admission, work: float, *, done: float) -> None:
            units.append(done)
            release(self, work, done=done)

        monkeypatch.setattr(Admission, "release", noted)
        return units

    def test_a_capture_that_is_answered_counts(
        self, start: Callable[..., Engine], gone: list[float]
    ) -> None:
        assess(start())
        assert gone == [1.0]

    def test_a_capture_that_cannot_be_used_counts_as_little(
        self, start: Callable[..., Engine], gone: list[float]
    ) -> None:
        """Forty megapixels may be promised by the head of a file that holds nothing else."""
        engine = start()

        def prepare(pipeline: CapturePipeline) -> PreparedCapture:
            return pipeline.prepare(CAPTURE[:64])

        job = Job(prepare, work=20.0)
        with pytest.raises(UndecodableImageError):
            asyncio.run(engine.assess(job, deadline=float("inf")))
        assert gone == [LEAST_WORK]

    def test_a_capture_whose_caller_leaves_does_not(
        self, start: Callable[..., Engine], gone: list[float], gate: Gate
    ) -> None:
        engine = start()
        gate.close()

        async def leave() -> None:
            def prepare(pipeline: CapturePipeline) -> PreparedCapture:
                gate()
                return pipeline.prepare(CAPTURE)

            job = Job(prepare, work=1.0)
            task = asyncio.ensure_future(engine.assess(job, deadline=float("inf")))
            await asyncio.to_thread(wait_until, lambda: bool(gate.waiting))
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        asyncio.run(leave())
        assert gone == []  # A worker cannot be interrupted: it is still at it.
        gate.open()
        wait_until(lambda: bool(gone))
        assert gone == [0.0]


class TestTakingApart:
    """A batch that is given up while a worker is at its body."""

    @staticmethod
    async def ask(engine: Engine, gate: Gate, deadline: float) -> "list[Assessment | Exception]":
        def take_apart() -> list[Job]:
            gate()
            return [Job(lambda pipeline: pipeline.prepare(CAPTURE), work=1.0)]

        return await engine.assess_batch(take_apart, work=3.0, deadline=deadline)

    @staticmethod
    def assert_it_goes_with_its_worker(engine: Engine, gate: Gate) -> None:
        assert (engine.in_flight, engine._jobs._admission.work) == (1, 3.0)
        gate.open()
        wait_until(lambda: engine.in_flight == 0)
        assert engine._jobs._admission.work == 0

    def test_it_counts_until_the_worker_is_free_when_its_caller_leaves(
        self, start: Callable[..., Engine], gate: Gate
    ) -> None:
        engine = start()
        gate.close()

        async def leave() -> None:
            asked = asyncio.ensure_future(self.ask(engine, gate, float("inf")))
            await asyncio.to_thread(wait_until, lambda: gate.waiting == 1)
            asked.cancel()
            await asyncio.wait([asked])

        asyncio.run(leave())
        self.assert_it_goes_with_its_worker(engine, gate)

    def test_at_the_deadline_its_caller_is_told_and_it_counts_until_the_worker_is_free(
        self, start: Callable[..., Engine], gate: Gate, clock: Clock
    ) -> None:
        engine = start(clock=clock)
        gate.close()

        async def wait_too_long() -> None:
            asked = asyncio.ensure_future(self.ask(engine, gate, TIMEOUT_SECONDS))
            await asyncio.to_thread(wait_until, lambda: gate.waiting == 1)
            loop = asyncio.get_running_loop()
            deadline = loop.time() + TIMEOUT_SECONDS
            with pytest.MonkeyPatch.context() as turned:
                turned.setattr(loop, "time", lambda: deadline)
                await asked

        with pytest.raises(TimeoutError):
            asyncio.run(wait_too_long())
        self.assert_it_goes_with_its_worker(engine, gate)


class Body:
    """What a job holds of its caller; a reference to it can be weak."""


def test_what_a_caller_sent_goes_when_he_leaves(start: Callable[..., Engine], gate: Gate) -> None:
    """Also when no worker has begun with it, and none is free for long."""
    engine = start(prepare_workers=1)
    gate.close()
    engine._jobs._workers.submit(gate)
    wait_until(lambda: gate.waiting == 1)

    async def leave() -> "weakref.ref[Body]":
        body = Body()
        job = Job(lambda pipeline, body=body: pipeline.prepare(CAPTURE), work=1.0)
        asked = asyncio.ensure_future(engine.assess(job, deadline=float("inf")))
        await asyncio.sleep(0)
        assert engine.in_flight == 1
        asked.cancel()
        await asyncio.wait([asked])
        return weakref.ref(body)

    left = asyncio.run(leave())
    gc.collect()
    assert left() is None
    assert engine.in_flight == 0


def test_the_wait_for_a_worker_is_told_in_seconds(
    start: Callable[..., Engine], gate: Gate, clock: Clock
) -> None:
    engine = start(clock=clock, prepare_workers=1)
    gate.close()
    engine._jobs._workers.submit(gate)
    clock.now = 5.0
    wait_until(lambda: gate.waiting == 1)

    async def wait() -> None:
        job = Job(lambda pipeline: pipeline.prepare(CAPTURE), work=1.0)
        asked = asyncio.ensure_future(engine.assess(job, deadline=float("inf")))
        await asyncio.sleep(0)
        assert engine.in_flight == 1
        clock.now += 2.0
        gate.open()
        await asked

    asyncio.run(wait())
    sample = engine._metrics.registry.get_sample_value
    assert sample("serfiq_stage_seconds_sum", {"stage": "wait"}) == 2.0


def test_a_worker_that_cannot_be_started_costs_no_room(
    start: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = start()

    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(engine._jobs._workers, "submit", refuse)
    with pytest.raises(RuntimeError, match="new thread"):
        assess(engine)
    assert engine.in_flight == 0


def test_an_end_while_it_starts_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    """What is being loaded fails then, since its workers are taken away."""
    taken_away = threading.Event()

    def load() -> CapturePipeline:
        taken_away.wait(PATIENCE_SECONDS)
        raise EngineStoppedError("The service has stopped.")

    engine = Engine(Settings(), Metrics(), load)
    engine.start()
    [loading] = [thread for thread in threading.enumerate() if thread.name == "load"]
    engine.close()
    taken_away.set()
    loading.join(PATIENCE_SECONDS)
    assert (engine.phase, engine.failed) == ("draining", False)
    assert not caplog.records


def test_a_crowd_waits_for_company_while_every_core_prepares(
    start: Callable[..., Engine], clock: Clock, gate: Gate
) -> None:
    sizes: list[int] = []
    quick, slow = WORTHWHILE_BATCH - 1, max(CROWDED_FROM, usable_cores())
    engine = start(sizes.append, clock, max_batch_size=64, prepare_workers=slow + 1)
    sizes.clear()  # of the warm-up
    gate.close()

    def prepare(pipeline: CapturePipeline) -> PreparedCapture:
        return pipeline.prepare(CAPTURE)

    def prepare_slowly(pipeline: CapturePipeline) -> PreparedCapture:
        gate()
        return prepare(pipeline)

    def begin(how: Callable[[CapturePipeline], PreparedCapture]) -> "asyncio.Task[Assessment]":
        job = Job(how, work=0.1)
        assessing = engine.assess(job, deadline=float("inf"))
        return asyncio.create_task(assessing)

    async def crowd() -> None:
        tasks = [begin(prepare_slowly) for _ in range(slow)]
        await asyncio.to_thread(wait_until, lambda: gate.waiting == slow)
        tasks += [begin(prepare) for _ in range(quick)]
        assert engine._loaded is not None
        batcher = engine._loaded.batcher
        await asyncio.to_thread(wait_until, lambda: batcher.depth == quick)
        gate.open()
        await asyncio.gather(*tasks)

    asyncio.run(crowd())
    assert sum(sizes) == slow + quick
    assert sizes[0] >= WORTHWHILE_BATCH
