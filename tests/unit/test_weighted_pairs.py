"""Pairs counted anew for a resample of the subjects, as the data they stand for."""

from itertools import permutations
from math import inf

import numpy as np
import pytest

from serfiq_core.evaluation.discarding import Evidence
from serfiq_core.evaluation.error_rates import all_non_mated, comparison_threshold
from serfiq_core.evaluation.weighted_pairs import WeightedPairs
from tests.evidence import made_up


@pytest.mark.parametrize("fmr", [0.001, 0.01, 0.1])
def test_every_subject_once_gives_the_threshold_of_the_data(fmr):
    evidence = made_up(60, 3)
    non_mated = all_non_mated(evidence.embeddings, evidence.subjects, fmr)
    expected = comparison_threshold(non_mated, fmr)
    found = WeightedPairs(evidence, fmr).comparison_threshold(np.ones(60, np.int64))
    assert found == expected


def test_weights_stand_for_copies_of_subjects_that_are_not_compared_with_each_other():
    evidence = made_up(12, 2, seed=1)
    draws = np.array([3, 0, 1, 2, 1, 1, 0, 1, 1, 1, 1, 0])
    drawn = np.repeat(np.arange(12), draws)
    rows = np.concatenate([np.flatnonzero(evidence.subjects == subject) for subject in drawn])
    # Copies of one subject keep its number: their pairs are mated, and so none of these.
    copies = Evidence(
        evidence.embeddings[rows], evidence.subjects[rows], evidence.quality_scores[rows]
    )
    non_mated = all_non_mated(copies.embeddings, copies.subjects, 0.05)
    found = WeightedPairs(evidence, 0.05).comparison_threshold(draws)
    assert found == comparison_threshold(non_mated, 0.05)


def test_with_one_photograph_gated_a_subject_drawn_twice_counts_twice():
    evidence, draws = made_up(12, 3, scatter=0.1), np.array([3, 0, 1, 2, 1, 1, 0, 1, 1, 1, 1, 0])
    pairs = WeightedPairs(evidence, 0.05)
    limit = pairs.comparison_threshold(draws)
    outcomes = []
    for subject, times in enumerate(draws.tolist()):
        own = np.flatnonzero(evidence.subjects == subject)
        for one, other in permutations(own, 2):  # `one` is gated
            if evidence.quality_scores[one] >= 50:
                similarity = evidence.embeddings[one] @ evidence.embeddings[other]
                outcomes += times * [bool(similarity < limit)]
    assert 0 < np.mean(outcomes) < 1
    assert pairs.fnmr_one_gated(50, draws) == pytest.approx(np.mean(outcomes))


def test_a_resample_without_enough_spare_pairs_errs_towards_more_non_matches():
    evidence = made_up(12, 2, seed=1)
    pairs = WeightedPairs(evidence, 0.01)
    lowest = pairs.non_mated.highest[-1]
    only_two = np.zeros(12, np.int64)
    only_two[:2] = 6
    assert pairs.comparison_threshold(only_two) == np.nextafter(lowest, np.float32(inf))
