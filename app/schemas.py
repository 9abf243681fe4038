"""What the service answers with, as documented fields. The core's values in, JSON out.

This file decides nothing: it names, rounds nothing, and leaves out what was not asked for.
"""

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from serfiq_core.types import (
    Assessment,
    Convention,
    Decision,
    Estimator,
    Face,
    PipelineInfo,
    Precision,
    ReasonCode,
    Score,
    Verdict,
)

Extra = Literal["embedding", "instability_map", "landmarks"]


def _split_commas(values: object) -> object:
    """`include=a,b` and `include=a&include=b` mean the same."""
    if not isinstance(values, list | tuple):
        return values
    return [name.strip() for value in values for name in str(value).split(",")]


class QualityQuery(BaseModel):
    """The options of `POST /quality`. A name that is not one of them is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    aligned: bool = Field(
        default=False,
        description="The image is an aligned face already, 112×112 px in the ArcFace template; "
        "no detector runs.",
    )
    estimator: Estimator | None = Field(
        default=None, description="Whose score decides; the service's own setting when left out."
    )
    profile: str | None = Field(
        default=None, description="Limits to decide by, by name; the default ones when left out."
    )
    include: Annotated[tuple[Extra, ...], BeforeValidator(_split_commas)] = Field(
        default=(), description="What the answer is to carry besides, separated by commas."
    )


class ScoreAnswer(BaseModel):
    """What one estimator says."""

    raw_score: float | None = Field(
        description="Equation (1), in [0, 1]; null when it is no number."
    )
    mean_distance: float | None = Field(
        description="Mean Euclidean distance between two stochastic embeddings, in [0, 2]."
    )
    standard_error: float | None = Field(
        description="Of raw_score, from the draw of the masks; null for the closed form."
    )

    @classmethod
    def of(cls, score: Score | None) -> Self | None:
        """From the core's value."""
        if score is None:
            return None
        return cls(
            raw_score=_finite(score.raw_score),
            mean_distance=_finite(score.mean_distance),
            standard_error=_finite(score.standard_error),
        )


class ReasonAnswer(BaseModel):
    """Why a decision is not accept."""

    code: ReasonCode = Field(description="Stable, for programs.")
    value: float | None = Field(description="What was seen, in the unit of the limit.")
    limit: float | None = Field(description="What it was held against.")
    hint: str = Field(description="What to do better; can be shown to the person.")


class DecisionAnswer(BaseModel):
    """What an enrolment system should do with the capture."""

    verdict: Verdict
    reasons: list[ReasonAnswer] = Field(description="Empty when accepted.")
    profile: str
    profile_version: str

    @classmethod
    def of(cls, decision: Decision) -> Self:
        """From the core's value."""
        return cls(
            verdict=decision.verdict,
            reasons=[
                ReasonAnswer(
                    code=reason.code, value=reason.value, limit=reason.limit, hint=reason.hint
                )
                for reason in decision.reasons
            ],
            profile=decision.profile,
            profile_version=decision.profile_version,
        )


class FaceAnswer(BaseModel):
    """The face that was assessed: the largest. Pixels of the upright capture."""

    box_px: list[float] = Field(description="Left, top, right, bottom.", min_length=4, max_length=4)
    detection_score: float = Field(description="In [0, 1].")
    inter_eye_distance_px: float = Field(description="Between the eye centres.")
    landmarks_px: list[list[float]] | None = Field(
        default=None,
        description="x, y of left eye, right eye, nose tip, left and right mouth corner, as seen "
        "in the image. Only with include=landmarks.",
    )

    @classmethod
    def of(cls, face: Face | None, include: Sequence[Extra]) -> Self | None:
        """From the core's value."""
        if face is None:
            return None
        extras = {"landmarks_px": face.landmarks_px.tolist()} if "landmarks" in include else {}
        return cls(
            box_px=[float(edge) for edge in face.box_px],
            detection_score=float(face.detection_score),
            inter_eye_distance_px=face.inter_eye_distance_px,
            **extras,
        )


