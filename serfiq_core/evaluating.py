"""Evaluating a pack on labelled photographs: from files to all figures.

Composes preparation, recognition and evaluation. Measuring takes minutes and can be cached; the
figures follow from what was measured. This file writes nothing itself, and starts no process.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch

from serfiq_core.batches import BATCH, CHUNK, batched
from serfiq_core.errors import CaptureError, EvaluationError
from serfiq_core.evaluation.cohorts import Comparisons
from serfiq_core.evaluation.edc import Values
from serfiq_core.evaluation.error_rates import (
    Embeddings,
    all_non_mated,
    mated_pairs,
    sample_non_mated,
    similarities,
    some_non_mated,
)
from serfiq_core.evaluation.figures import Evaluation, evaluate
from serfiq_core.evaluation.measurements import Cache, FaceMeasurement, Measurement, faces_of
from serfiq_core.evaluation.pair_list import PairList
from serfiq_core.evaluation.subjects import Photograph, subject_labels
from serfiq_core.preparation.photographs import prepare_or_again
from serfiq_core.recognition.recogniser import Recogniser
from serfiq_core.scoring.closed_form import ClosedForm
from serfiq_core.scoring.score import Sampled, mask_bank
from serfiq_core.types import AlignedFace, Convention, PreparedCapture, Preparer

THUMBNAILS = 24
"""Worst and best faces shown, so many of each."""

BASELINES = ("detection_score", "sharpness", "inter_eye_distance")
METHODS = ("sampled", "closed_form", "embedding_norm", *BASELINES, "random")
"""What is always compared."""


class Scorer:
    """One recogniser's embedding and scores of a face, the norm before normalisation included.

    Args:
        recogniser: on the device where it is to run.
        passes: `m` of each sampled score; the first one's is called `sampled`.
        convention: what the sum over pairs is divided by.
        seed: of the mask banks.
    """

    def __init__(
        self, recogniser: Recogniser, passes: Sequence[int], convention: Convention, seed: int
    ) -> None:
        self._recogniser = recogniser
        head, rate = recogniser.head, recogniser.dropout_rate
        names = ["sampled", *(f"sampled_{m}" for m in passes[1:])]
        self._estimators: dict[str, Sampled | ClosedForm] = {
            name: Sampled(head, mask_bank(m, head.feature_count, rate, seed), convention)
            for name, m in zip(names, passes, strict=True)
        }
        self._estimators["closed_form"] = ClosedForm(head, rate)

    @torch.no_grad()
    def __call__(self, faces: Sequence[AlignedFace]) -> list[FaceMeasurement]:
        """Measure a batch."""
        features = self._recogniser.features(torch.from_numpy(np.stack(faces)))
        outputs = self._recogniser.head.embed(features)
        columns = {
            name: estimator(features).raw_score.tolist()
            for name, estimator in self._estimators.items()
        }
        columns["embedding_norm"] = outputs.norm(dim=1).tolist()
        embeddings = torch.nn.functional.normalize(outputs).cpu().numpy()
        return [
            FaceMeasurement(embedding, {name: column[row] for name, column in columns.items()})
            for row, embedding in enumerate(embeddings)
        ]


def measure(
    photographs: Sequence[Photograph],
    preparer: Preparer,
    scorer: Callable[[Sequence[AlignedFace]], list[FaceMeasurement]],
    *,
    workers: int,
    cache: Cache | None = None,
    advance: Callable[[int], None] = lambda _count: None,
) -> list[Measurement]:
    """Measure every photograph: a face, or why there is none.

    Args:
        photographs: to read.
        preparer: safe from so many threads as there are `workers`.
        scorer: measures a batch of aligned faces.
        workers: photographs prepared at a time.
        cache: where measurements are looked up and stored.
        advance: told how many more are done.

    Raises:
        PreparationFailedError: a photograph could not be prepared, for no reason that lies in it.
            What was stored before is there for the next run.
        EvaluationError: the cache cannot be written to.
    """
    found: list[Measurement] = []
    with ThreadPoolExecutor(workers) as pool:
        for chunk in batched(photographs, CHUNK):
            found += _measure_chunk(chunk, preparer, scorer, pool, cache)
            advance(len(chunk))
    return found


@dataclass(frozen=True, slots=True)
class _Read:
    """A photograph's digest, and what came of it: a measurement, or a capture to be scored."""

    digest: str
    result: Measurement | PreparedCapture


