"""A list of the pairs to compare: CSV in UTF-8, `reference,probe,mated`.

This file opens no photograph; it knows paths and subjects.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from serfiq_core.errors import EvaluationError
from serfiq_core.evaluation.error_rates import Pairs
from serfiq_core.evaluation.subjects import Photograph, read_rows

MATED = {"1": True, "0": False, "true": True, "false": False}


@dataclass(frozen=True, slots=True)
class PairList:
    """Pairs of photographs, by their places among all."""

    mated: Pairs
    non_mated: Pairs


def read_pairs(path: Path, photographs: Sequence[Photograph]) -> PairList:
    """The pairs of a list.

    Raises:
        EvaluationError: what is wrong, and in which line: a photograph that is not among those
            evaluated, a pair named twice or of one photograph, `mated` that is neither 1 nor 0 or
            contradicts the subjects; or there is no mated or no non-mated pair.
    """
    places = {photograph.name: place for place, photograph in enumerate(photographs)}
    found: dict[bool, list[tuple[int, int]]] = {True: [], False: []}
    seen: dict[tuple[int, int], int] = {}
    for line, row in read_rows(path, ("reference", "probe", "mated")):
        where = f"{path}, line {line}"
        for name in (row["reference"], row["probe"]):
            if name not in places:
                raise EvaluationError(f"{where}: {name} is not among the photographs evaluated")
        first, second = sorted((places[row["reference"]], places[row["probe"]]))
        if first == second:
            raise EvaluationError(f"{where}: a photograph is compared with itself")
        if (first, second) in seen:
            raise EvaluationError(f"{where}: this pair is in line {seen[first, second]} already")
        seen[first, second] = line
        mated = MATED.get(row["mated"].strip().lower())
        if mated is None:
            raise EvaluationError(f"{where}: mated is 1 or 0, not {row['mated']!r}")
        if mated != (photographs[first].subject == photographs[second].subject):
            raise EvaluationError(
                f"{where}: mated is {row['mated']}, and the subjects say otherwise"
            )
        found[mated].append((first, second))
    for mated, rows in found.items():
        if not rows:
            raise EvaluationError(f"{path} has no {'mated' if mated else 'non-mated'} pair")
    return PairList(_pairs(found[True]), _pairs(found[False]))


def _pairs(rows: Sequence[tuple[int, int]]) -> Pairs:
    first, second = np.array(rows, np.int32).T
    return Pairs(first, second)
