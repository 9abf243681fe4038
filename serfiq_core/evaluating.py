"""Evaluating a pack on labelled photographs: from files to all figures.

`measuring.py` measures the photographs, which takes minutes and can be cached; the figures follow
from what was measured. This file writes nothing itself, and starts no process.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from serfiq_core.errors import CaptureError, EvaluationError
from serfiq_core.evaluation.comparisons import Comparisons, compare
from serfiq_core.evaluation.edc import Values
from serfiq_core.evaluation.error_rates import (
    Embeddings,
    check_fmr,
    check_sample,
    non_mated_count,
    sample_non_mated,
)
from serfiq_core.evaluation.figures import Evaluation, evaluate
from serfiq_core.evaluation.measurements import Measurement, faces_of
from serfiq_core.evaluation.pair_list import PairList
from serfiq_core.evaluation.subjects import Photograph, subject_labels
from serfiq_core.evaluation.thumbnail import Thumbnail
from serfiq_core.types import Preparer

THUMBNAILS = 24
"""How many of the worst, and of the best faces are shown."""

METHODS = (
    "sampled",
    "closed_form",
    "embedding_norm",
    "detection_score",
    "sharpness",
    "inter_eye_distance",
    "random",
)
"""What is always compared."""


@dataclass(frozen=True, slots=True)
class Result:
    """An evaluation, and what it was made from.

    `photographs`: the `N` that were compared. `methods`: their scores. `left_out`: name → why.
    """

    evaluation: Evaluation
    photographs: tuple[Photograph, ...]
    methods: Mapping[str, Values]
    left_out: Mapping[str, str]


def check_labels(
    photographs: Sequence[Photograph],
    fmrs: Sequence[float],
    *,
    pair_list: PairList | None = None,
    non_mated_sample: int | None = None,
) -> None:
    """Refuse, before they are measured, photographs that are too few whatever they show.

    Arguments as for `evaluate_measured`.

    Raises:
        EvaluationError: the sample cannot be drawn, or none of the FMRs can be told.
    """
    if pair_list is not None:
        pairs = len(pair_list.non_mated)
    else:
        pairs = non_mated_count(np.bincount(subject_labels(photographs)))
        if non_mated_sample is not None:
            check_sample(pairs, non_mated_sample)
            pairs = non_mated_sample
    # The largest needs the fewest pairs.
    check_fmr(pairs, max(fmrs))


def evaluate_measured(
    photographs: Sequence[Photograph],
    measured: Sequence[Measurement],
    fmrs: Sequence[float],
    *,
    pair_list: PairList | None = None,
    columns: Mapping[str, Values] | None = None,
    non_mated_sample: int | None = None,
    seed: int = 0,
    advance: Callable[[], None] = lambda: None,
) -> Result:
    """All figures of photographs that were measured.

    Args:
        photographs: all.
        measured: what `measure` gave for them.
        fmrs: to evaluate at.
        pair_list: the pairs to compare; all when None.
        columns: other methods' scores of `photographs`, nan where there is none. Photographs
            without one are left out for all methods.
        non_mated_sample: compare so many non-mated pairs, drawn at random; all when None.
        seed: of that draw, of the method `random` and of the bootstrap.
        advance: called when a method is done.

    Raises:
        EvaluationError: nothing can be computed from what is left.
    """
    left_out = {
        photograph.name: result
        for photograph, result in zip(photographs, measured, strict=True)
        if isinstance(result, str)
    }
    places, faces = faces_of(measured)
    scored = np.ones(len(places), bool)
    for name, column in (columns or {}).items():
        missing = np.isnan(column[places])
        left_out |= {photographs[place].name: f"no {name} score" for place in places[missing]}
        scored &= ~missing
    places, faces = places[scored], [faces[row] for row in np.flatnonzero(scored)]
    if not faces:
        name, why = next(iter(left_out.items()))
        raise EvaluationError(f"no photograph is left to compare; the first, {name}: {why}")
    kept = tuple(photographs[place] for place in places)
    embeddings = np.stack([face.embedding for face in faces])
    listed = None if pair_list is None else pair_list.among(places.tolist(), len(photographs))
    without = [each.cohort or "" for each in photographs if each.name in left_out]
    comparisons = _compare(kept, without, embeddings, max(fmrs), listed, non_mated_sample, seed)
    methods = {name: np.array([face.scores[name] for face in faces]) for name in faces[0].scores}
    methods["random"] = np.random.default_rng(seed).random(len(kept))
    methods |= {name: column[places] for name, column in (columns or {}).items()}
    evaluation = evaluate(comparisons, methods, fmrs, seed=seed, advance=advance)
    return Result(evaluation, kept, methods, left_out)


def _compare(
    photographs: Sequence[Photograph],
    left_out: Sequence[str],
    embeddings: Embeddings,
    largest_fmr: float,
    listed: PairList | None,
    sample: int | None,
    seed: int,
) -> Comparisons:
    subjects = subject_labels(photographs)
    mated = None if listed is None else listed.mated
    non_mated = None if listed is None else listed.non_mated
    if non_mated is None and sample is not None:
        non_mated = sample_non_mated(subjects, sample, seed)
    return compare(
        embeddings,
        subjects,
        largest_fmr,
        mated=mated,
        non_mated=non_mated,
        cohorts=[photograph.cohort or "" for photograph in photographs],
        left_out=left_out,
    )


def faces_as_jpeg(result: Result, preparer: Preparer) -> dict[str, list[Thumbnail]]:
    """The faces that `sampled` ranks lowest, and those it ranks highest, under their headings.

    Photographs that can no longer be read are left out.
    """
    scores = result.methods["sampled"]
    order = np.argsort(scores, kind="stable")

    def thumbnails(places: npt.NDArray[np.intp]) -> Iterator[Thumbnail]:
        for place in places:
            photograph = result.photographs[place]
            try:
                aligned = preparer.prepare(photograph.path.read_bytes()).aligned
            except (OSError, CaptureError):  # removed or replaced since it was measured
                continue
            if aligned is not None:
                _, jpeg = cv2.imencode(".jpg", cv2.cvtColor(aligned, cv2.COLOR_RGB2BGR))
                yield Thumbnail(photograph.name, float(scores[place]), jpeg.tobytes())

    worst, best = order[:THUMBNAILS], order[::-1][:THUMBNAILS]
    return {"Worst faces": list(thumbnails(worst)), "Best faces": list(thumbnails(best))}
