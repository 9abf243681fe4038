"""The quality_threshold that reaches a target, and its interval."""

import dataclasses

import numpy as np
import pytest

from serfiq_core.errors import EvaluationError, InsufficientDataError
from serfiq_core.evaluation.discarding import Evidence
from serfiq_core.evaluation.error_rates import (
    all_non_mated,
    comparison_threshold,
    mated_pairs,
    similarities,
)
from serfiq_core.evaluation.targets import Target, find_quality_threshold
from tests.evidence import made_up

RESAMPLES = 200


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    return made_up(400, 4)


def counted_from_each_side(evidence: Evidence, quality_threshold: float, fmr: float) -> float:
    """FNMR where one photograph is gated, by the plainest reading of the definition."""
    non_mated = all_non_mated(evidence.embeddings, evidence.subjects, fmr)
    pairs = mated_pairs(evidence.subjects)
    values = similarities(evidence.embeddings, pairs)
    kept = [
        similarity
        for side in (pairs.first, pairs.second)
        for photograph, similarity in zip(side, values, strict=True)
        if evidence.quality_scores[photograph] >= quality_threshold
    ]
    return sum(each < comparison_threshold(non_mated, fmr) for each in kept) / len(kept)


def counted(evidence: Evidence, quality_threshold: float, fmr: float) -> tuple[float, int]:
    """FNMR of the pairs left, and how many, by the plainest reading of the definition."""
    non_mated = all_non_mated(evidence.embeddings, evidence.subjects, fmr)
    pairs = mated_pairs(evidence.subjects)
    kept = [
        similarity
        for first, second, similarity in zip(
            pairs.first, pairs.second, similarities(evidence.embeddings, pairs), strict=True
        )
        if min(evidence.quality_scores[[first, second]]) >= quality_threshold
    ]
    missed = sum(similarity < comparison_threshold(non_mated, fmr) for similarity in kept)
    return missed / len(kept), len(kept)


