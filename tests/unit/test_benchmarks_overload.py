"""What is made of a load's answers, and which figures there are."""

from pathlib import Path

import pytest

from benchmarks import over_in_process, over_litserve, overload
from benchmarks.load_result import NOT_SENT, LoadResult
from benchmarks.overload import FIGURES, LOADS, Loaded, comparisons, recorded
from tests.conftest import REPOSITORY


def loaded(times: int, statuses: dict[int, int], p99: float, memory=(100, 100, 100, 100)):
    answers = LoadResult(60.0, statuses, 50.0 * times, p99 / 2, p99, 2 * p99)
    probes = LoadResult(60.0, {200: 3000}, 50.0, 0.001, 0.002, 0.003)
    return Loaded(times, answers, probes, memory)


ONCE = loaded(1, {200: 3000}, 0.5)


def compared(last: Loaded):
    return {figure.figure: figure for figure in comparisons("cpu", ONCE, last)}


def test_a_service_that_stays_a_good_citizen_meets_every_target():
    last = loaded(10, {200: 3000, 429: 20_000, NOT_SENT: 7000}, 1.5)
    figures = compared(last)
    assert figures["p99_at_10x_over_1x"].value == 3.0
    assert figures["only_200_and_429_at_10x"].value == 1.0
    assert figures["memory_growth_at_10x"].value == 1.0
    assert figures["throughput_at_10x_over_1x"].value == 10.0
    assert all(figure.met is not False for figure in figures.values())


@pytest.mark.parametrize("status", [500, 503, 504, -2, -3])
def test_one_other_answer_misses_the_target(status):
    figures = compared(loaded(10, {200: 3000, 429: 20_000, status: 1}, 0.5))
    assert figures["only_200_and_429_at_10x"].met is False


def test_a_p99_that_grew_too_much_misses_the_target():
    assert compared(loaded(10, {200: 1}, 1.6))["p99_at_10x_over_1x"].met is False


def test_memory_that_grew_misses_the_target():
    last = loaded(10, {200: 1}, 0.5, memory=(100, 100, 103, 106))
    assert compared(last)["memory_growth_at_10x"].met is False


def test_no_answer_at_all_meets_no_target_for_latency():
    assert compared(loaded(10, {429: 1}, float("nan")))["p99_at_10x_over_1x"].met is False


def test_what_was_not_sent_is_reported():
    figures = {f.figure: f.value for f in recorded("cpu", loaded(2, {200: 3, NOT_SENT: 1}, 0.5))}
    assert figures["not_sent_share_at_2x"] == 0.25
    assert figures["refused_share_at_2x"] == 0.0
    assert figures["probe_max_seconds_at_2x"] == 0.003
    assert figures["peak_memory_bytes_at_2x"] == 100


def test_the_names_that_can_be_asked_for_are_those_that_come():
    loads = [loaded(times, {200: 1}, 0.5) for times in LOADS]
    names = [figure.figure for figure in comparisons("cpu", loads[0], loads[-1])]
    names += [figure.figure for load in loads for figure in recorded("cpu", load)]
    assert {"capacity_per_second", *names} == set(FIGURES)


def test_no_name_stands_for_two_figures():
    names = [*over_in_process.FIGURES, *over_litserve.FIGURES, *overload.FIGURES]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    "name",
    [*over_in_process.FIGURES, *over_litserve.FIGURES, *overload.RECORDED, *overload.FIGURES[:5]],
)
def test_every_figure_is_documented(name):
    page = Path(REPOSITORY, "docs", "benchmarks.md").read_text(encoding="utf-8")
    assert f"`{name}`" in page
