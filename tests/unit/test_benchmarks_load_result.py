"""From samples to figures, with values worked out by hand."""

import json
import math
from dataclasses import asdict

import pytest

from benchmarks.load_result import NOT_SENT, LoadResult, Sample, percentile, summarise


@pytest.mark.parametrize(
    ("share", "value"), [(0.01, 1), (0.50, 50), (0.501, 51), (0.99, 99), (1.0, 100)]
)
def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed(share, value):
    assert percentile(range(1, 101), share) == value


def test_the_percentile_of_one_value_is_that_value_and_of_none_is_nan():
    assert percentile([7.0], 0.99) == 7.0
    assert math.isnan(percentile([], 0.99))


SAMPLES = [
    Sample(9.0, 10.5, 200),  # due before the window, answered in it
    Sample(10.0, 10.25, 200),
    Sample(11.0, 11.75, 200),
    Sample(11.5, 11.5, 429),
    Sample(11.5, 11.5, NOT_SENT),
    Sample(13.0, 16.0, 200),  # due in the window, answered after it
    Sample(14.0, 14.5, 200),  # due as it closes
]


def test_a_window_counts_what_was_due_in_it_and_the_throughput_what_came_in_it():
    result = summarise(SAMPLES, 10.0, 14.0)
    assert result.statuses == {200: 3, 429: 1, NOT_SENT: 1}
    assert result.throughput == 3 / 4
    assert (result.p50_seconds, result.p99_seconds, result.max_seconds) == (0.75, 3.0, 3.0)


def test_counts():
    result = summarise(SAMPLES, 10.0, 14.0)
    assert result.requests == 5
    assert result.count(200, 429) == 4
    assert result.count(503) == 0


def test_refusals_have_no_part_in_the_latencies():
    result = summarise([Sample(0.0, 1.0, 200), Sample(0.0, 9.0, 429)], 0.0, 10.0)
    assert result.max_seconds == 1.0


def test_a_result_survives_json():
    result = summarise(SAMPLES, 10.0, 14.0)
    assert LoadResult.from_json(json.loads(json.dumps(asdict(result)))) == result
