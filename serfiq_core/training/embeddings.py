"""Embeddings that a recogniser gave, from Parquet: columns `path`, `subject` and `embedding`.

Embeddings are biometric data. This file reads them and writes none; it needs pyarrow, of the extra
`evaluate`, and knows no network.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow
import pyarrow.parquet

from serfiq_core.errors import TrainingError


@dataclass(frozen=True, slots=True)
class EmbeddingTable:
    """`N` photographs. `subjects` is empty where they were not asked for.

    `embeddings`: `N × E` float32, as given; none is zero.
    """

    paths: tuple[str, ...]
    subjects: tuple[str, ...]
    embeddings: npt.NDArray[np.float32]


def read_embeddings(path: Path, *, with_subjects: bool) -> EmbeddingTable:
    """Read and check a file.

    Args:
        path: Parquet; other columns are passed over.
        with_subjects: whether the column `subject` is needed.

    Raises:
        TrainingError: what is wrong, and in which row, counted from 1: no Parquet, a column that
            is missing or of another type, a value left out, a path named twice, embeddings of
            differing lengths, of nothing, or of no numbers.
    """
    names = ["path", "subject", "embedding"] if with_subjects else ["path", "embedding"]
    try:
        schema = pyarrow.parquet.read_schema(path)
        for name in names:
            if name not in schema.names:
                raise TrainingError(f"{path} has no column {name}; {_list(schema.names)}")
        table = pyarrow.parquet.read_table(path, columns=names)
    except (OSError, pyarrow.ArrowException) as error:
        raise TrainingError(f"{path} cannot be read as Parquet: {error}") from error
    if not table.num_rows:
        raise TrainingError(f"{path} holds no embedding")
    paths = _texts(path, table, "path")
    seen: dict[str, int] = {}
    for row, name in enumerate(paths, 1):
        if name in seen:
            raise TrainingError(f"{path}, row {row}: {name} is in row {seen[name]} already")
        seen[name] = row
    subjects = _texts(path, table, "subject") if with_subjects else ()
    return EmbeddingTable(paths, subjects, _embeddings(path, table.column("embedding")))


def _list(names: list[str]) -> str:
    return f"there are {', '.join(names)}" if names else "there is none"


def _texts(path: Path, table: pyarrow.Table, name: str) -> tuple[str, ...]:
    column = table.column(name)
    kind = column.type.value_type if pyarrow.types.is_dictionary(column.type) else column.type
    if not (pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind)):
        raise TrainingError(f"{path}: {name} must be text, not {column.type}")
    try:
        texts = column.to_pylist()
    except UnicodeDecodeError as error:
        raise TrainingError(f"{path}: {name} is not UTF-8") from error
    for row, text in enumerate(texts, 1):
        if not (text or "").strip():
            raise TrainingError(f"{path}, row {row}: {name} is empty")
    return tuple(texts)


def _embeddings(path: Path, column: pyarrow.ChunkedArray) -> npt.NDArray[np.float32]:
    kind = column.type
    is_list = (
        pyarrow.types.is_list(kind)
        or pyarrow.types.is_large_list(kind)
        or pyarrow.types.is_fixed_size_list(kind)
    )
    if not is_list or not pyarrow.types.is_floating(kind.value_type):
        raise TrainingError(f"{path}: embedding must be a list of floats, not {kind}")
    rows = [
        np.array(() if row is None else row, np.float32)  # None within becomes not-a-number
        for row in column.to_pylist()
    ]
    size = len(rows[0])
    for number, row in enumerate(rows, 1):
        if len(row) != size or not size:
            of_first = f", and that of row 1 {size}" if size else ""
            raise TrainingError(
                f"{path}, row {number}: the embedding has {len(row)} values{of_first}"
            )
        if not np.isfinite(row).all():
            raise TrainingError(f"{path}, row {number}: the embedding holds what is no number")
        if not row.any():
            raise TrainingError(f"{path}, row {number}: the embedding is zero")
    return np.stack(rows)
