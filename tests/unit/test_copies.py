"""The same photograph twice, within one subject and under several."""

from serfiq_core.evaluation.copies import File, copies


def test_the_first_of_a_subject_stays_and_what_is_under_several_subjects_does_not():
    files = [
        File("0", "a", "once"),
        File("1", "a", "twice"),
        File("2", "b", "several"),
        File("3", "a", "twice"),
        File("4", "b", "other"),
        File("5", "c", "several"),
        File("6", "b", "several"),
        File("7", "a", "twice"),
    ]
    assert copies(files) == {
        2: "the same photograph as 5, under another subject",
        3: "the same photograph as 1",
        5: "the same photograph as 2, under another subject",
        6: "the same photograph as 5, under another subject",
        7: "the same photograph as 1",
    }


def test_what_has_no_digest_is_compared_with_nothing():
    assert copies([File("0", "a", ""), File("1", "b", ""), File("2", "a", "")]) == {}
    assert copies([]) == {}
