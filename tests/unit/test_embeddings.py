"""Embeddings from Parquet, and every way in which a file can be of no use."""

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from serfiq_core.errors import TrainingError
from serfiq_core.training.embeddings import read_embeddings

PATHS, SUBJECTS = ["a/1.jpg", "a/2.jpg", "李/1.jpg"], ["a", "a", "李"]
ROWS = [[1.0, 0.0], [0.5, 0.25], [-1.0, 2.0]]


def write_parquet(path, paths=PATHS, subjects=SUBJECTS, rows=ROWS, kind=None):
    embedding = pyarrow.array([None if row is None else list(row) for row in rows], kind)
    columns = {"path": paths, "subject": subjects, "embedding": embedding, "more": paths}
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    return path


@pytest.mark.parametrize(
    "kind",
    [
        pyarrow.list_(pyarrow.float32()),
        pyarrow.list_(pyarrow.float64()),
        pyarrow.list_(pyarrow.float16(), 2),
        pyarrow.large_list(pyarrow.float32()),
    ],
)
def test_lists_of_floats_are_read(tmp_path, kind):
    rows = [np.array(row, np.float16) for row in ROWS] if "half" in str(kind) else ROWS
    table = read_embeddings(write_parquet(tmp_path / "e", rows=rows, kind=kind), with_subjects=True)
    assert (table.paths, table.subjects) == (tuple(PATHS), tuple(SUBJECTS))
    assert table.embeddings.dtype == np.float32
    assert table.embeddings.tolist() == ROWS


def test_names_may_be_a_dictionary_as_data_frames_have_them(tmp_path):
    subjects = pyarrow.array(SUBJECTS).dictionary_encode()
    path = write_parquet(tmp_path / "e", subjects=subjects)
    assert read_embeddings(path, with_subjects=True).subjects == tuple(SUBJECTS)


def test_subjects_are_not_needed_for_scoring(tmp_path):
    path = tmp_path / "e"
    pyarrow.parquet.write_table(pyarrow.table({"path": PATHS, "embedding": ROWS}), path)
    assert read_embeddings(path, with_subjects=False).subjects == ()
    with pytest.raises(TrainingError, match="has no column subject; there are path, embedding"):
        read_embeddings(path, with_subjects=True)


def replaced(values, row, value):
    return [value if place == row else kept for place, kept in enumerate(values)]


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"rows": replaced(ROWS, 1, [1.0, float("nan")])}, "row 2: the embedding holds what is no"),
        ({"rows": replaced(ROWS, 2, [1.0, float("inf")])}, "row 3: the embedding holds what is no"),
        ({"rows": replaced(ROWS, 1, [1.0, None])}, "row 2: the embedding holds what is no number"),
        ({"rows": replaced(ROWS, 1, [1.0])}, "row 2: the embedding has 1 values, and that of row"),
        ({"rows": replaced(ROWS, 2, None)}, "row 3: the embedding has 0 values"),
        ({"rows": [[], [], []], "kind": pyarrow.list_(pyarrow.float32())}, "row 1: .* 0 values"),
        ({"rows": replaced(ROWS, 0, [0.0, 0.0])}, "row 1: the embedding is zero"),
        ({"rows": [[1], [2], [3]]}, "embedding must be a list of floats, not list<"),
        ({"paths": replaced(PATHS, 2, "a/1.jpg")}, "row 3: a/1.jpg is in row 1 already"),
        ({"paths": replaced(PATHS, 0, None)}, "row 1: path is empty"),
        ({"paths": [1, 2, 3]}, "path must be text, not int64"),
        ({"subjects": replaced(SUBJECTS, 1, " ")}, "row 2: subject is empty"),
        ({"paths": [], "subjects": [], "rows": []}, "path must be text|holds no embedding"),
    ],
)
def test_what_is_wrong_is_named_with_its_row(tmp_path, wrong, complaint):
    path = write_parquet(tmp_path / "e", **wrong)
    with pytest.raises(TrainingError, match=complaint):
        read_embeddings(path, with_subjects=True)


def test_embeddings_that_are_no_lists_are_refused(tmp_path):
    path = tmp_path / "e"
    table = pyarrow.table({"path": PATHS, "subject": SUBJECTS, "embedding": [1.0, 2.0, 3.0]})
    pyarrow.parquet.write_table(table, path)
    with pytest.raises(TrainingError, match="must be a list of floats, not double"):
        read_embeddings(path, with_subjects=True)


@pytest.mark.parametrize("content", [None, b"", b"path,subject,embedding"])
def test_what_is_no_parquet_is_refused(tmp_path, content):
    path = tmp_path / "e"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TrainingError, match="cannot be read as Parquet"):
        read_embeddings(path, with_subjects=True)


def test_a_parquet_that_ends_early_is_refused(tmp_path):
    path = write_parquet(tmp_path / "e")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(TrainingError, match="cannot be read as Parquet"):
        read_embeddings(path, with_subjects=True)
