"""A refusal is timed where one is given, and a capture where it is accepted."""

import logging

import pytest

from benchmarks.event_loop_cost import FIGURES, milliseconds_per_capture, refusal_over_probe


@pytest.mark.parametrize(
    ("measure", "name"),
    [(refusal_over_probe, FIGURES[0]), (milliseconds_per_capture, FIGURES[1])],
)
def test_captures_and_probes_are_answered(measure, name):
    handlers, level = logging.getLogger().handlers[:], logging.getLogger().level
    [figure] = measure(requests=2, repetitions=3)
    assert figure.figure == name
    assert 0 < figure.low <= figure.value <= figure.high
    assert (logging.getLogger().handlers, logging.getLogger().level) == (handlers, level)
