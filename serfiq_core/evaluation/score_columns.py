"""Scores that other methods gave the same photographs: CSV in UTF-8, `path,name`, higher is better.

Every column after `path` is a method. This file opens no photograph.
"""

import keyword
import math
import unicodedata
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from serfiq_core.errors import EvaluationError
from serfiq_core.evaluation.edc import Values
from serfiq_core.evaluation.subjects import Photograph, once, read_table

RESERVED = ("path", "subject", "cohort")
"""Columns of `scores.parquet` beside the methods."""

FEWEST_COVERED = 0.5
"""Share of the photographs that a column must have scores of. Photographs without one are left out
of the whole run, so that all methods meet the same pairs: with less than half it is another run."""


def read_score_columns(
    path: Path, photographs: Sequence[Photograph], taken: Collection[str]
) -> dict[str, Values]:
    """Method → `N` scores, nan for photographs that the file does not name.

    Args:
        path: the CSV file; photographs it names beyond `photographs` are passed over.
        photographs: `N`.
        taken: names of methods there are already.

    Raises:
        EvaluationError: what is wrong, and in which line: a score that is no finite number, a path
            named twice; no column besides `path`, a name that is taken or no identifier, or scores
            of another set of photographs.
    """
    header, rows = read_table(path, ("path",), whole=True)
    methods = _methods(path, header, taken)
    places = {photograph.name: place for place, photograph in enumerate(photographs)}
    columns = {name: np.full(len(photographs), np.nan) for name in methods}
    seen: dict[str, int] = {}
    for line, row in rows:
        once(path, line, row["path"], seen)
        for name in methods:
            score = _number(row[name])
            if score is None:
                raise EvaluationError(
                    f"{path}, line {line}: {name} is {row[name]!r}, not a finite number"
                )
            if row["path"] in places:
                columns[name][places[row["path"]]] = score
    covered = sum(name in seen for name in places)
    if covered < FEWEST_COVERED * len(photographs):
        missing = next(name for name in places if name not in seen)
        raise EvaluationError(
            f"{path} has scores of {covered:,} of the {len(photographs):,} photographs evaluated, "
            f"and none of {missing}: it seems to belong to another set"
        )
    return columns


def _methods(path: Path, header: Sequence[str], taken: Collection[str]) -> list[str]:
    methods = [name for name in header if name != "path"]
    if not methods:
        raise EvaluationError(f"{path} has no column of scores: its header must be path,NAME")
    for name in methods:
        if name in RESERVED:
            raise EvaluationError(f"{path}: {name} is no name of a method; rename the column")
        if name in taken:
            raise EvaluationError(f"{path}: there is a method {name} already; rename the column")
        if not _can_be_named(name):
            raise EvaluationError(f"{path}: {name!r} cannot name a method: letters, digits and _")
    return methods


def _can_be_named(name: str) -> bool:
    """Whether a gate can name it: Python normalises names, and reserves some."""
    plain = unicodedata.normalize("NFKC", name) == name
    return name.isidentifier() and plain and not keyword.iskeyword(name)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
