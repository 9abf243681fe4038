"""What a quality_threshold discards, worked by hand."""

from math import inf

import numpy as np
import pytest

from serfiq_core.evaluation.discarding import (
    DiscardCurve,
    Evidence,
    RankedPairs,
    RankedPhotographs,
    discard_curve,
    rank_mated_pairs,
    rank_photographs,
)

ONE_EACH = np.ones(4, np.int64)


@pytest.fixture
def pairs() -> RankedPairs:
    """Six pairs of four subjects; two match badly, and two have one quality."""
    return RankedPairs(
        quality_scores=np.array([90.0, 70.0, 70.0, 50.0, 30.0, 10.0]),
        higher_scores=np.array([95.0, 70.0, 75.0, 90.0, 35.0, 80.0]),
        similarities=np.array([0.9, 0.8, 0.3, 0.7, 0.6, 0.2], np.float32),
        subjects=np.array([0, 1, 1, 2, 2, 3]),
        firsts=np.array([True, True, False, True, False, True]),
    )


@pytest.fixture
def photographs() -> RankedPhotographs:
    return RankedPhotographs(
        np.array([5.0, 10.25, 10.75, 40.0, 40.0, 80.0]), np.array([0, 0, 1, 2, 3, 3])
    )


def test_the_curve_counts_what_is_left_and_what_does_not_match(pairs):
    curve = discard_curve(pairs, 0.5, ONE_EACH)
    assert curve.quality_thresholds.tolist() == [90, 70, 50, 30, 10]
    assert curve.left.tolist() == [1, 3, 4, 5, 6]
    assert curve.missed.tolist() == [0, 1, 1, 1, 2]
    assert curve.subjects.tolist() == [1, 2, 3, 3, 4]


def test_a_subject_drawn_twice_counts_twice_and_one_not_drawn_not_at_all(pairs):
    curve = discard_curve(pairs, 0.5, np.array([1, 2, 0, 1]))
    assert curve.quality_thresholds.tolist() == [90, 70, 10]
    assert curve.left.tolist() == [1, 5, 6]
    assert curve.missed.tolist() == [0, 2, 3]
    assert curve.subjects.tolist() == [1, 3, 4]


def test_a_similarity_at_the_comparison_threshold_matches(pairs):
    threshold = float(pairs.similarities[2])
    assert discard_curve(pairs, threshold, ONE_EACH).missed.tolist() == [0, 0, 0, 0, 1]


@pytest.mark.parametrize(
    ("fnmr", "fewest_subjects", "expected"),
    [
        (0.34, 1, 0.0),  # 2 of 6 do not match: nothing need be discarded
        (0.25, 1, 30.0),  # 1 of 5
        (0.2, 1, 30.0),  # exactly 1 of 5
        (0.19, 1, 90.0),  # only the best pair alone
        (0.19, 2, inf),  # and one subject is too few to tell
        (0.2, 3, 30.0),
        (0.2, 4, inf),
    ],
)
def test_the_threshold_that_discards_least(pairs, fnmr, fewest_subjects, expected):
    assert discard_curve(pairs, 0.5, ONE_EACH).lowest_reaching(fnmr, fewest_subjects) == expected


@pytest.mark.parametrize(
    ("quality_threshold", "left", "subjects", "fnmr"),
    [
        (0, 6, 4, 2 / 6),
        (10, 6, 4, 2 / 6),
        (10.1, 5, 3, 1 / 5),
        (70, 3, 2, 1 / 3),
        (70.5, 1, 1, 0),
        (91, 0, 0, 1),
    ],
)
def test_a_curve_between_its_points(pairs, quality_threshold, left, subjects, fnmr):
    curve = discard_curve(pairs, 0.5, ONE_EACH)
    assert curve.left_at(quality_threshold) == left
    assert curve.subjects_at(quality_threshold) == subjects
    assert curve.fnmr_at(quality_threshold) == pytest.approx(fnmr)


@pytest.mark.parametrize(
    ("quality_threshold", "passing"),
    [(0, [2, 2, 2, 2, 2, 2]), (70, [2, 2, 2, 1, 0, 1]), (75.5, [2, 0, 0, 1, 0, 1]), (96, [0] * 6)],
)
def test_of_a_pair_both_one_or_neither_photograph_passes(pairs, quality_threshold, passing):
    assert pairs.passing(quality_threshold).tolist() == passing


def test_a_curve_without_pairs_claims_nothing():
    empty = DiscardCurve(np.zeros(0), *3 * [np.zeros(0, np.int64)])
    assert empty.lowest_reaching(0.5, 1) == inf
    assert empty.fnmr_at(0) == 1


def test_a_pair_is_as_good_as_the_worse_of_its_photographs():
    embeddings = np.array([[1, 0], [0.6, 0.8], [0, 1], [0, 1], [0, 1]], np.float32)
    qualities = np.array([90.0, 20.0, 60.0, 70.0, 10.0])
    evidence = Evidence(embeddings, np.array([0, 0, 1, 1, 1]), qualities)
    pairs = rank_mated_pairs(evidence)
    assert pairs.quality_scores.tolist() == [60, 20, 10, 10]
    assert pairs.higher_scores.tolist() == [70, 90, 60, 70]
    assert pairs.similarities == pytest.approx([1, 0.6, 1, 1])
    assert pairs.subjects.tolist() == [1, 0, 1, 1]
    assert pairs.firsts.tolist() == [True, True, False, False]
    assert rank_photographs(evidence).subjects.tolist() == [1, 0, 1, 1, 0]


@pytest.mark.parametrize(
    ("rejected", "expected"),
    [(0.1, 5.0), (1 / 6, 10.25), (0.5, 40.0), (0.8, 40.0), (5 / 6, 80.0), (0.99, 80.0)],
)
def test_the_threshold_that_rejects_most(photographs, rejected, expected):
    assert photographs.highest_quality_threshold(rejected, ONE_EACH) == expected


def test_the_threshold_of_a_resample(photographs):
    # Photographs of the first subject count twice: 4 of 8 lie below 10.75.
    assert photographs.highest_quality_threshold(0.5, np.array([2, 1, 1, 1])) == 10.75
    assert photographs.share_below(10.75, np.array([2, 1, 1, 1])) == 4 / 8
    assert photographs.share_below(10.75, ONE_EACH) == 2 / 6


@pytest.mark.parametrize(
    ("found", "shortest"), [(5.0, 5), (10.25, 10), (10.75, 10.7), (40.0, 40), (80.0, 80)]
)
def test_a_threshold_is_written_with_as_few_decimals_as_will_do(photographs, found, shortest):
    written = photographs.shortest(found)
    assert written == shortest
    assert photographs.share_below(written, ONE_EACH) == photographs.share_below(found, ONE_EACH)
