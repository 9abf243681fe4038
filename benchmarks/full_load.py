"""As much as a server can take: 32 callers who each send their next photograph at once."""

from dataclasses import dataclass
from pathlib import Path

from benchmarks.load_client import Client, Plan
from benchmarks.load_result import ACCEPTED, LoadResult
from benchmarks.service_process import Server

CALLERS = 32

WARM_UP_SECONDS = 2.0
"""Connections are opened, threads started and batches sized before anything counts."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured, and on what.

    `rounds` of `round_seconds` where two servers are compared; `load_seconds` at each load.
    """

    photographs: Path
    rounds: int
    round_seconds: float
    load_seconds: float


def full_load(server: Server, scale: Scale) -> LoadResult:
    """One round.

    Raises:
        RuntimeError: something was not accepted: then it was not throughput that was measured.
    """
    result = Client(
        Plan(
            kind="closed",
            port=server.port,
            path=server.path,
            body=server.body,
            photographs=str(scale.photographs),
            connections=CALLERS,
            seconds=scale.round_seconds,
            warm_up_seconds=WARM_UP_SECONDS,
        )
    ).result()
    if set(result.statuses) - {ACCEPTED}:
        raise RuntimeError(f"{server.path} answered {result.statuses} to {CALLERS} callers")
    return result
