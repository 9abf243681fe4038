"""A refusal is timed where a refusal is given: the benchmark's queue is full, and is left empty."""

import logging

from benchmarks.refusals import refusal_over_probe


def test_captures_are_refused_and_probes_answered():
    handlers, level = logging.getLogger().handlers[:], logging.getLogger().level
    [figure] = refusal_over_probe(requests=2, repetitions=3)
    assert figure.figure == "refusal_over_probe"
    assert 0 < figure.low <= figure.value <= figure.high
    assert (logging.getLogger().handlers, logging.getLogger().level) == (handlers, level)
