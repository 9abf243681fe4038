"""The pipeline at its best without HTTP: `python -m benchmarks.in_process PLAN`.

The service's own engine, with its workers and its micro-batches, driven by coroutines of the same
process. It takes its settings where the service takes them, from `SERFIQ_…`.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import cycle
from pathlib import Path
from time import perf_counter

from app.engine import Engine
from app.jobs import Job
from app.loading import load_with_workers
from app.metrics import Metrics
from app.settings import Settings
from benchmarks.event_loop import run
from benchmarks.load_client import REPOSITORY
from benchmarks.load_result import ACCEPTED, LoadResult, Sample, summarise
from benchmarks.photographs import read_photographs
from serfiq_core.allocation import keep_freed_memory
from serfiq_core.image_header import HEAD_BYTES
from serfiq_core.scheduling.work import work_of

POLL_SECONDS = 0.05

PATIENCE_SECONDS = 300.0
"""For loading the model and for the whole run; only ever reached when something hangs."""


@dataclass(frozen=True, slots=True)
class InProcessPlan:
    """`captures` are on their way at any time; the first `warm_up_seconds` are not counted."""

    photographs: str
    captures: int
    seconds: float
    warm_up_seconds: float


def run_in_process(plan: InProcessPlan) -> LoadResult:
    """Carries out the plan in a process of its own.

    Raises:
        subprocess.SubprocessError: it failed, and stderr says why; or it hangs.
    """
    command = [sys.executable, "-m", "benchmarks.in_process", json.dumps(asdict(plan))]
    finished = subprocess.run(
        command, stdout=subprocess.PIPE, cwd=REPOSITORY, check=True, timeout=PATIENCE_SECONDS
    )
    return LoadResult.from_json(json.loads(finished.stdout))


async def drive(engine: Engine, plan: InProcessPlan) -> LoadResult:
    """Keeps `plan.captures` captures on their way through a ready engine."""
    photographs = cycle(read_photographs(Path(plan.photographs)))
    samples: list[Sample] = []
    start = perf_counter() + plan.warm_up_seconds
    end = start + plan.seconds

    async def one_caller() -> None:
        while (sent := perf_counter()) < end:
            await _assess(engine, next(photographs))
            samples.append(Sample(sent, perf_counter(), ACCEPTED))

    await asyncio.gather(*(one_caller() for _ in range(plan.captures)))
    return summarise(samples, start, end)


async def _assess(engine: Engine, photograph: bytes) -> None:
    await engine.assess(
        Job(lambda pipeline: pipeline.prepare(photograph), work_of(photograph[:HEAD_BYTES])),
        deadline=time.monotonic() + PATIENCE_SECONDS,
    )


async def _load_and_drive(plan: InProcessPlan) -> LoadResult:
    settings = Settings()
    with ExitStack() as workers:
        engine = Engine(settings, Metrics(), lambda: load_with_workers(settings, workers))
        workers.callback(engine.close)
        engine.start()
        while engine.phase == "starting":
            await asyncio.sleep(POLL_SECONDS)
        return await drive(engine, plan)


def main(arguments: Sequence[str]) -> None:
    """Carries out the one plan in `arguments`."""
    keep_freed_memory()
    plan = InProcessPlan(**json.loads(arguments[0]))
    print(json.dumps(asdict(run(_load_and_drive(plan)))))


if __name__ == "__main__":
    main(sys.argv[1:])
