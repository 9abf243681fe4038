"""Subjects fall to one side by their names alone, and never to both."""

from pathlib import Path

from serfiq_core.evaluation.subject_split import TEST_SHARE, is_test_subject, split_by_subject
from serfiq_core.evaluation.subjects import Photograph, read_photographs

NAMES = [f"subject {number}" for number in range(4_000)]


def test_the_share_is_kept_and_both_sides_are_whole() -> None:
    tested = [name for name in NAMES if is_test_subject(name)]
    assert abs(len(tested) / len(NAMES) - TEST_SHARE) < 0.03

    photographs = [Photograph(Path(n), f"{n}/{i}", n) for n in NAMES[:100] for i in range(2)]
    train, test = split_by_subject(photographs)
    assert not {p.subject for p in train} & {p.subject for p in test}
    assert sorted(train + test, key=lambda p: p.name) == sorted(photographs, key=lambda p: p.name)
    assert [p.name for p in train] == [p.name for p in photographs if p in train]


def test_names_that_are_no_text_fall_to_a_side_too() -> None:
    names = {is_test_subject(f"M\udcfcller {number}") for number in range(40)}
    assert names == {True, False}


def test_the_split_of_lfw_is_the_documented_one(shared_data: Path) -> None:
    lfw = shared_data / "lfw"
    _, test = split_by_subject(read_photographs(lfw / "manifest.csv", lfw / "images"))
    assert len(test) == 2_525
    assert len({photograph.subject for photograph in test}) == 1_198
