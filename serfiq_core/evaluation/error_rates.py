"""False matches and false non-matches, as ISO/IEC 19795-1 counts them.

Two faces match when their similarity is **at or above** the comparison threshold. So the false
match rate (FMR) is the share of non-mated pairs at or above it, and the false non-match rate (FNMR)
the share of mated pairs below it. Both are counts over pairs: nothing is interpolated.

This file is numpy only: it knows embeddings and labels, no images, no scores of quality, no files.
Shape letters: `N` photographs, `E` embedding size, `P` pairs.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import floor

import numpy as np
import numpy.typing as npt

from serfiq_core.errors import EvaluationError

Embeddings = npt.NDArray[np.float32]
"""`N × E`, unit norm."""
Labels = npt.NDArray[np.int64]
"""`N`: the number of each photograph's subject."""
Similarities = npt.NDArray[np.float32]
"""`P`: cosine similarities."""
Indices = npt.NDArray[np.int32]
Counts = npt.NDArray[np.int64]
"""How many there are of something, or how often each of them counts."""

BLOCK_PAIRS = 4 * 1024 * 1024
"""Similarities computed at once: 16 MB, and some tens with the masks and indices made of them."""

HISTOGRAM_BINS = 2000
"""Over the similarities from −1 to 1: a thousandth each, finer than any plot shows."""
HISTOGRAM_EDGES = np.linspace(-1, 1, HISTOGRAM_BINS + 1)


@dataclass(frozen=True, slots=True)
class Pairs:
    """`P` pairs of photographs by their numbers; which of the two comes first means nothing."""

    first: Indices
    second: Indices

    def __len__(self) -> int:
        return len(self.first)


@dataclass(frozen=True, slots=True)
class NonMated:
    """The non-mated pairs, without keeping them all.

    `count`: of all pairs. `highest`: similarities of the most similar ones, falling, and `pairs`
    which these are; how many is what the largest FMR of interest needs. `histogram`: counts of all
    similarities between `HISTOGRAM_EDGES`.
    """

    count: int
    highest: Similarities
    pairs: Pairs
    histogram: npt.NDArray[np.int64]


def mated_pairs(subjects: Labels) -> Pairs:
    """All pairs of two photographs of one subject, ordered by subject."""
    order = np.argsort(subjects, kind="stable").astype(np.int32)
    _, starts = np.unique(subjects[order], return_index=True)
    groups = np.split(order, starts[1:])
    corners = [np.triu_indices(len(group), 1) for group in groups]
    empty = np.zeros(0, np.int32)
    return Pairs(
        np.concatenate([empty, *(g[a] for g, (a, _) in zip(groups, corners, strict=True))]),
        np.concatenate([empty, *(g[b] for g, (_, b) in zip(groups, corners, strict=True))]),
    )


def non_mated_count(sizes: npt.NDArray[np.int64]) -> int:
    """Non-mated pairs of subjects with so many photographs each."""
    return int(sizes.sum() ** 2 - (sizes**2).sum()) // 2


