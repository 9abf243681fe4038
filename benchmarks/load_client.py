"""The client of a load, in a process of its own: `python -m benchmarks.load_client PLAN`.

PLAN is a `Plan` in JSON; what came of it goes to stdout, a `LoadResult` in JSON.
"""

import base64
import gc
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Literal

from benchmarks.connection import Requests, get
from benchmarks.event_loop import run
from benchmarks.load_result import LoadResult, Sample, summarise
from benchmarks.loads import OpenLoop, closed_loop, even_arrivals, one_by_one, poisson_arrivals
from benchmarks.photographs import read_photographs

REPOSITORY = Path(__file__).resolve().parent.parent

PROBE_INTERVAL_SECONDS = 0.02
"""Between two probes: much shorter than what a person or an orchestrator would notice, and too
seldom to be a load."""

STARTING_UP_SECONDS = 60.0
"""Past the plan's own time: for the process to start and for the last answers to come."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send, and how.

    `kind`: `closed`, `connections` callers who each wait for their answer; `open`, `rate` requests
    a second over at most that many connections; `probe`, GET requests in even intervals over one.
    `body`: a photograph as it is, or base64 in JSON. The first `warm_up_seconds` are not counted.
    """

    kind: Literal["closed", "open", "probe"]
    port: int
    path: str
    seconds: float
    warm_up_seconds: float = 0.0
    photographs: str = ""
    body: Literal["jpeg", "json"] = "jpeg"
    connections: int = 1
    rate: float = 0.0


class Client:
    """A client at work, in its own process."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.load_client", json.dumps(asdict(plan))],
            stdout=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
        )

    def result(self) -> LoadResult:
        """Waits for the end.

        Raises:
            RuntimeError: the client failed; stderr says why.
            subprocess.TimeoutExpired: it hangs.
        """
        patience = self._plan.warm_up_seconds + self._plan.seconds + STARTING_UP_SECONDS
        try:
            output, _ = self._process.communicate(timeout=patience)
        finally:
            self._process.kill()
        if self._process.returncode != 0:
            raise RuntimeError(f"the client ended with status {self._process.returncode}")
        return LoadResult.from_json(json.loads(output))


async def carry_out(plan: Plan) -> LoadResult:
    """Sends what the plan says.

    Raises:
        OSError: nobody listens at the port.
    """
    start = perf_counter() + plan.warm_up_seconds
    return summarise(await _samples(plan), start, start + plan.seconds)


async def _samples(plan: Plan) -> list[Sample]:
    whole = plan.warm_up_seconds + plan.seconds
    if plan.kind == "probe":
        arrivals = even_arrivals(PROBE_INTERVAL_SECONDS, whole)
        return await one_by_one(plan.port, get(plan.path), arrivals)
    requests = _requests(plan)
    if plan.kind == "closed":
        return await closed_loop(plan.port, requests, plan.connections, whole)
    return await OpenLoop(plan.port, requests, plan.connections).run(
        poisson_arrivals(plan.rate, whole)
    )


def _requests(plan: Plan) -> Requests:
    photographs = read_photographs(Path(plan.photographs))
    if plan.body == "jpeg":
        return Requests(plan.path, "image/jpeg", photographs)
    bodies = [json.dumps({"image": base64.b64encode(p).decode()}).encode() for p in photographs]
    return Requests(plan.path, "application/json", bodies)


def main(arguments: Sequence[str]) -> None:
    """Carries out the one plan in `arguments`."""
    plan = Plan(**json.loads(arguments[0]))
    # A pause of the collector would count as the server's; the process ends before memory matters.
    gc.disable()
    print(json.dumps(asdict(run(carry_out(plan)))))


if __name__ == "__main__":
    main(sys.argv[1:])
