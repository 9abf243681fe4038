"""Refusals: what is too little is named, with how much more it takes."""

from math import inf

import numpy as np
import pytest

from serfiq_core.errors import InsufficientDataError
from serfiq_core.evaluation.bootstrap import interval
from serfiq_core.evaluation.discarding import DiscardCurve, RankedPhotographs
from serfiq_core.evaluation.error_rates import Counts
from serfiq_core.evaluation.sufficiency import (
    check_interval,
    check_mated,
    check_non_mated,
    check_photographs,
    check_reached,
    check_subjects,
    fewest_left,
)

HUNDRED = RankedPhotographs(np.arange(100.0), np.arange(100))


def curve(*points: tuple[float, int, int]) -> DiscardCurve:
    """Of quality_threshold, pairs left, and those that do not match; two pairs of each subject."""
    thresholds, left, missed = (np.array(each) for each in zip(*points, strict=True))
    return DiscardCurve(thresholds, left, missed, left // 2)


def of_few_subjects_with_pairs(with_pairs: int) -> Counts:
    """A hundred subjects, of which only some have a second photograph."""
    return np.where(np.arange(100) < with_pairs, 2, 1)


def test_thirty_subjects_are_enough():
    check_subjects(30)
    with pytest.raises(InsufficientDataError, match="there are at most 29: 1 too few"):
        check_subjects(29)


def test_thirty_photographs_rejected_are_enough():
    check_photographs(600, 0.05)
    with pytest.raises(InsufficientDataError, match="there are at most 599 usable ones: 1 too few"):
        check_photographs(599, 0.05)


def test_thirty_false_matches_are_enough():
    four_each = np.full(40, 4)  # 12,480 non-mated pairs
    check_non_mated(four_each, 0.003)
    with pytest.raises(InsufficientDataError, match="needs 15,000 non-mated pairs"):
        check_non_mated(four_each, 0.002)


def test_pairs_of_few_subjects_are_not_enough_however_many_subjects_there_are():
    check_mated(of_few_subjects_with_pairs(30), None)
    with pytest.raises(
        InsufficientDataError, match=r"two usable photographs.*there are at most 29: 1"
    ):
        check_mated(of_few_subjects_with_pairs(29), None)


def test_no_mated_pair_at_all():
    with pytest.raises(InsufficientDataError, match="there are at most 0: 30 too few"):
        check_mated(np.ones(100, int), 0.05)


def test_the_rule_of_3():
    assert fewest_left(0.01) == 300
    assert fewest_left(0.05) == 60
    check_mated(of_few_subjects_with_pairs(60), 0.05)
    with pytest.raises(
        InsufficientDataError,
        match=r"needs 75 subjects with two usable photographs or more, .* at most 60: about 25 ",
    ):
        check_mated(of_few_subjects_with_pairs(60), 0.04)


def test_the_rule_of_3_counts_subjects_however_many_pairs_they_have():
    with pytest.raises(InsufficientDataError, match=r"needs 60 subjects .* at most 59: about"):
        check_mated(np.full(59, 6), 0.05)


def test_a_target_that_only_few_pairs_reach():
    with pytest.raises(InsufficientDataError, match="more subjects") as caught:
        check_reached(curve((90, 40, 0), (50, 160, 16), (10, 400, 60)), 0.05, 100)
    words = str(caught.value)
    assert "with mated pairs of 60 subjects left" in words
    assert "at best it is 0.1000, at 50.0, where 160 of 400 pairs are left" in words
    # 60 subjects must be left, and 20 are: three times as many.
    assert "reached at 90.0, but by pairs of 20 subjects only: about 200 more subjects" in words


def test_a_target_that_no_pairs_reach():
    with pytest.raises(
        InsufficientDataError, match="more photographs like these are not likely to help"
    ):
        check_reached(curve((90, 200, 20), (10, 400, 60)), 0.05, 100)


def test_a_target_that_is_reached():
    check_reached(curve((90, 120, 6), (10, 400, 60)), 0.05, 100)


def check_resamples(quality_thresholds: list[float]) -> None:
    found = interval(quality_thresholds[0], quality_thresholds)
    check_interval(found, float(np.isinf(quality_thresholds).mean()), HUNDRED, 100)


def test_resamples_that_agree():
    check_resamples([10.0] * 50 + [30.0] * 50)


def test_resamples_that_do_not_agree():
    # From 10 % to 50 % rejected: twice as wide as may be, so four times the subjects.
    with pytest.raises(InsufficientDataError, match=r"from 10\.0 to 50\.0.*about 300 more"):
        check_resamples([10.0] * 50 + [50.0] * 50)


def test_resamples_that_do_not_reach_the_target():
    check_resamples([10.0] * 98 + [inf] * 2)
    check_resamples([10.0] * 976 + [inf] * 24)
    with pytest.raises(InsufficientDataError, match=r"fewer than 2\.5% may: about 1 more"):
        check_resamples([10.0] * 975 + [inf] * 25)
    # One standard error from the target (15.9 %), and 1.96 are needed: 3.84 times the subjects.
    with pytest.raises(InsufficientDataError, match=r"15\.9% of their resamples.*about 28\d more"):
        check_resamples([10.0] * 841 + [inf] * 159)
    with pytest.raises(InsufficientDataError, match="reached by chance"):
        check_resamples([10.0] * 50 + [inf] * 50)
