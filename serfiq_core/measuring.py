"""Measuring labelled photographs: from files to embeddings and scores, or why there are none.

Composes preparation and recognition. What was measured can be cached; what is made of it is in
`evaluating.py`. This file starts no process.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch

from serfiq_core.batches import BATCH, CHUNK, batched
from serfiq_core.errors import CaptureError
from serfiq_core.evaluation.copies import File, copies
from serfiq_core.evaluation.measurements import Cache, FaceMeasurement, Measurement
from serfiq_core.evaluation.subjects import Photograph
from serfiq_core.preparation.photographs import prepare_or_again
from serfiq_core.recognition.recogniser import NO_ANSWER, Recogniser, answered
from serfiq_core.scoring.closed_form import ClosedForm
from serfiq_core.scoring.score import Estimate, Sampled, mask_bank
from serfiq_core.types import AlignedFace, Convention, DropoutHead, PreparedCapture, Preparer


def sampled_methods(passes: Sequence[int]) -> list[str]:
    """What the sampled score of each `m` is called: the first `sampled`, others `sampled_M`."""
    return [f"sampled_{m}" if place else "sampled" for place, m in enumerate(passes)]


class HeadScorer:
    """One head's embedding and scores of features, the norm before normalisation included.

    Args:
        head: on the device where it is to run.
        rate: the dropout rate that it is sampled at.
        passes: `m` of each sampled score.
        convention: what the sum over pairs is divided by.
        seed: of the mask banks.
    """

    def __init__(
        self,
        head: DropoutHead,
        rate: float,
        passes: Sequence[int],
        convention: Convention,
        seed: int,
    ) -> None:
        self._head = head
        self._estimators: dict[str, Sampled | ClosedForm] = {
            name: Sampled(head, mask_bank(m, head.feature_count, rate, seed), convention)
            for name, m in zip(sampled_methods(passes), passes, strict=True)
        }
        self._estimators["closed_form"] = ClosedForm(head, rate)

    @torch.no_grad()
    def __call__(self, features: torch.Tensor) -> list[FaceMeasurement]:
        """Measure a batch, `B × F`."""
        outputs = self._head.embed(features)
        columns = {
            name: _of_what_scatters(estimator(features)).tolist()
            for name, estimator in self._estimators.items()
        }
        columns["embedding_norm"] = outputs.norm(dim=1).tolist()
        embeddings = torch.nn.functional.normalize(outputs).cpu().numpy()
        return [
            FaceMeasurement(embedding, {name: column[row] for name, column in columns.items()})
            for row, embedding in enumerate(embeddings)
        ]


class Scorer:
    """The same of aligned faces, by a recogniser. Arguments as for `HeadScorer`."""

    def __init__(
        self, recogniser: Recogniser, passes: Sequence[int], convention: Convention, seed: int
    ) -> None:
        self._recogniser = recogniser
        head, rate = recogniser.head, recogniser.dropout_rate
        self._score = HeadScorer(head, rate, passes, convention, seed)

    def __call__(self, faces: Sequence[AlignedFace]) -> list[FaceMeasurement]:
        """Measure a batch."""
        return self._score(self._recogniser.features(torch.from_numpy(np.stack(faces))))


def _of_what_scatters(estimate: Estimate) -> torch.Tensor:
    """The raw scores, nan where nothing is said of the face: the test of `Score.scatters`."""
    distance = estimate.mean_distance
    return torch.where((distance > 0) & distance.isfinite(), estimate.raw_score, torch.nan)


def says_something(measured: FaceMeasurement) -> bool:
    """Whether a recogniser says anything of a face; otherwise it belongs in no ranking."""
    return answered(measured.embedding) and bool(np.isfinite([*measured.scores.values()]).all())


def measure(
    photographs: Sequence[Photograph],
    preparer: Preparer,
    scorer: Callable[[Sequence[AlignedFace]], list[FaceMeasurement]],
    *,
    workers: int,
    cache: Cache | None = None,
    advance: Callable[[int], None] = lambda _count: None,
) -> list[Measurement]:
    """Measure every photograph: a face, or why there is none to compare.

    Args:
        photographs: to read.
        preparer: safe from so many threads as there are `workers`.
        scorer: measures a batch of aligned faces.
        workers: photographs prepared at a time.
        cache: where measurements are looked up and stored.
        advance: called with the number finished since the last call.

    Raises:
        PreparationFailedError: a photograph could not be prepared, for no reason that lies in it.
            What was stored before is there for the next run.
        EvaluationError: the cache cannot be written to.
    """
    found: list[tuple[str, Measurement]] = []
    with ThreadPoolExecutor(workers) as pool:
        for chunk in batched(photographs, CHUNK):
            found += _measure_chunk(chunk, preparer, scorer, pool, cache)
            advance(len(chunk))
    return _without_copies(photographs, found)


def _without_copies(
    photographs: Sequence[Photograph], found: Sequence[tuple[str, Measurement]]
) -> list[Measurement]:
    """What was found by digest; of a face that is there twice, where it is too."""
    again = copies(
        [
            File(photograph.name, photograph.subject, "" if isinstance(result, str) else digest)
            for photograph, (digest, result) in zip(photographs, found, strict=True)
        ]
    )
    return [again.get(place, result) for place, (_, result) in enumerate(found)]


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
) -> list[tuple[str, Measurement]]:
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
    return [(read.digest, result) for read, result in zip(reads, measured_all, strict=True)]


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
        "sharpness": laplacian_variance(capture.aligned),
        "inter_eye_distance": capture.face.inter_eye_distance_px,
    }
    complete = replace(measured, scores=scores)
    return complete if says_something(complete) else NO_ANSWER


def laplacian_variance(face: AlignedFace) -> float:
    """Variance of the Laplacian of the luminance (Pech-Pacheco et al., ICPR 2000)."""
    grey = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY)
    return float(cv2.Laplacian(grey, cv2.CV_64F).var())
