"""Several captures of one subject: in what order, which is the best, and are they of one person?

Fails closed: what is rejected, or seems to show somebody else, is never the best and has no part in
the fused embedding. This file composes assessments and `fusion.py`; it knows no images and no HTTP.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from serfiq_core.decisions.decide import SEVERITY
from serfiq_core.one_subject.fusion import consistency, fuse, fusion_weights
from serfiq_core.recognition.recogniser import tells_quality
from serfiq_core.types import Assessment

NoBest = Literal["none_assessed", "all_rejected", "several_people"]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How one capture goes with the others.

    `cosine`: to the others, fused; None when there is nothing to compare. `consistent`: whether
    that is near enough for one person; None when there is no limit either. `weight`: its share in
    the fused embedding; 0 when it has no part in it.
    """

    cosine: float | None = None
    consistent: bool | None = None
    weight: float = 0.0


@dataclass(frozen=True, slots=True)
class Comparison:
    """What several captures of one subject come to.

    `ranking`: indices of the assessed, best first. `best`: the first that is neither rejected nor
    inconsistent, or None and why in `no_best`. `one_subject`: None when it could not be checked.
    `agreements`: one for each capture. `fused_embedding`: `E` float32, unit norm; None when no
    capture may have a part in it.
    """

    ranking: tuple[int, ...]
    best: int | None
    no_best: NoBest | None
    one_subject: bool | None
    agreements: tuple[Agreement, ...]
    fused_embedding: npt.NDArray[np.float32] | None


def compare(
    assessments: Sequence[Assessment | None], same_person_cosine: float | None
) -> Comparison:
    """Rank captures of one subject, hold them against each other, and fuse them.

    Args:
        assessments: in any order; None for a capture that could not be assessed.
        same_person_cosine: the least cosine between captures of one person, which belongs to the
            recogniser; without it nothing is flagged.
    """
    assessed = {i: each for i, each in enumerate(assessments) if each is not None}
    ranking = tuple(sorted(assessed, key=lambda index: (*_rank(assessed[index]), index)))
    checked = _agreements(assessed, same_person_cosine)
    flags = [each.consistent for each in checked.values() if each.consistent is not None]
    acceptable = [
        index
        for index in ranking
        if assessed[index].decision.verdict != "reject"
        and index in checked
        and checked[index].consistent is not False
    ]
    weights, fused = _fused(assessed, sorted(acceptable))
    return Comparison(
        ranking=ranking,
        best=acceptable[0] if acceptable else None,
        no_best=None if acceptable else _why_no_best(assessed),
        one_subject=all(flags) if flags else None,
        agreements=tuple(
            Agreement(known.cosine, known.consistent, weights.get(index, 0.0))
            for index in range(len(assessments))
            for known in (checked.get(index, Agreement()),)
        ),
        fused_embedding=fused,
    )


def _rank(assessment: Assessment) -> tuple[float, float, float]:
    """Smaller is better; what has no number comes after what has one."""
    deciding = assessment.deciding_score
    quality, raw = assessment.quality_score, deciding.raw_score if deciding else None
    return SEVERITY.index(assessment.decision.verdict), _falling(quality), _falling(raw)


def _falling(value: float | None) -> float:
    return math.inf if value is None or not math.isfinite(value) else -value


def _why_no_best(assessed: Mapping[int, Assessment]) -> NoBest:
    if not assessed:
        return "none_assessed"
    rejected = all(each.decision.verdict == "reject" for each in assessed.values())
    return "all_rejected" if rejected else "several_people"


def _agreements(
    assessed: Mapping[int, Assessment], same_person_cosine: float | None
) -> dict[int, Agreement]:
    """Of those that have an embedding."""
    comparable = [index for index, each in assessed.items() if _is_comparable(each)]
    if not comparable:
        return {}
    weights = fusion_weights([_mean_distance(assessed[index]) for index in comparable])
    embeddings = np.stack([_embedding(assessed[index]) for index in comparable])
    found = consistency(embeddings, weights, same_person_cosine)
    return {
        index: Agreement(
            cosine=float(cosine) if math.isfinite(cosine) else None,
            consistent=None if found.consistent is None else bool(found.consistent[place]),
        )
        for place, (index, cosine) in enumerate(zip(comparable, found.cosines, strict=True))
    }


def _fused(
    assessed: Mapping[int, Assessment], chosen: Sequence[int]
) -> tuple[dict[int, float], npt.NDArray[np.float32] | None]:
    """The weights of the chosen captures by their index, and their embeddings fused."""
    if not chosen:
        return {}, None
    weights = fusion_weights([_mean_distance(assessed[index]) for index in chosen])
    fused = fuse(np.stack([_embedding(assessed[index]) for index in chosen]), weights)
    if fused is None:
        return {}, None
    return dict(zip(chosen, weights.tolist(), strict=True)), fused.astype(np.float32)


def _is_comparable(assessment: Assessment) -> bool:
    # What a recogniser answers with nothing, or with its bias alone, must not count as a second
    # person.
    scores = assessment.scores
    return scores is not None and tells_quality(scores, assessment.estimator)


def _mean_distance(assessment: Assessment) -> float:
    deciding = assessment.deciding_score
    return math.nan if deciding is None else deciding.mean_distance


def _embedding(assessment: Assessment) -> npt.NDArray[np.float64]:
    assert assessment.scores is not None
    return assessment.scores.embedding.astype(np.float64)
