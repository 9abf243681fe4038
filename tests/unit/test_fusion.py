"""Fused embeddings and the check for one person, on embeddings made by hand."""

import numpy as np
import pytest

from serfiq_core.one_subject.fusion import Floats, consistency, fuse, fusion_weights

LIMIT = 0.3


def unit(*values: float) -> Floats:
    vector = np.array(values, np.float64)
    return vector / np.linalg.norm(vector)


def person(seed: int, count: int) -> Floats:
    """`count` embeddings about a direction of their own: their cosines are near 0.8, and those of
    two people near 0."""
    rng = np.random.default_rng(seed)
    centre = rng.normal(size=128) / np.sqrt(128)
    vectors = centre + rng.normal(0, 0.04, (count, 128))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def check(*people: Floats, limit: float | None = LIMIT) -> tuple[Floats, list[bool] | None]:
    embeddings = np.vstack(people)
    found = consistency(embeddings, np.full(len(embeddings), 1 / len(embeddings)), limit)
    return found.cosines, None if found.consistent is None else found.consistent.tolist()


class TestWeights:
    def test_they_are_inverse_variances(self) -> None:
        assert fusion_weights([0.5, 1.0]) == pytest.approx([0.8, 0.2])

    def test_one_capture_has_all_of_it(self) -> None:
        assert fusion_weights([0.7]) == pytest.approx([1.0])

    def test_no_scatter_at_all_has_no_infinite_weight(self) -> None:
        weights = fusion_weights([0.0, 0.4, 0.4])
        assert np.isfinite(weights).all()
        assert weights.sum() == pytest.approx(1)


class TestFusing:
    def test_it_is_the_weighted_mean_of_unit_norm(self) -> None:
        fused = fuse(np.stack([unit(1, 0), unit(0, 1)]), np.array([0.75, 0.25]))
        assert fused == pytest.approx(unit(3, 1))

    def test_what_cancels_out_has_no_direction(self) -> None:
        assert fuse(np.stack([unit(1, 0), unit(-1, 0)]), np.array([0.5, 0.5])) is None

    def test_nothing_has_no_direction(self) -> None:
        assert fuse(np.empty((0, 2)), np.empty(0)) is None


class TestOnePerson:
    @pytest.mark.parametrize("count", [2, 3, 5, 64])
    def test_all_are_consistent(self, count: int) -> None:
        cosines, consistent = check(person(0, count))
        assert consistent == [True] * count
        assert (cosines > 0.6).all()

    def test_the_cosine_leaves_the_capture_itself_out(self) -> None:
        cosines, _ = check(np.stack([unit(1, 0, 0), unit(1, 1, 0), unit(1, 1, 0)]))
        assert cosines == pytest.approx(
            [np.sqrt(0.5), *[unit(1, 1, 0) @ unit(1.7071, 0.7071, 0)] * 2]
        )

    def test_without_a_limit_only_the_cosine_is_given(self) -> None:
        cosines, consistent = check(person(0, 2), person(1, 1), limit=None)
        assert consistent is None
        assert cosines[2] < 0.3 < cosines[0]

    def test_one_alone_is_compared_with_nothing(self) -> None:
        cosines, consistent = check(person(0, 1))
        assert np.isnan(cosines).all()
        assert consistent is None

    def test_a_cosine_at_the_limit_is_of_one_person(self) -> None:
        cosines, consistent = check(np.stack([unit(1, 0), unit(0, 1)]), limit=0.0)
        assert cosines.tolist() == [0, 0]
        assert consistent == [True, True]

    def test_what_agrees_is_fused_by_weight(self) -> None:
        # At 0°, 40° and twice 95°, a person spans 60°. The first two agree, as do the last two, and
        # fused lie 75° apart by equal weights; but the one at 40° is by far the best.
        angles = np.radians([0, 40, 95, 95])
        embeddings = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        for weights, together in (([0.25] * 4, False), ([0.03, 0.91, 0.03, 0.03], True)):
            found = consistency(embeddings, np.array(weights), 0.5)
            assert found.consistent is not None
            assert found.consistent.tolist() == [together] * 4


class TestSeveralPeople:
    @pytest.mark.parametrize("count", [2, 4, 9, 63])
    def test_an_intruder_is_flagged_and_nobody_else(self, count: int) -> None:
        cosines, consistent = check(person(0, count), person(1, 1))
        assert consistent == [True] * count + [False]
        assert cosines[-1] < LIMIT

    def test_an_intruder_does_not_lower_the_cosines_of_the_others(self) -> None:
        among_themselves, _ = check(person(0, 2))
        with_intruder, _ = check(person(0, 2), person(1, 1))
        assert with_intruder[:2] == pytest.approx(among_themselves)

    def test_of_two_that_disagree_both_are_flagged(self) -> None:
        cosines, consistent = check(person(0, 1), person(1, 1))
        assert consistent == [False, False]
        assert cosines[0] == pytest.approx(cosines[1])

    def test_the_majority_counts_not_the_order(self) -> None:
        _, consistent = check(person(1, 2), person(0, 3))
        assert consistent == [False, False, True, True, True]

    @pytest.mark.parametrize("each", [2, 3, 32])
    def test_of_two_halves_all_are_flagged(self, each: int) -> None:
        """Half of the others are of the same person, so that the mean of all is near everyone."""
        cosines, consistent = check(person(0, each), person(1, each))
        assert consistent == [False] * 2 * each
        assert each == 2 or (cosines > LIMIT).all()

    def test_of_people_who_all_differ_all_are_flagged(self) -> None:
        _, consistent = check(*(person(seed, 1) for seed in range(5)))
        assert consistent == [False] * 5

    def test_a_heavy_intruder_is_flagged_all_the_same(self) -> None:
        embeddings = np.vstack([person(0, 2), person(1, 1)])
        found = consistency(embeddings, np.array([0.01, 0.01, 0.98]), LIMIT)
        assert found.consistent is not None
        assert found.consistent.tolist() == [True, True, False]


def test_opposites_are_not_of_one_person() -> None:
    cosines, consistent = check(np.stack([unit(1, 0), unit(-1, 0)]))
    assert cosines == pytest.approx([-1, -1])
    assert consistent == [False, False]


def test_where_the_others_cancel_out_nobody_is_consistent() -> None:
    cosines, consistent = check(np.stack([unit(1, 0), unit(-1, 0), unit(0, 1)]))
    assert np.isnan(cosines[2])
    assert consistent == [False] * 3
