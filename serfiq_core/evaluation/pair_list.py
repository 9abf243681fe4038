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

    def covered(self) -> list[int]:
        """The places of the photographs that are in some pair, rising."""
        both = (self.mated.first, self.mated.second, self.non_mated.first, self.non_mated.second)
        return [int(place) for place in np.unique(np.concatenate(both))]

    def among(self, places: Sequence[int], count: int) -> "PairList":
        """The pairs of which both photographs are among these of `count`, by their places there."""
        new = np.full(count, -1, np.int32)
        new[places] = np.arange(len(places))

        def renumber(old: Pairs) -> Pairs:
            first, second = new[old.first], new[old.second]
            both = (first >= 0) & (second >= 0)
            return Pairs(first[both], second[both])

        return PairList(renumber(self.mated), renumber(self.non_mated))

    def check(self, source: Path) -> None:
        """Refuse a list that has only one of the two kinds.

        Raises:
            EvaluationError: `source` has no mated, or no non-mated pair.
        """
        for name, pairs in (("mated", self.mated), ("non-mated", self.non_mated)):
            if not len(pairs):
                raise EvaluationError(f"{source} has no {name} pair of the photographs compared")


def read_pairs(path: Path, photographs: Sequence[Photograph]) -> PairList:
    """The pairs of a list.

    Raises:
        EvaluationError: what is wrong, and in which line: a photograph that is not among those
            evaluated, a pair named twice or of one photograph, `mated` that is neither 1 nor 0 or
            contradicts the subjects.
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
    return PairList(_pairs(found[True]), _pairs(found[False]))


def _pairs(rows: Sequence[tuple[int, int]]) -> Pairs:
    first, second = np.array(rows, np.int32).reshape(-1, 2).T
    return Pairs(first, second)