def similarities(embeddings: Embeddings, pairs: Pairs) -> Similarities:
    """Cosine similarity of each pair: `P`, float32."""
    rows = max(1, BLOCK_PAIRS // embeddings.shape[1])
    parts = [
        np.einsum(
            "pe,pe->p",
            embeddings[pairs.first[start : start + rows]],
            embeddings[pairs.second[start : start + rows]],
        )
        for start in range(0, len(pairs), rows)
    ]
    return np.concatenate([np.zeros(0, np.float32), *parts])


def all_non_mated(embeddings: Embeddings, subjects: Labels, largest_fmr: float) -> NonMated:
    """Compare every two photographs of different subjects, a block of rows at a time.

    Memory: the `largest_fmr` of the pairs at 12 bytes, up to three times, and a few blocks.

    Args:
        embeddings: `N × E`, unit norm.
        subjects: `N`.
        largest_fmr: up to which `comparison_threshold` will be asked for.
    """
    sizes = np.unique(subjects, return_counts=True)[1]
    return _collect(_blocks(embeddings, subjects), non_mated_count(sizes), largest_fmr)


def some_non_mated(embeddings: Embeddings, pairs: Pairs, largest_fmr: float) -> NonMated:
    """Compare the non-mated pairs of a list. Arguments as for `all_non_mated`."""
    block = (similarities(embeddings, pairs), pairs)
    return _collect([block], len(pairs), largest_fmr)


def check_sample(there_are: int, wanted: int) -> None:
    """Refuse a sample of so many of the non-mated pairs.

    Raises:
        EvaluationError: there are not twice as many to draw from; take them all instead.
    """
    if there_are < 2 * wanted:
        raise EvaluationError(
            f"a sample of {wanted:,} non-mated pairs was asked for, and there are {there_are:,}: "
            "take all of them"
        )


def sample_non_mated(subjects: Labels, wanted: int, seed: int) -> Pairs:
    """`wanted` different non-mated pairs, each as likely as any other.

    Raises:
        EvaluationError: as for `check_sample`.
    """
    count = len(subjects)
    check_sample(non_mated_count(np.unique(subjects, return_counts=True)[1]), wanted)
    rng = np.random.default_rng(seed)
    drawn = np.zeros(0, np.int64)
    while len(drawn) < wanted:
        # As one number each, first · N + second, so that repetitions can be told.
        two = np.sort(rng.integers(count, size=(wanted, 2)), axis=1)
        two = two[subjects[two[:, 0]] != subjects[two[:, 1]]]
        drawn = np.unique(np.concatenate([drawn, two[:, 0] * count + two[:, 1]]))
    chosen = rng.permutation(drawn)[:wanted]
    return Pairs((chosen // count).astype(np.int32), (chosen % count).astype(np.int32))


def fewest_pairs(fmr: float) -> int:
    """How many non-mated pairs it takes to tell an FMR from zero: `1/FMR`."""
    return -(-1 // Fraction(str(fmr)))


def check_fmr(non_mated_pairs: int, fmr: float) -> None:
    """Refuse an FMR that so many pairs cannot tell.

    Raises:
        EvaluationError: `fmr` lies outside (0, 1), or there are fewer non-mated pairs than `1/fmr`.
    """
    if not 0 < fmr < 1:
        raise EvaluationError(f"an FMR lies between 0 and 1, not at {fmr:g}")
    if non_mated_pairs < fewest_pairs(fmr):
        raise EvaluationError(
            f"an FMR of {fmr:g} needs at least {fewest_pairs(fmr):,} non-mated pairs, "
            f"and there are {non_mated_pairs:,}"
        )


def comparison_threshold(non_mated: NonMated, fmr: float) -> float:
    """The lowest threshold at which no more than `fmr` of the non-mated pairs match.

    It is the next float32 above the most similar pair that must not match. Of pairs that tie there
    none matches, so that the FMR reached may be smaller than asked for, and is never larger.

    Raises:
        EvaluationError: as for `check_fmr`.
    """
    check_fmr(non_mated.count, fmr)
    allowed = false_matches_allowed(non_mated.count, fmr)
    if allowed >= len(non_mated.highest):
        raise EvaluationError(f"the non-mated pairs were not collected up to an FMR of {fmr:g}")
    return float(np.nextafter(non_mated.highest[allowed], np.float32(np.inf)))


def false_matches_allowed(count: int, fmr: float) -> int:
    """`⌊fmr · count⌋`, of the decimal number that `fmr` was written as."""
    return floor(Fraction(str(fmr)) * count)


def fmr_at(non_mated: NonMated, comparison_threshold: float) -> float:
    """Share of the non-mated pairs that match.

    Raises:
        EvaluationError: more match than were kept.
    """
    matches = int((non_mated.highest >= comparison_threshold).sum())
    if matches == len(non_mated.highest) < non_mated.count:
        raise EvaluationError("more non-mated pairs match than were collected")
    return matches / non_mated.count


def fnmr_at(mated: Similarities, comparison_threshold: float) -> float:
    """Share of the mated pairs, `P` similarities, that do not match.

    Raises:
        EvaluationError: there are none.
    """
    if not len(mated):
        raise EvaluationError("there is no mated pair to compute an FNMR of")
    return float((mated < comparison_threshold).mean())


Block = tuple[Similarities, Pairs]


def _blocks(embeddings: Embeddings, subjects: Labels) -> Iterator[Block]:
    """Every non-mated pair once: rows against all that come after them."""
    count = len(subjects)
    rows = max(1, BLOCK_PAIRS // max(1, count))
    for start in range(0, count, rows):
        stop = min(start + rows, count)
        products = embeddings[start:stop] @ embeddings[start:].T
        other = subjects[start:stop, None] != subjects[None, start:]
        other &= np.arange(stop - start)[:, None] < np.arange(count - start)[None]
        first, second = (place.astype(np.int32) + start for place in np.nonzero(other))
        yield products[other], Pairs(first, second)


def _collect(blocks: Iterable[Block], count: int, largest_fmr: float) -> NonMated:
    # The pair after the last that may match sets the threshold.
    wanted = min(count, false_matches_allowed(count, largest_fmr) + 1)
    histogram = np.zeros(HISTOGRAM_BINS, np.int64)
    kept: list[Block] = []
    floor_similarity = -np.inf
    for values, pairs in blocks:
        histogram += histogram_of(values)
        high = values >= floor_similarity
        kept.append((values[high], Pairs(pairs.first[high], pairs.second[high])))
        if sum(len(each) for each, _ in kept) > 2 * wanted + BLOCK_PAIRS:
            kept = [_most_similar(kept, wanted)]
            floor_similarity = float(kept[0][0].min())
    highest, pairs = _most_similar(kept, wanted)
    order = np.argsort(-highest, kind="stable")
    ordered = Pairs(pairs.first[order], pairs.second[order])
    return NonMated(count, highest[order], ordered, histogram)


def _most_similar(blocks: Sequence[Block], wanted: int) -> Block:
    empty: Block = (np.zeros(0, np.float32), Pairs(np.zeros(0, np.int32), np.zeros(0, np.int32)))
    joined = [empty, *blocks]
    values = np.concatenate([value for value, _ in joined])
    first = np.concatenate([pairs.first for _, pairs in joined])
    second = np.concatenate([pairs.second for _, pairs in joined])
    if len(values) > wanted:
        best = np.argpartition(values, len(values) - wanted)[len(values) - wanted :]
        values, first, second = values[best], first[best], second[best]
    return values, Pairs(first, second)


def histogram_of(values: Similarities) -> npt.NDArray[np.int64]:
    """Counts between `HISTOGRAM_EDGES`; rounding may carry a similarity just past −1 or 1."""
    bins = ((values + np.float32(1)) * np.float32(HISTOGRAM_BINS / 2)).astype(np.int32)
    return np.bincount(bins.clip(0, HISTOGRAM_BINS - 1), minlength=HISTOGRAM_BINS)
