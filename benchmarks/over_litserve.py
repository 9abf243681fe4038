"""The service against LitServe, which serves the same pipeline with its own batching.

LitServe is measured at its best: with the settings that gave it the highest throughput here. Both
take the same request, base64 in JSON, from the same client.
"""

import sys
from dataclasses import replace
from itertools import product

from benchmarks.full_load import Scale, full_load
from benchmarks.load_result import LoadResult
from benchmarks.measure import Figure, measured, ratio
from benchmarks.service_process import (
    LitServeSettings,
    fetch,
    litserve_service,
    serfiq_service,
)

FIGURES = (
    "throughput_over_litserve",
    "p99_over_litserve",
    "litserve_per_second",
    "litserve_p99_seconds",
)

THROUGHPUT_AT_LEAST = 1.3

P99_AT_MOST = 1.0

CANDIDATES = [
    LitServeSettings(workers, threads, batch_timeout_seconds, max_batch_size)
    for workers, threads, batch_timeout_seconds, max_batch_size in product(
        (1, 2), (1, 2), (0.0, 0.01), (8, 32)
    )
]
"""Its documentation leaves all four to measurement. 32 is as many as there are callers; with 8 a
second worker finds something left to take."""

SEARCH_SECONDS = 5.0
"""For each candidate: their throughputs differ by more than such a short look errs."""


def measure(scale: Scale) -> list[Figure]:
    """Both in turn, each round in new processes."""
    chosen = _best(scale)
    ours: list[LoadResult] = []
    theirs: list[LoadResult] = []
    device = ""
    for _ in range(scale.rounds):
        with serfiq_service("json") as server:
            device = fetch(server, "/model")["device"]
            ours.append(full_load(server, scale))
        with litserve_service(chosen) as server:
            theirs.append(full_load(server, scale))
    throughput = [result.throughput for result in theirs]
    p99 = [result.p99_seconds for result in theirs]
    return [
        ratio(
            "throughput_over_litserve",
            device,
            [result.throughput for result in ours],
            throughput,
            at_least=THROUGHPUT_AT_LEAST,
        ),
        ratio(
            "p99_over_litserve",
            device,
            [result.p99_seconds for result in ours],
            p99,
            at_most=P99_AT_MOST,
        ),
        measured("litserve_per_second", device, throughput),
        measured("litserve_p99_seconds", device, p99),
    ]


def _best(scale: Scale) -> LitServeSettings:
    """The candidate with the highest throughput; all of them are told on stderr."""
    short = replace(scale, round_seconds=min(SEARCH_SECONDS, scale.round_seconds))
    throughputs = {}
    for candidate in CANDIDATES:
        with litserve_service(candidate) as server:
            throughputs[candidate] = full_load(server, short).throughput
        print(f"{candidate}: {throughputs[candidate]:.1f}/s", file=sys.stderr)
    best = max(CANDIDATES, key=throughputs.__getitem__)
    print(f"LitServe is at its best with {best}", file=sys.stderr)
    return best
