"""All that the recogniser was asked: which pairs were compared, and how similar they are.

This file is numpy only: it knows embeddings and labels, no scores of quality and no files.
Shape letters: `N` photographs, `E` embedding size.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from serfiq_core.evaluation.error_rates import (
    Embeddings,
    Labels,
    NonMated,
    Pairs,
    Similarities,
    all_non_mated,
    mated_pairs,
    similarities,
    some_non_mated,
)


@dataclass(frozen=True, slots=True)
class Comparisons:
    """Everything the recogniser was asked.

    `cohorts`: `N` names, empty where there is none. `listed`: all non-mated pairs when these are
    a list or a sample; None when they are all there are. `left_out`: as `cohorts`, of photographs
    that show no face or have no score.
    """

    subjects: Labels
    cohorts: Sequence[str]
    mated: Pairs
    mated_similarities: Similarities
    non_mated: NonMated
    listed: Pairs | None = None
    left_out: Sequence[str] = ()


def compare(
    embeddings: Embeddings,
    subjects: Labels,
    largest_fmr: float,
    *,
    mated: Pairs | None = None,
    non_mated: Pairs | None = None,
    cohorts: Sequence[str] | None = None,
    left_out: Sequence[str] = (),
) -> Comparisons:
    """Compare photographs with each other.

    Args:
        embeddings: `N × E`, unit norm.
        subjects: `N`.
        largest_fmr: up to which `comparison_threshold` will be asked for.
        mated: the mated pairs to compare; all when None.
        non_mated: the non-mated pairs to compare; all when None.
        cohorts: `N`, as `Comparisons` has them; none when None.
        left_out: as `Comparisons` has them.
    """
    mated = mated_pairs(subjects) if mated is None else mated
    return Comparisons(
        subjects=subjects,
        cohorts=[""] * len(subjects) if cohorts is None else cohorts,
        mated=mated,
        mated_similarities=similarities(embeddings, mated),
        non_mated=all_non_mated(embeddings, subjects, largest_fmr)
        if non_mated is None
        else some_non_mated(embeddings, non_mated, largest_fmr),
        listed=non_mated,
        left_out=left_out,
    )
