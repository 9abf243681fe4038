"""The way of a capture through the core: bytes → sample → aligned face → scores → decision.

This is the only file that composes the rooms at run time. It knows no HTTP and starts no thread:
`prepare` and `decide` may run on any thread, `score` on the one thread that owns the device.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from time import perf_counter
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch

from serfiq_core.calibration.calibration import Calibration
from serfiq_core.decisions.decide import decide
from serfiq_core.decisions.profiles import Profile
from serfiq_core.errors import DeviceMemoryError, OptionUnavailableError
from serfiq_core.gpu.cuda_graph import Recorded
from serfiq_core.gpu.out_of_memory import is_out_of_memory
from serfiq_core.maps.gradient_map import gradient_map
from serfiq_core.maps.instability_map import instability_map
from serfiq_core.recognition.recogniser import Recogniser, tells_quality
from serfiq_core.scoring.closed_form import ClosedForm
from serfiq_core.scoring.score import Estimate, Sampled, mask_bank, raw_score
from serfiq_core.types import (
    AlignedFace,
    Assessment,
    Estimator,
    FaceScores,
    PipelineInfo,
    PreparedCapture,
    Preparer,
    Score,
    ScoredIn,
    Stage,
)

Result = TypeVar("Result")

PREPARING_THREADS = 1
"""As the service's workers have it: the last bits of landmarks depend on it, and with them, now and
then, a pixel of the aligned face."""

StageObserver = Callable[[Stage, float], None]
"""Called with a stage and the seconds it took."""


class Pipeline:
    """Assesses captures with one recogniser, one detector and a set of profiles.

    Args:
        recogniser: on the device where it is to run.
        preparation: from bytes to aligned faces; safe to call from several threads.
        calibration: None leaves `quality_score` empty, and every decision at `not_assessed`.
        profiles: by name; the first is the default.
        info: what the scores depend on, besides the image.
        shadow: decided by beside the profile asked for; changes nothing else.

    `observe`: told the seconds of each stage, where it is set.
    """

    def __init__(
        self,
        recogniser: Recogniser,
        preparation: Preparer,
        calibration: Calibration | None,
        profiles: Mapping[str, Profile],
        info: PipelineInfo,
        shadow: Profile | None = None,
    ) -> None:
        self.info = info
        self.observe: StageObserver | None = None
        self._recogniser = recogniser
        self._preparation = preparation
        self._calibration = calibration
        self._profiles = dict(profiles)
        self._shadow = shadow
        bank = mask_bank(
            info.passes, recogniser.head.feature_count, recogniser.dropout_rate, info.seed
        )
        self._sampled = Sampled(recogniser.head, bank, info.convention)
        self._closed_form = ClosedForm(recogniser.head, recogniser.dropout_rate)
        self._recorded: Recorded | None = None
        if recogniser.mean.device.type == "cuda":
            self._recorded = Recorded(self._compute, recogniser.mean.device)

    def prepare(self, data: bytes, *, aligned: bool = False) -> PreparedCapture:
        """Decode a capture, find its faces and align the largest: see `Preparation.prepare`.

        Raises:
            CaptureError: the bytes cannot be decoded, or are not an aligned face.
        """
        prepared = self._preparation.prepare(data, aligned=aligned)
        if self.observe is not None:
            for stage, seconds in prepared.seconds.items():
                self.observe(stage, seconds)
        return replace(prepared, image_sha256=hashlib.sha256(data).hexdigest())

    def score(self, faces: Sequence[AlignedFace]) -> list[FaceScores]:
        """Score a batch of `B` aligned faces in one pass through the backbone.

        Raises:
            DeviceMemoryError: the batch does not fit; a smaller one may.
        """

        def compute() -> list[FaceScores]:
            with self._timed("inference"), torch.no_grad():
                return self._score(torch.from_numpy(np.stack(faces)))

        return _in_memory(compute, f"{len(faces)} faces do not fit")

    def gradient_map(self, face: AlignedFace) -> npt.NDArray[np.float32] | None:
        """See `serfiq_core.maps.gradient_map`; one face at a time, to bound the activations held.

        Raises:
            DeviceMemoryError: there is no room for them.
        """

        def compute() -> npt.NDArray[np.float32] | None:
            return gradient_map(
                face,
                self._recogniser.differentiable_features,
                lambda features: self._closed_form(features).mean_distance,
                self._recogniser.mean.device,
            )

        return _in_memory(compute, "the gradient of one face does not fit")

    def _score(self, aligned: torch.Tensor) -> list[FaceScores]:
        computed = self._compute(aligned) if self._recorded is None else self._recorded(aligned)
        row_means, distances, embeddings, *maps = computed
        drawn = self._sampled.estimate(row_means)
        limit = self._closed_form.estimate(distances)
        size, threads = len(embeddings), torch.get_num_threads()
        return [
            FaceScores(
                sampled=_score(drawn, index),
                closed_form=_score(limit, index),
                embedding=embeddings[index].numpy(),
                instability_map=maps[0][index].numpy() if maps else None,
                scored_in=ScoredIn(size, index, threads),
            )
            for index in range(size)
        ]

    def _compute(self, aligned: torch.Tensor) -> list[torch.Tensor]:
        """All that a device does for a batch: what the estimates are made of, embeddings, maps."""
        recogniser, head = self._recogniser, self._recogniser.head
        on_cpu = self._recorded is None
        features = (recogniser.features if on_cpu else recogniser.unconverted_features)(aligned)
        computed = [
            self._sampled.row_means(features),
            self._closed_form.mean_distances(features),
            torch.nn.functional.normalize(head.embed(features)),
        ]
        maps = instability_map(features, head, recogniser.dropout_rate)
        return computed if maps is None else [*computed, maps]

    def decide(
        self,
        prepared: PreparedCapture,
        scores: FaceScores | None,
        *,
        estimator: Estimator | None = None,
        profile: str | None = None,
    ) -> Assessment:
        """Calibrate a score and hold the capture against a profile.

        Args:
            prepared: what `prepare` gave.
            scores: what `score` gave for its face; None when it has none.
            estimator: whose score counts; the pipeline's own when None.
            profile: by name; the first when None.

        Raises:
            OptionUnavailableError: there is no profile of that name.
        """
        with self._timed("decide"):
            chosen: Estimator = estimator or self.info.estimator
            quality_score = None if scores is None else self._quality_score(scores, chosen)
            decision = decide(self._profile(profile), prepared, quality_score)
            shadow = None if self._shadow is None else decide(self._shadow, prepared, quality_score)
        return Assessment(
            faces_found=prepared.faces_found,
            face=prepared.face,
            scores=scores,
            estimator=chosen,
            quality_score=quality_score,
            decision=decision,
            aligned=prepared.aligned,
            image_sha256=prepared.image_sha256,
            components=prepared.components,
            shadow=shadow,
        )

    def assess(
        self,
        captures: Sequence[bytes],
        *,
        aligned: bool = False,
        profile: str | None = None,
    ) -> list[Assessment]:
        """All of the above, for a batch of captures.

        Raises:
            CaptureError: one of the captures cannot be decoded.
            OptionUnavailableError: as for `decide`.
        """
        with torch_threads(PREPARING_THREADS):
            prepared = [self.prepare(data, aligned=aligned) for data in captures]
        faces = [capture.aligned for capture in prepared if capture.aligned is not None]
        scores = iter(self.score(faces) if faces else [])
        return [
            self.decide(capture, None if capture.aligned is None else next(scores), profile=profile)
            for capture in prepared
        ]

    def _profile(self, name: str | None) -> Profile:
        if name is None:
            return next(iter(self._profiles.values()))
        if name not in self._profiles:
            raise OptionUnavailableError(
                f"there is no profile {name}; there are {', '.join(self._profiles)}"
            )
        return self._profiles[name]

    def _quality_score(self, scores: FaceScores, estimator: Estimator) -> float | None:
        score = scores.by(estimator)
        if self._calibration is None or not tells_quality(scores, estimator):
            return None
        limit = raw_score(torch.tensor(score.mean_distance, dtype=torch.float64))
        return self._calibration.quality_score(float(limit))

    @contextmanager
    def _timed(self, stage: Stage) -> Iterator[None]:
        started = perf_counter()
        yield
        if self.observe is not None:
            self.observe(stage, perf_counter() - started)


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """`count` threads of torch for the calling thread, within the context."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _in_memory(compute: Callable[[], Result], complaint: str) -> Result:
    """What `compute` gives; where the device's memory is too small for it, DeviceMemoryError."""
    try:
        return compute()
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        why = str(error)
    # Not in the handler: the traceback holds the batch, and this gives back what it held.
    torch.cuda.empty_cache()
    raise DeviceMemoryError(f"{complaint} on the device: {why}")


def _score(estimate: Estimate, index: int) -> Score:
    error = estimate.standard_error
    return Score(
        raw_score=float(estimate.raw_score[index]),
        mean_distance=float(estimate.mean_distance[index]),
        standard_error=None if error is None else float(error[index]),
    )
