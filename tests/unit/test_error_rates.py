"""FMR and FNMR: values worked by hand, ties, and what there is too little of."""

import numpy as np
import pytest

from serfiq_core.errors import EvaluationError
from serfiq_core.evaluation import error_rates
from serfiq_core.evaluation.error_rates import (
    Pairs,
    all_non_mated,
    comparison_threshold,
    fewest_pairs,
    fmr_at,
    fnmr_at,
    mated_pairs,
    sample_non_mated,
    similarities,
    some_non_mated,
)


def on_a_circle(*degrees):
    """Embeddings whose similarities are cosines of differences of angles: `N × 2`."""
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def as_set(pairs):
    return {
        frozenset(pair) for pair in zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)
    }


def test_mated_pairs_are_all_those_of_one_subject():
    pairs = mated_pairs(np.array([7, 3, 7, 3, 7, 5]))
    assert as_set(pairs) == {frozenset(p) for p in [(0, 2), (0, 4), (2, 4), (1, 3)]}
    assert len(pairs) == 4
    assert len(mated_pairs(np.array([1, 2, 3]))) == 0


def test_similarity_is_the_cosine():
    pairs = Pairs(np.array([0, 1], np.int32), np.array([1, 2], np.int32))
    np.testing.assert_allclose(similarities(on_a_circle(0, 60, 240), pairs), [0.5, -1], atol=1e-6)


def test_the_threshold_worked_by_hand():
    # Subjects A at 0°, B at 40°, C at 90°, D at 180°, E at 270°: ten non-mated pairs. The most
    # similar are AB (cos 40° = 0.766) and BC (cos 50° = 0.643); four have the cosine of 90°, 0.
    pairs = all_non_mated(on_a_circle(0, 40, 90, 180, 270), np.arange(5), 0.2)
    assert pairs.count == 10
    np.testing.assert_allclose(pairs.highest[:2], [0.766044, 0.642788], atol=1e-6)
    assert as_set(Pairs(pairs.pairs.first[:2], pairs.pairs.second[:2])) == {
        frozenset((0, 1)),
        frozenset((1, 2)),
    }
    tenth = comparison_threshold(pairs, 0.1)
    assert 0.6427876 < tenth < 0.642788  # just above cos 50°, 0.64278761
    assert fmr_at(pairs, tenth) == 0.1
    assert fnmr_at(np.float32([0.7, 0.6, 0.64, 0.9]), tenth) == 0.5


def test_a_similarity_at_the_threshold_matches():
    pairs = all_non_mated(on_a_circle(0, 40, 90, 180, 270), np.arange(5), 0.9)
    assert [fmr_at(pairs, float(pairs.highest[place])) for place in (0, 1)] == [0.1, 0.2]
    mated = np.float32([0.5, 0.25])
    assert fnmr_at(mated, 0.5) == 0.5
    assert fnmr_at(mated, 0.25) == 0


def test_of_tied_pairs_none_matches_when_not_all_may():
    embeddings = on_a_circle(0, 0, 0, 0, 180)
    pairs = all_non_mated(embeddings, np.arange(5), 0.3)
    # Six of ten pairs have the similarity 1, and three may match.
    found = comparison_threshold(pairs, 0.3)
    assert found > 1
    assert fmr_at(pairs, found) == 0


def test_an_fmr_of_fewer_pairs_than_its_inverse_is_refused():
    pairs = all_non_mated(on_a_circle(0, 40, 90, 180, 270), np.arange(5), 0.1)
    assert comparison_threshold(pairs, 0.1) < 1
    with pytest.raises(EvaluationError, match=r"FMR of 0\.01 needs at least 100 .* there are 10"):
        comparison_threshold(pairs, 0.01)
    for nonsense in (0, 1, -0.1):
        with pytest.raises(EvaluationError, match="between 0 and 1"):
            comparison_threshold(pairs, nonsense)


@pytest.mark.parametrize(("fmr", "pairs"), [(1e-3, 1000), (1e-4, 10_000), (0.3, 4), (1e-6, 10**6)])
def test_fewest_pairs_are_counted_in_decimals(fmr, pairs):
    # 1/1e-4 in binary is not 10,000 everywhere.
    assert fewest_pairs(fmr) == pairs


def test_only_what_was_collected_can_be_asked_for():
    embeddings = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    pairs = all_non_mated(embeddings, np.arange(60), 0.01)
    with pytest.raises(EvaluationError, match="not collected"):
        comparison_threshold(pairs, 0.1)
    with pytest.raises(EvaluationError, match="more non-mated pairs match"):
        fmr_at(pairs, -1)


def test_there_must_be_a_mated_pair():
    with pytest.raises(EvaluationError, match="no mated pair"):
        fnmr_at(np.zeros(0, np.float32), 0.5)


@pytest.mark.parametrize("block_pairs", [1, 50, 10**6])
def test_blocks_change_nothing(monkeypatch, block_pairs):
    rng = np.random.default_rng(1)
    embeddings = rng.normal(size=(90, 8)).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    subjects = rng.integers(30, size=90)
    monkeypatch.setattr(error_rates, "BLOCK_PAIRS", block_pairs)
    found = all_non_mated(embeddings, subjects, 0.05)

    first, second = np.triu_indices(90, 1)
    other = subjects[first] != subjects[second]
    everything = (embeddings @ embeddings.T)[first, second][other]
    assert found.count == len(everything) == found.histogram.sum()
    kept = len(everything) // 20 + 1
    np.testing.assert_allclose(found.highest, np.sort(everything)[::-1][:kept], atol=1e-6)
    np.testing.assert_allclose(similarities(embeddings, found.pairs), found.highest, atol=1e-6)
    assert (subjects[found.pairs.first] != subjects[found.pairs.second]).all()


def test_a_list_of_pairs_is_taken_as_it_is():
    embeddings = on_a_circle(0, 60, 90)
    pairs = Pairs(np.array([0, 1], np.int32), np.array([1, 2], np.int32))
    found = some_non_mated(embeddings, pairs, 0.5)
    assert found.count == 2
    np.testing.assert_allclose(found.highest, [0.866025, 0.5], atol=1e-6)


def test_a_sample_is_of_different_non_mated_pairs_and_the_same_every_time():
    subjects = np.repeat(np.arange(40), 3)
    drawn = sample_non_mated(subjects, 2000, seed=3)
    assert len(as_set(drawn)) == len(drawn) == 2000
    assert (subjects[drawn.first] != subjects[drawn.second]).all()
    again = sample_non_mated(subjects, 2000, seed=3)
    assert (again.first == drawn.first).all()
    assert (again.second == drawn.second).all()
    with pytest.raises(EvaluationError, match="take all of them"):
        sample_non_mated(subjects, 4000, seed=3)


def test_each_non_mated_pair_is_as_likely_to_be_drawn_as_any_other():
    # 40 subjects with 3 photographs: 117 of the 7,020 pairs are of any one photograph.
    subjects, seeds, wanted, pairs, own = np.repeat(np.arange(40), 3), 200, 2000, 7020, 117
    draws = [sample_non_mated(subjects, wanted, seed) for seed in range(seeds)]
    assert as_set(draws[0]) != as_set(draws[1])
    counts = sum(
        np.bincount(np.concatenate([each.first, each.second]), minlength=120) for each in draws
    )
    # Without replacement: hypergeometric.
    share = own / pairs
    variance = wanted * share * (1 - share) * (pairs - wanted) / (pairs - 1)
    standard_error = np.sqrt(seeds * variance)
    assert np.abs(counts - seeds * wanted * share).max() < 5 * standard_error
