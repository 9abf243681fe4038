"""The service at, and far beyond, its capacity: what it still answers, how fast, in what memory.

Arrivals are those of independent callers, at a fixed rate, whether or not they are answered.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.full_load import WARM_UP_SECONDS, Scale, full_load
from benchmarks.load_client import Client, Plan
from benchmarks.load_result import ACCEPTED, NOT_SENT, LoadResult
from benchmarks.measure import Figure, measured, ratio
from benchmarks.process_memory import MemorySampler, growth
from benchmarks.service_process import Server, fetch, serfiq_service

LOADS = (1, 2, 10)
"""In multiples of capacity. The first and the last are compared."""

RECORDED = (
    "throughput_per_second",
    "p50_seconds",
    "p99_seconds",
    "refused_share",
    "not_sent_share",
    "peak_memory_bytes",
    "probe_p50_seconds",
    "probe_p99_seconds",
    "probe_max_seconds",
)
"""Of each load."""

REFUSED = 429

MOST_CONNECTIONS = 256
"""Four times what the service is willing to work on at once. A request that finds them all busy is
reported as not sent."""

FIGURES = (
    "capacity_per_second",
    f"p99_at_{LOADS[-1]}x_over_{LOADS[0]}x",
    f"only_200_and_429_at_{LOADS[-1]}x",
    f"memory_growth_at_{LOADS[-1]}x",
    f"throughput_at_{LOADS[-1]}x_over_{LOADS[0]}x",
    *(f"{name}_at_{times}x" for times in LOADS for name in RECORDED),
)

P99_AT_MOST = 3.0

GROWTH_AT_MOST = 1.05


@dataclass(frozen=True, slots=True)
class Loaded:
    """One load of a service.

    `times`: of capacity. `answers`: to the captures. `probes`: GET /livez every 20 ms on a
    connection of its own, from another process: how long the event loop kept an answer waiting.
    `memory_bytes`: resident, of the service's processes, in the order of time.
    """

    times: int
    answers: LoadResult
    probes: LoadResult
    memory_bytes: Sequence[int]


def measure(scale: Scale) -> list[Figure]:
    """Capacity first, then each load, all on one service, as it would have to live through it."""
    with serfiq_service() as server:
        device = fetch(server, "/model")["device"]
        capacity = full_load(server, scale).throughput
        loads = [_load(server, scale, times, capacity) for times in LOADS]
    return [
        measured("capacity_per_second", device, [capacity]),
        *comparisons(device, loads[0], loads[-1]),
        *(figure for load in loads for figure in recorded(device, load)),
    ]


def comparisons(device: str, first: Loaded, last: Loaded) -> list[Figure]:
    """What must hold under the highest load, against the lowest."""
    name = f"{last.times}x"
    over = f"at_{name}_over_{first.times}x"
    sent = last.answers.requests - last.answers.count(NOT_SENT)
    good = last.answers.count(ACCEPTED, REFUSED)
    return [
        ratio(
            f"p99_{over}",
            device,
            [last.answers.p99_seconds],
            [first.answers.p99_seconds],
            at_most=P99_AT_MOST,
        ),
        ratio(f"only_200_and_429_at_{name}", device, [good], [sent], at_least=1.0),
        measured(
            f"memory_growth_at_{name}", device, [growth(last.memory_bytes)], at_most=GROWTH_AT_MOST
        ),
        ratio(f"throughput_{over}", device, [last.answers.throughput], [first.answers.throughput]),
    ]


def recorded(device: str, load: Loaded) -> list[Figure]:
    """What came of one load."""
    answers, probes = load.answers, load.probes
    values = (
        answers.throughput,
        answers.p50_seconds,
        answers.p99_seconds,
        answers.count(REFUSED) / answers.requests,
        answers.count(NOT_SENT) / answers.requests,
        max(load.memory_bytes),
        probes.p50_seconds,
        probes.p99_seconds,
        probes.max_seconds,
    )
    return [
        measured(f"{name}_at_{load.times}x", device, [value])
        for name, value in zip(RECORDED, values, strict=True)
    ]


def _load(server: Server, scale: Scale, times: int, capacity: float) -> Loaded:
    plan = Plan(
        kind="open",
        port=server.port,
        path=server.path,
        body=server.body,
        photographs=str(scale.photographs),
        connections=MOST_CONNECTIONS,
        rate=times * capacity,
        seconds=scale.load_seconds,
        warm_up_seconds=WARM_UP_SECONDS,
    )
    probe = Plan("probe", server.port, "/livez", scale.load_seconds, WARM_UP_SECONDS)
    with MemorySampler(server.pid) as memory:
        clients = Client(plan), Client(probe)
        answers, probes = (client.result() for client in clients)
    print(f"{times}x, {plan.rate:.0f}/s: statuses {answers.statuses}", file=sys.stderr)
    return Loaded(times, answers, probes, memory.samples)
