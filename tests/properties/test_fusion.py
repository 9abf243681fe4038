"""What holds of fusion and of the check for one person, whatever the embeddings."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serfiq_core.one_subject.fusion import Floats, consistency, fuse, fusion_weights

LIMIT = 0.3
SEEDS = st.integers(0, 2**32 - 1)
COUNTS = st.integers(2, 12)


def drawn(seed: int, count: int) -> tuple[Floats, Floats]:
    """Embeddings of one to three people, and their mean distances."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(3, 32)) / np.sqrt(32)
    vectors = centres[rng.integers(0, rng.integers(1, 4), count)]
    vectors = vectors + rng.normal(0, 0.1, vectors.shape)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), rng.uniform(0, 2, count)


@given(st.lists(st.floats(0, 2), min_size=1, max_size=64))
def test_weights_sum_to_one_and_fall_with_the_distance(distances: list[float]) -> None:
    weights = fusion_weights(distances)
    assert weights.sum() == pytest.approx(1)
    assert (weights > 0).all()
    assert (np.diff(weights[np.argsort(distances)]) <= 0).all()


@given(SEEDS, COUNTS)
def test_the_order_of_captures_changes_nothing_but_the_order(seed: int, count: int) -> None:
    embeddings, distances = drawn(seed, count)
    order = np.random.default_rng(seed).permutation(count)
    weights = fusion_weights(distances)
    assert fusion_weights(distances[order]) == pytest.approx(weights[order])
    there, here = fuse(embeddings[order], weights[order]), fuse(embeddings, weights)
    assert there == pytest.approx(here, abs=1e-9)
    first = consistency(embeddings, weights, LIMIT)
    second = consistency(embeddings[order], weights[order], LIMIT)
    assert second.cosines == pytest.approx(first.cosines[order], abs=1e-9)
    assert first.consistent is not None
    assert second.consistent is not None
    assert second.consistent.tolist() == first.consistent[order].tolist()


@given(SEEDS, COUNTS)
def test_the_same_capture_again_and_again_is_that_capture(seed: int, count: int) -> None:
    embeddings, distances = drawn(seed, 1)
    embeddings, weights = (
        np.repeat(embeddings, count, axis=0),
        fusion_weights([distances[0]] * count),
    )
    assert fuse(embeddings, weights) == pytest.approx(embeddings[0])
    found = consistency(embeddings, weights, LIMIT)
    assert found.cosines == pytest.approx(np.ones(count))
    assert found.consistent is not None
    assert found.consistent.all()


@given(SEEDS, COUNTS)
def test_who_is_consistent_is_near_enough_and_a_majority_or_nobody(seed: int, count: int) -> None:
    embeddings, distances = drawn(seed, count)
    found = consistency(embeddings, fusion_weights(distances), LIMIT)
    assert found.consistent is not None
    assert (found.cosines[found.consistent] >= LIMIT).all()
    assert np.abs(found.cosines).max() <= 1
    assert not found.consistent.any() or found.consistent.sum() >= 2
