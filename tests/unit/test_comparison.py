"""Ranking, the best, and what has a part in the fused embedding: fails closed."""

import numpy as np
import pytest

from serfiq_core.one_subject.comparison import Comparison, compare
from serfiq_core.types import Assessment, Decision, Estimator, FaceScores, Score, Verdict

NAN = float("nan")
ALICE = np.array([1, 0, 0, 0], np.float32)
ALICE_AGAIN = np.array([0.8, 0.6, 0, 0], np.float32)
BOB = np.array([0, 0, 1, 0], np.float32)
LIMIT = 0.5
NOTHING = Score(NAN, NAN, None)


def capture(
    verdict: Verdict = "accept",
    quality: float | None = 50.0,
    *,
    embedding: "np.ndarray[tuple[int, ...], np.dtype[np.float32]]" = ALICE,
    distance: float = 0.5,
    raw: float = 0.7,
    estimator: Estimator = "sampled",
    limit: Score = NOTHING,
) -> Assessment:
    scores = FaceScores(Score(raw, distance, 0.001), limit, embedding, None)
    decision = Decision(verdict, (), "enrolment", "1")
    return Assessment(1, None, scores, estimator, quality, decision)


def faceless() -> Assessment:
    return Assessment(0, None, None, "sampled", None, Decision("reject", (), "enrolment", "1"))


def flags(found: Comparison) -> list[bool | None]:
    return [each.consistent for each in found.agreements]


class TestRanking:
    def test_verdict_then_quality_then_raw_score_then_order(self) -> None:
        captures = [
            capture("reject", 99),
            capture("review", 98),
            capture("accept", 20),
            capture("accept", 30, raw=0.6),
            capture("accept", 30, raw=0.8),
            capture("accept", 30, raw=0.8),
        ]
        assert compare(captures, LIMIT).ranking == (4, 5, 3, 2, 1, 0)

    def test_what_has_no_number_comes_last_of_its_verdict(self) -> None:
        captures = [faceless(), capture("reject", None), capture("reject", 1), capture("review")]
        assert compare(captures, LIMIT).ranking == (3, 2, 1, 0)

    def test_what_was_not_assessed_is_not_in_it(self) -> None:
        assert compare([None, capture(), None], LIMIT).ranking == (1,)

    def test_a_score_that_is_no_number_is_worst(self) -> None:
        assert compare([capture(raw=NAN), capture(raw=0.1)], LIMIT).ranking == (1, 0)


class TestBest:
    def test_it_is_the_first_that_is_not_rejected(self) -> None:
        found = compare([capture("review", 10), capture("accept", 30), capture("reject")], LIMIT)
        assert (found.best, found.no_best, found.one_subject) == (1, None, True)

    def test_a_reviewed_one_is_the_best_where_none_is_accepted(self) -> None:
        assert compare([capture("reject"), capture("review")], LIMIT).best == 1

    def test_there_is_none_where_all_are_rejected(self) -> None:
        found = compare([capture("reject"), None, faceless()], LIMIT)
        assert (found.best, found.no_best) == (None, "all_rejected")
        assert found.fused_embedding is None

    @pytest.mark.parametrize("count", [0, 1, 3])
    def test_there_is_none_where_none_was_assessed(self, count: int) -> None:
        found = compare([None] * count, LIMIT)
        assert (found.best, found.no_best, found.ranking) == (None, "none_assessed", ())
        assert len(found.agreements) == count
        assert found.one_subject is None

    def test_one_that_shows_somebody_else_is_not_it(self) -> None:
        found = compare([capture(quality=99, embedding=BOB), capture(), capture()], LIMIT)
        assert found.ranking[0] == 0
        assert found.best == 1
        assert flags(found) == [False, True, True]
        assert found.one_subject is False

    def test_there_is_none_where_two_disagree(self) -> None:
        found = compare([capture(), capture(embedding=BOB)], LIMIT)
        assert (found.best, found.no_best) == (None, "several_people")
        assert flags(found) == [False, False]
        assert found.fused_embedding is None

    def test_there_is_none_where_only_an_intruder_is_not_rejected(self) -> None:
        rejected = [capture("reject"), capture("reject")]
        found = compare([*rejected, capture(embedding=BOB)], LIMIT)
        assert (found.best, found.no_best) == (None, "several_people")

    def test_without_a_limit_it_is_named_unchecked(self) -> None:
        found = compare([capture(), capture(embedding=BOB)], None)
        assert (found.best, found.one_subject) == (0, None)
        assert flags(found) == [None, None]
        assert found.agreements[0].cosine == pytest.approx(0)

    def test_one_alone_may_be_it(self) -> None:
        found = compare([None, capture()], LIMIT)
        assert (found.best, found.one_subject) == (1, None)
        assert found.agreements[1].cosine is None


class TestFused:
    def test_it_weighs_by_inverse_variance(self) -> None:
        found = compare(
            [capture(distance=0.5), capture(distance=1.0, embedding=ALICE_AGAIN)], LIMIT
        )
        assert [each.weight for each in found.agreements] == pytest.approx([0.8, 0.2])
        mean = 0.8 * ALICE + 0.2 * ALICE_AGAIN
        assert found.fused_embedding == pytest.approx(mean / np.linalg.norm(mean))
        assert found.fused_embedding is not None
        assert found.fused_embedding.dtype == np.float32

    def test_the_rejected_and_the_inconsistent_have_no_part_in_it(self) -> None:
        captures = [
            capture("reject", embedding=ALICE_AGAIN),
            capture(),
            None,
            capture(embedding=BOB),
            capture(),
        ]
        found = compare(captures, LIMIT)
        assert [each.weight for each in found.agreements] == pytest.approx([0, 0.5, 0, 0, 0.5])
        assert found.fused_embedding == pytest.approx(ALICE)

    def test_the_estimator_that_decides_gives_the_weights(self) -> None:
        limits = [Score(0.7, distance, None) for distance in (0.5, 1.0)]
        found = compare([capture(estimator="closed_form", limit=each) for each in limits], LIMIT)
        assert [each.weight for each in found.agreements] == pytest.approx([0.8, 0.2])


@pytest.mark.parametrize(
    "broken",
    [
        capture("reject", None, embedding=np.full(4, NAN, np.float32)),
        capture("reject", None, embedding=np.zeros(4, np.float32)),
        capture("reject", None, embedding=np.array([np.inf, 0, 0, 0], np.float32)),
        capture("reject", None, distance=NAN),
        capture("reject", None, estimator="closed_form"),
        # Nothing of the kind comes from the pipeline; were it to, it must not spread.
        capture("accept", 50, embedding=np.full(4, NAN, np.float32)),
    ],
)
def test_what_is_no_number_does_not_spread(broken: Assessment) -> None:
    alone = compare([capture(), capture(embedding=ALICE_AGAIN)], LIMIT)
    found = compare([capture(), broken, capture(embedding=ALICE_AGAIN)], LIMIT)
    assert found.agreements[1].cosine is None
    assert found.agreements[1].consistent is None
    assert found.agreements[1].weight == 0
    assert (found.agreements[0], found.agreements[2]) == alone.agreements
    assert found.fused_embedding == pytest.approx(alone.fused_embedding)
    assert found.one_subject is True
    assert compare([broken], LIMIT).best is None