class DecisionRecord(BaseModel):
    """All that the decision depends on besides the image: keep it, to explain or repeat it."""

    request_id: str
    time: datetime = Field(description="UTC.")
    pack: str
    pack_version: str
    pack_checksum: str = Field(description="SHA-256 of the manifest, which names all files'.")
    estimator: Estimator
    convention: Convention = Field(
        description="What the sum over pairs is divided by: m²/2, or the number of pairs."
    )
    passes: int = Field(description="m")
    dropout_rate: float = Field(description="p")
    seed: int = Field(description="Of the masks.")
    precision: Precision = Field(description="Of the recogniser's arithmetic.")
    calibration: str
    profile: str
    profile_version: str

    @classmethod
    def of(
        cls, assessment: Assessment, info: PipelineInfo, request_id: str, time: datetime
    ) -> Self:
        """From the core's values."""
        return cls(
            request_id=request_id,
            time=time,
            pack=info.pack,
            pack_version=info.pack_version,
            pack_checksum=info.pack_checksum,
            estimator=assessment.estimator,
            convention=info.convention,
            passes=info.passes,
            dropout_rate=info.dropout_rate,
            seed=info.seed,
            precision=info.precision,
            calibration=info.calibration,
            profile=assessment.decision.profile,
            profile_version=assessment.decision.profile_version,
        )


class QualityAnswer(BaseModel):
    """Everything said of one capture."""

    request_id: str
    quality_score: float | None = Field(
        description="0 to 100, higher is better, calibrated for the pack; null when there is no "
        "face, or it could not be computed."
    )
    estimator: Estimator = Field(description="The one behind quality_score and the decision.")
    raw_score: float | None = Field(description="Equation (1), in [0, 1], of that estimator.")
    mean_distance: float | None = Field(description="In [0, 2], of that estimator.")
    standard_error: float | None = Field(description="Of raw_score; null for the closed form.")
    sampled: ScoreAnswer | None
    closed_form: ScoreAnswer | None = Field(
        description="The limit of infinitely many passes; null for heads that are not affine."
    )
    decision: DecisionAnswer
    faces_found: int | None = Field(description="null when the capture came aligned.")
    face: FaceAnswer | None = Field(description="null when none was found, or none searched for.")
    embedding: list[float] | None = Field(
        default=None, description="Unit norm, no dropout. Only with include=embedding."
    )
    instability_map: list[list[float]] | None = Field(
        default=None,
        description="Rows of cells, top to bottom: each cell's share of the variance, in all 1. "
        "Only with include=instability_map.",
    )
    decision_record: DecisionRecord

    @classmethod
    def of(
        cls,
        assessment: Assessment,
        info: PipelineInfo,
        include: Sequence[Extra],
        request_id: str,
        time: datetime,
    ) -> Self:
        """From the core's values."""
        scores = assessment.scores
        sampled = ScoreAnswer.of(scores.sampled if scores else None)
        closed_form = ScoreAnswer.of(scores.closed_form if scores else None)
        deciding = sampled if assessment.estimator == "sampled" else closed_form
        # What was not asked for is left unset, and with that out of the answer; what was asked for
        # and cannot be had is null.
        extras: dict[str, Any] = {}
        if "embedding" in include:
            extras["embedding"] = _finite_values(scores.embedding if scores else None)
        if "instability_map" in include:
            extras["instability_map"] = _finite_values(scores.instability_map if scores else None)
        return cls(
            request_id=request_id,
            quality_score=assessment.quality_score,
            estimator=assessment.estimator,
            raw_score=deciding.raw_score if deciding else None,
            mean_distance=deciding.mean_distance if deciding else None,
            standard_error=deciding.standard_error if deciding else None,
            sampled=sampled,
            closed_form=closed_form,
            decision=DecisionAnswer.of(assessment.decision),
            faces_found=assessment.faces_found,
            face=FaceAnswer.of(assessment.face, include),
            decision_record=DecisionRecord.of(assessment, info, request_id, time),
            **extras,
        )


class ModelAnswer(BaseModel):
    """What scores depend on, besides the image."""

    pack: str
    pack_version: str
    pack_checksum: str = Field(description="SHA-256 of the manifest, which names all files'.")
    licence: str
    licence_source: str
    files: dict[str, str] = Field(description="Name → SHA-256.")
    verdict: str | None = Field(
        description="The pack's measured suitability; null when it was never measured."
    )
    device: str
    precision: Precision = Field(description="Of the recogniser's arithmetic.")
    estimator: Estimator
    convention: Convention
    passes: int = Field(description="m")
    dropout_rate: float = Field(description="p")
    seed: int
    feature_count: int = Field(description="F")
    embedding_size: int = Field(description="E")
    affine: bool = Field(description="Whether there is a closed form.")
    map_shape: list[int] | None = Field(
        description="C, H, W of the map before the dropout; null when there is none, and with it "
        "no instability map."
    )
    calibration: str
    profiles: dict[str, str] = Field(description="Name → version. The first is the default.")
    same_person_cosine: float | None = Field(
        description="The least cosine between captures of one person; null when it was never "
        "measured."
    )


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _finite_values(values: npt.NDArray[np.float32] | None) -> Any:
    return values.tolist() if values is not None and np.isfinite(values).all() else None