def _measure_chunk(
    chunk: Sequence[Photograph],
    preparer: Preparer,
    scorer: Callable[[Sequence[AlignedFace]], list[FaceMeasurement]],
    pool: ThreadPoolExecutor,
    cache: Cache | None,
) -> list[Measurement]:
    reads = list(pool.map(lambda each: _prepare(each.path, preparer, cache), chunk))
    results = [read.result for read in reads]
    waiting = [place for place, r in enumerate(results) if isinstance(r, PreparedCapture)]
    captures = [result for result in results if isinstance(result, PreparedCapture)]
    for place, measured in zip(waiting, _score(captures, scorer), strict=True):
        results[place] = measured
    measured_all = [result for result in results if not isinstance(result, PreparedCapture)]
    if cache is not None:
        new = {
            read.digest: result
            for read, result in zip(reads, measured_all, strict=True)
            if read.digest and cache.get(read.digest) is None
        }
        if new:
            cache.store(new)
    return measured_all


def _prepare(path: Path, preparer: Preparer, cache: Cache | None) -> _Read:
    try:
        data = path.read_bytes()
    except OSError as error:
        return _Read("", f"cannot be read: {error.strerror}")
    digest = hashlib.sha256(data).hexdigest()
    if cache is not None and (known := cache.get(digest)) is not None:
        return _Read(digest, known)
    try:
        prepared = prepare_or_again(path, data, preparer)
    except CaptureError as error:
        return _Read(digest, str(error))
    return _Read(digest, "no face was found" if prepared.aligned is None else prepared)


def _score(
    captures: Sequence[PreparedCapture],
    scorer: Callable[[Sequence[AlignedFace]], list[FaceMeasurement]],
) -> Iterator[Measurement]:
    for batch in batched(captures, BATCH):
        faces = [capture.aligned for capture in batch if capture.aligned is not None]
        for capture, measured in zip(batch, scorer(faces), strict=True):
            yield _with_baselines(measured, capture)


def _with_baselines(measured: FaceMeasurement, capture: PreparedCapture) -> Measurement:
    """Add what takes no recogniser."""
    assert capture.face is not None
    assert capture.aligned is not None
    scores = {
        **measured.scores,
        "detection_score": capture.face.detection_score,
        "sharpness": sharpness(capture.aligned),
        "inter_eye_distance": capture.face.inter_eye_distance_px,
    }
    answered = np.isfinite(measured.embedding).all() and measured.embedding.any()
    if not answered or not np.isfinite(list(scores.values())).all():
        return "the recogniser answers with nothing"
    return replace(measured, scores=scores)


def sharpness(face: AlignedFace) -> float:
    """Variance of the Laplacian of the luminance (Pech-Pacheco et al., ICPR 2000)."""
    grey = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY)
    return float(cv2.Laplacian(grey, cv2.CV_64F).var())


@dataclass(frozen=True, slots=True)
class Result:
    """An evaluation, and what it was made from.

    `photographs`: the `N` that were compared. `methods`: their scores. `left_out`: name → why.
    """

    evaluation: Evaluation
    photographs: tuple[Photograph, ...]
    methods: Mapping[str, Values]
    left_out: Mapping[str, str]


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
    comparisons = replace(
        _compare(kept, embeddings, max(fmrs), listed, non_mated_sample, seed),
        left_out=[each.cohort or "" for each in photographs if each.name in left_out],
    )
    methods = {name: np.array([face.scores[name] for face in faces]) for name in faces[0].scores}
    methods["random"] = np.random.default_rng(seed).random(len(kept))
    methods |= {name: column[places] for name, column in (columns or {}).items()}
    evaluation = evaluate(comparisons, methods, fmrs, seed=seed, advance=advance)
    return Result(evaluation, kept, methods, left_out)


def _compare(
    photographs: Sequence[Photograph],
    embeddings: Embeddings,
    largest_fmr: float,
    listed: PairList | None,
    sample: int | None,
    seed: int,
) -> Comparisons:
    subjects = subject_labels(photographs)
    mated = mated_pairs(subjects) if listed is None else listed.mated
    drawn = None if listed is None else listed.non_mated
    if drawn is None and sample is not None:
        drawn = sample_non_mated(subjects, sample, seed)
    return Comparisons(
        subjects=subjects,
        cohorts=[photograph.cohort or "" for photograph in photographs],
        mated=mated,
        mated_similarities=similarities(embeddings, mated),
        non_mated=all_non_mated(embeddings, subjects, largest_fmr)
        if drawn is None
        else some_non_mated(embeddings, drawn, largest_fmr),
        listed=drawn,
    )


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """One aligned face as JPEG, and its score."""

    name: str
    score: float
    jpeg: bytes


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
            except (OSError, CaptureError):  # it was there, and was another, when it was measured
                continue
            if aligned is not None:
                _, jpeg = cv2.imencode(".jpg", cv2.cvtColor(aligned, cv2.COLOR_RGB2BGR))
                yield Thumbnail(photograph.name, float(scores[place]), jpeg.tobytes())

    worst, best = order[:THUMBNAILS], order[::-1][:THUMBNAILS]
    return {"Worst faces": list(thumbnails(worst)), "Best faces": list(thumbnails(best))}
