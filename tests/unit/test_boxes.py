"""Boxes: the fast suppression against a plain loop, and the arithmetic by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serfiq_core.detection.boxes import BLOCK, areas, overlaps, shift, squares, suppress


def boxes(*rows):
    return np.array(rows, dtype=np.float32).reshape(-1, 4)


def overlap_of_two(a, b, measure):
    width = max(min(a[2], b[2]) - max(a[0], b[0]), 0)
    height = max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    shared = width * height
    one, other = (a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1])
    return shared / (min(one, other) if measure == "smaller" else one + other - shared)


def suppress_by_loop(rows, scores, maximum, measure):
    kept = []
    for index in sorted(range(len(rows)), key=lambda i: (-scores[i], i)):
        if all(overlap_of_two(rows[index], rows[k], measure) <= maximum for k in kept):
            kept.append(index)
    return kept


@st.composite
def scored_boxes(draw):
    # Whole numbers: float32 and Python's floats then agree to the bit on what exceeds a limit.
    side = st.integers(1, 12)
    corner = st.integers(0, 20)
    rows = draw(st.lists(st.tuples(corner, corner, side, side), max_size=20))
    scores = draw(st.lists(st.integers(0, 8), min_size=len(rows), max_size=len(rows)))
    return boxes(*((x, y, x + w, y + h) for x, y, w, h in rows)), np.array(scores, np.float32) / 8


@settings(max_examples=200, deadline=None)
@given(scored_boxes(), st.sampled_from([0.25, 0.5, 0.75]), st.sampled_from(["union", "smaller"]))
def test_suppression_agrees_with_the_loop(scored, maximum, measure):
    rows, scores = scored
    kept = suppress(rows, scores, maximum, measure)
    assert kept.tolist() == suppress_by_loop(rows.tolist(), scores.tolist(), maximum, measure)


def test_more_boxes_than_are_compared_at_once():
    rng = np.random.default_rng(0)
    corners = rng.integers(0, 400, (3 * BLOCK, 2))
    rows = np.hstack((corners, corners + rng.integers(8, 40, (3 * BLOCK, 2)))).astype(np.float32)
    scores = rng.permutation(3 * BLOCK).astype(np.float32)
    kept = suppress(rows, scores, 0.3, "union").tolist()
    assert BLOCK < len(kept) < 2 * BLOCK
    assert kept == suppress_by_loop(rows.tolist(), scores.tolist(), 0.3, "union")


def test_overlap_by_hand():
    some = boxes((0, 0, 4, 4), (2, 2, 6, 6))
    of_union = overlaps(some, boxes((0, 0, 4, 2), (4, 0, 8, 4), (2, 2, 6, 6)), "union")
    np.testing.assert_allclose(of_union, [(8 / 16, 0, 4 / 28), (0, 4 / 28, 1)])
    of_smaller = overlaps(some, boxes((1, 1, 2, 2), (2, 2, 6, 6)), "smaller")
    np.testing.assert_allclose(of_smaller, [(1, 4 / 16), (0, 1)])


@pytest.mark.parametrize("measure", ["union", "smaller"])
def test_boxes_without_area_overlap_nothing(measure):
    empty = boxes((3, 3, 3, 3), (5, 5, 2, 2))
    np.testing.assert_array_equal(areas(empty), [0, 0])
    np.testing.assert_array_equal(overlaps(empty, empty, measure), np.zeros((2, 2)))


def test_offsets_are_shares_of_the_sides():
    moved = shift(boxes((10, 20, 30, 60)), np.array([[0.1, -0.1, 0.5, 0]], np.float32))
    np.testing.assert_allclose(moved, [(12, 16, 40, 60)])


def test_squares_keep_the_centre_and_the_longer_side():
    np.testing.assert_allclose(squares(boxes((10, 20, 30, 60))), [(0, 20, 40, 60)])
    assert squares(boxes()).shape == (0, 4)
