"""Lists of pairs and columns of scores, and every way of getting them wrong."""

import os
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from serfiq_core.errors import EvaluationError
from serfiq_core.evaluation.pair_list import read_pairs
from serfiq_core.evaluation.score_columns import read_score_columns
from serfiq_core.evaluation.subjects import Photograph

PHOTOGRAPHS = [
    Photograph(Path(name), name, subject)
    for name, subject in [("Zoë/1.jpg", "Zoë"), ("Zoë/2.jpg", "Zoë"), ("b c.jpg", "b"), ("d", "d")]
]
HEADER = "reference,probe,mated\n"
MATED = "Zoë/2.jpg,Zoë/1.jpg,1\n"
NON_MATED = "b c.jpg,Zoë/1.jpg,0\n"


def write(folder, text):
    path = folder / "list.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_list_of_pairs(tmp_path):
    found = read_pairs(
        write(tmp_path, HEADER + MATED + NON_MATED + "d,b c.jpg,false\n"), PHOTOGRAPHS
    )
    assert (found.mated.first.tolist(), found.mated.second.tolist()) == ([0], [1])
    assert (found.non_mated.first.tolist(), found.non_mated.second.tolist()) == ([0, 2], [2, 3])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (HEADER + MATED + "e.jpg,d,0\n", r"line 3: e\.jpg is not among the photographs"),
        (HEADER + MATED + NON_MATED + "Zoë/1.jpg,b c.jpg,0\n", "line 4: .* in line 3 already"),
        (HEADER + "d,d,1\n", "line 2: a photograph is compared with itself"),
        (HEADER + "d,b c.jpg,perhaps\n", "line 2: mated is 1 or 0, not 'perhaps'"),
        (HEADER + "d,b c.jpg,1\n", "line 2: mated is 1, and the subjects say otherwise"),
        (HEADER + "Zoë/1.jpg,Zoë/2.jpg,0\n", "line 2: mated is 0, and the subjects"),
        ("first,second,mated\n", "no column reference"),
        ("reference,probe,mated,mated\n", "two columns mated"),
    ],
)
def test_a_list_of_pairs_that_is_wrong_says_where(tmp_path, text, complaint):
    with pytest.raises(EvaluationError, match=complaint):
        read_pairs(write(tmp_path, text), PHOTOGRAPHS)


@pytest.mark.parametrize(("line", "missing"), [(MATED, "non-mated"), (NON_MATED, "mated")])
def test_a_list_of_one_kind_of_pairs_is_refused(tmp_path, line, missing):
    path = write(tmp_path, HEADER + line)
    with pytest.raises(EvaluationError, match=rf"list\.csv has no {missing} pair"):
        read_pairs(path, PHOTOGRAPHS).check(path)


def test_columns_of_scores(tmp_path):
    path = write(tmp_path, "\ufeffpath,one,two\nd,1,2\nelsewhere.jpg,9,9\nZoë/1.jpg,-3e-1,4\n")
    found = read_score_columns(path, PHOTOGRAPHS, ())
    np.testing.assert_array_equal(found["one"], [-0.3, np.nan, np.nan, 1])
    np.testing.assert_array_equal(found["two"], [4, np.nan, np.nan, 2])


def test_columns_of_scores_may_come_through_a_pipe(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    text = "path,one\nd,1\nZoë/1.jpg,2\n"
    writer = Thread(target=pipe.write_text, args=(text,), kwargs={"encoding": "utf-8"}, daemon=True)
    writer.start()
    found = read_score_columns(pipe, PHOTOGRAPHS, ())
    np.testing.assert_array_equal(found["one"], [2, np.nan, np.nan, 1])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("path,one\nd,nan\n", "line 2: one is 'nan', not a finite number"),
        ("path,one\nd,1\nb c.jpg,inf\n", "line 3: one is 'inf'"),
        ("path,one\nd,high\n", "line 2: one is 'high'"),
        ("path,one\nd,\n", "line 2: one is empty"),
        ("path,one\nd,1\nd,2\n", "line 3: d is in line 2 already"),
        ("path,one\nd,1\nx,2\n", r"of 1 of the 4 .* none of Zoë/1\.jpg: .* another set"),
        ("path\nd\n", "no column of scores"),
        ("", "no column path"),
        ('path,one\nd,"' + 200_000 * "1", "is not CSV in UTF-8: field larger than"),
        ('path,"one' + 200_000 * "1", "is not CSV in UTF-8: field larger than"),
        ("one,two\n1,2\n", "no column path"),
        ("path,sampled\nd,1\n", "a method sampled already"),
        ("path,one,one\nd,1,1\n", "two columns one"),
        ("path,my score\nd,1\n", "'my score' cannot name a method"),
        ("path,class\nd,1\n", "'class' cannot name a method"),
        ("path,ﬁq\nd,1\n", "'ﬁq' cannot name a method"),
        ("path,cohort\nd,1\n", "cohort is no name of a method"),
    ],
)
def test_columns_of_scores_that_are_wrong_say_where(tmp_path, text, complaint):
    with pytest.raises(EvaluationError, match=complaint):
        read_score_columns(write(tmp_path, text), PHOTOGRAPHS, {"sampled"})
