"""Interleaved timing, and the one form in which figures are reported."""

import json
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from time import perf_counter

Workload = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of output: the median of a ratio, and the range of the repetitions.

    `target`: the bound it is held to, or None when it is only recorded. `met`: None then too.
    """

    figure: str
    device: str
    value: float
    low: float
    high: float
    target: str | None = None
    met: bool | None = None


def interleaved_seconds(
    workloads: Mapping[str, Workload],
    repetitions: int,
    clock: Callable[[], float] = perf_counter,
) -> dict[str, list[float]]:
    """Seconds of each workload, run in turn, so that a drifting machine slows all alike."""
    for workload in workloads.values():
        workload()
    seconds: dict[str, list[float]] = {name: [] for name in workloads}
    for _ in range(repetitions):
        for name, workload in workloads.items():
            started = clock()
            workload()
            seconds[name].append(clock() - started)
    return seconds


def ratio(
    figure: str,
    device: str,
    over: Sequence[float],
    under: Sequence[float],
    *,
    at_most: float | None = None,
    at_least: float | None = None,
) -> Figure:
    """The repetition-by-repetition ratio of two workloads."""
    ratios = [a / b for a, b in zip(over, under, strict=True)]
    return measured(figure, device, ratios, at_most=at_most, at_least=at_least)


def measured(
    figure: str,
    device: str,
    values: Sequence[float],
    *,
    at_most: float | None = None,
    at_least: float | None = None,
) -> Figure:
    """A value as it was measured in each repetition."""
    value = statistics.median(values)
    target, met = None, None
    if at_most is not None:
        target, met = f"<= {at_most}", value <= at_most
    elif at_least is not None:
        target, met = f">= {at_least}", value >= at_least
    return Figure(figure, device, value, min(values), max(values), target, met)


def report(figures: Sequence[Figure]) -> bool:
    """One JSON object a line on stdout, a table on stderr. Returns whether a target was missed."""
    for figure in figures:
        print(json.dumps(asdict(figure)), flush=True)
        verdict = {True: "met", False: "NOT met", None: ""}[figure.met]
        print(
            f"{figure.figure:32} {figure.value:9.4f}  [{figure.low:.4f} … {figure.high:.4f}]"
            f"  {figure.target or '':10} {verdict}",
            file=sys.stderr,
        )
    return any(figure.met is False for figure in figures)