def test_the_threshold_found_reaches_the_fnmr_and_the_next_lower_one_does_not(evidence):
    answer = find_quality_threshold(evidence, Target("fnmr", 0.03, 0.001), count=RESAMPLES)
    rates, found = answer.error_rates, answer.quality_threshold.value
    assert rates is not None
    assert (answer.photographs, answer.subjects) == (1600, 400)
    assert (rates.mated_pairs, rates.non_mated_pairs) == (400 * 6, 1600 * 1596 // 2)
    assert rates.largest_subject == pytest.approx(1 / 400)

    fnmr, left = counted(evidence, found, 0.001)
    assert rates.fnmr_after.value == pytest.approx(fnmr)
    assert fnmr <= 0.03 < rates.fnmr_before.value == pytest.approx(counted(evidence, 0, 0.001)[0])
    one_gated = rates.fnmr_after_one_gated.value
    assert one_gated == pytest.approx(counted_from_each_side(evidence, found, 0.001))
    assert fnmr < one_gated < rates.fnmr_before.value
    assert rates.discarded == pytest.approx(1 - left / 2400)
    assert answer.rejected.value == pytest.approx((evidence.quality_scores < found).mean())
    lower = evidence.quality_scores[evidence.quality_scores < found]
    assert all(counted(evidence, each, 0.001)[0] > 0.03 for each in np.unique(lower)[::20])


def test_every_figure_lies_in_its_interval(evidence):
    answer = find_quality_threshold(evidence, Target("fnmr", 0.03, 0.001), count=RESAMPLES)
    rates = answer.error_rates
    assert rates is not None
    fnmrs = (rates.fnmr_before, rates.fnmr_after, rates.fnmr_after_one_gated)
    for each in (answer.quality_threshold, answer.rejected, *fnmrs):
        assert each.low < each.value < each.high


def test_a_seed_gives_the_same_answer_again(evidence):
    target = Target("fnmr", 0.03, 0.001)
    first = find_quality_threshold(evidence, target, count=50, seed=1)
    assert first == find_quality_threshold(evidence, target, count=50, seed=1)
    other = find_quality_threshold(evidence, target, count=50, seed=2)
    assert other.quality_threshold.value == first.quality_threshold.value
    assert other.rejected != first.rejected


def test_a_share_of_rejections_needs_no_pairs():
    evidence = made_up(700, 1)
    answer = find_quality_threshold(evidence, Target("reject", 0.05, None), count=RESAMPLES)
    assert answer.error_rates is None
    below = (evidence.quality_scores < answer.quality_threshold.value).mean()
    assert answer.rejected.value == below
    assert 0.045 < below <= 0.05
    ends = answer.quality_threshold
    assert ends.low < answer.quality_threshold.value < ends.high


def test_a_share_of_rejections_tells_the_fnmr_when_an_fmr_is_named(evidence):
    answer = find_quality_threshold(evidence, Target("reject", 0.2, 0.01), count=RESAMPLES)
    assert answer.error_rates is not None
    found = answer.quality_threshold.value
    assert answer.error_rates.fnmr_after.value == pytest.approx(counted(evidence, found, 0.01)[0])


def test_a_target_that_is_met_already_rejects_nothing(evidence):
    answer = find_quality_threshold(evidence, Target("fnmr", 0.9, 0.01), count=RESAMPLES)
    assert answer.quality_threshold.value == 0
    assert answer.rejected.value == 0


def test_photographs_that_carry_no_pairs_turn_no_answer_into_a_refusal():
    """A hundred subjects must be left, and of 105 with pairs many resamples draw fewer."""
    pairs, alone = made_up(105, 2, scatter=0.001), made_up(210, 1, scatter=0.001, seed=1)
    both = Evidence(
        np.concatenate([pairs.embeddings, alone.embeddings]),
        np.concatenate([pairs.subjects, alone.subjects + 105]),
        np.concatenate([pairs.quality_scores, alone.quality_scores]),
    )
    target = Target("fnmr", 0.03, 0.01)
    for evidence in (pairs, both):
        found = find_quality_threshold(evidence, target, count=RESAMPLES).quality_threshold
        assert (found.value, found.low, found.high) == (0, 0, 0)


def test_where_no_pair_left_is_missed_the_rule_of_3_bounds_the_fnmr_by_the_subjects():
    evidence = made_up(400, 4, scatter=0.001)
    answer = find_quality_threshold(evidence, Target("fnmr", 0.01, 0.001), count=RESAMPLES)
    assert answer.error_rates is not None
    rates = answer.error_rates
    for each in (rates.fnmr_before, rates.fnmr_after, rates.fnmr_after_one_gated):
        assert (each.value, each.low) == (0, 0)
        assert each.high == pytest.approx(3 / 400)


def test_the_rule_of_3_counts_the_subjects_that_are_left_and_no_others():
    evidence = made_up(400, 4, scatter=0.001)
    answer = find_quality_threshold(evidence, Target("reject", 0.5, 0.001), count=50)
    passes = evidence.quality_scores >= answer.quality_threshold.value
    passing = np.bincount(evidence.subjects[passes], minlength=400)
    rates = answer.error_rates
    assert rates is not None
    for each, left in (
        (rates.fnmr_before, 400),
        (rates.fnmr_after, (passing >= 2).sum()),
        (rates.fnmr_after_one_gated, (passing >= 1).sum()),
    ):
        assert (each.value, each.high) == (0, pytest.approx(3 / left))
    assert (passing >= 2).sum() < (passing >= 1).sum() < 400


def test_subjects_with_many_photographs_make_the_interval_wider():
    even, rng = made_up(200, 6), np.random.default_rng(0)
    spoilt = rng.permutation(200)[:10]
    scores = np.where(np.isin(even.subjects, spoilt), even.quality_scores / 20, 60.0)
    target = Target("reject", 0.03, None)
    clustered = dataclasses.replace(even, quality_scores=scores)
    scattered = dataclasses.replace(even, quality_scores=rng.permutation(scores))
    widths = []
    for each in (clustered, scattered):
        ends = find_quality_threshold(each, target, count=RESAMPLES).quality_threshold
        widths.append(ends.high - ends.low)
    assert widths[0] > 1.5 * widths[1]


@pytest.mark.parametrize(
    ("kind", "rate", "fmr", "complaint"),
    [
        ("fnmr", 0.01, None, "an FNMR is counted at an FMR"),
        ("fnmr", 0.0, 0.001, "a target lies between 0 and 1, not at 0"),
        ("reject", 1.0, None, "a target lies between 0 and 1, not at 1"),
        ("reject", float("nan"), None, "between 0 and 1, not at nan"),
        ("fnmr", 0.01, 0.0, "above 0 and not above 0.1, not at 0"),
        ("fnmr", 0.01, 0.2, "above 0 and not above 0.1, not at 0.2"),
        ("reject", 0.05, float("nan"), "not above 0.1, not at nan"),
    ],
)
def test_a_target_that_cannot_be_is_refused(kind, rate, fmr, complaint):
    with pytest.raises(EvaluationError, match=complaint):
        Target(kind, rate, fmr)


@pytest.mark.parametrize(
    ("evidence", "target", "complaint"),
    [
        (made_up(20, 4), Target("reject", 0.05, None), "there are at most 20: 10 too few"),
        (
            made_up(60, 4),
            Target("reject", 0.05, None),
            r"which takes 600; there are at most 240 usable ones: 360 too few",
        ),
        (
            made_up(40, 4),
            Target("fnmr", 0.05, 0.001),
            "needs 30,000 non-mated pairs.*there are 12,480: about 23 more subjects",
        ),
        (
            made_up(60, 6),
            Target("fnmr", 0.002, 0.01),
            "needs 1,500 subjects .* at most 60: about 1,440 more subjects like these 60",
        ),
        (
            made_up(400, 4, scatter=0.05),
            Target("fnmr", 0.02, 0.001),
            "at best it is .*reached at .* by pairs of .* subjects only: about .* more subjects",
        ),
    ],
)
def test_what_the_data_cannot_support_is_refused_with_what_is_missing(evidence, target, complaint):
    with pytest.raises(InsufficientDataError, match=complaint):
        find_quality_threshold(evidence, target, count=RESAMPLES)
