"""What the service answers to a capture, as documented fields. The core's values in, JSON out.

This file decides nothing: it names, rounds nothing, and leaves out what was not asked for.
"""

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, Self, get_args

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from app.decision_record import DecisionRecord, Finite
from app.hints import Language, hint
from app.open_list import OPEN_LIST
from serfiq_core.types import (
    Assessment,
    ComponentName,
    Decision,
    Estimator,
    Face,
    PipelineInfo,
    Reason,
    ReasonCode,
    ReasonKind,
    Refusal,
    Score,
    Verdict,
)

Extra = Literal[
    "components",
    "embedding",
    "gradient_map",
    "gradient_overlay",
    "instability_map",
    "instability_overlay",
    "landmarks",
]

Overlay = Literal["gradient_overlay", "instability_overlay"]
"""Those of the extras that are drawings."""


def _split_commas(values: object) -> object:
    """`include=a,b` and `include=a&include=b` mean the same; an empty name is none."""
    if not isinstance(values, list | tuple):
        return values
    given = (name.strip() for value in values for name in str(value).split(","))
    names = dict.fromkeys(filter(None, given))
    if len(names) > len(get_args(Extra)):  # each would get a complaint of its own
        raise ValueError(f"There are {len(get_args(Extra))} extras, and not so many as these")
    return list(names)


class QualityQuery(BaseModel):
    """The options of `POST /quality`. A name that is not one of them is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    aligned: bool = Field(
        default=False,
        description="The image is an aligned face already, 112×112 px in the ArcFace template; "
        "no detector runs.",
    )
    # None is what is left out; nobody can send it.
    estimator: Estimator | SkipJsonSchema[None] = Field(
        default=None, description="Whose score decides; the service's own setting when left out."
    )
    profile: str | SkipJsonSchema[None] = Field(
        default=None, description="Limits to decide by, by name; the default ones when left out."
    )
    include: Annotated[tuple[Extra, ...], BeforeValidator(_split_commas)] = Field(
        default=(), description="What the answer is to carry besides, separated by commas."
    )

    @property
    def with_gradient(self) -> bool:
        """Whether anything asked for needs the gradient map, which takes the device's time."""
        return "gradient_map" in self.include or "gradient_overlay" in self.include

    @property
    def overlays(self) -> tuple[Overlay, ...]:
        """The drawings asked for."""
        return tuple(name for name in get_args(Overlay) if name in self.include)


class ScoreAnswer(BaseModel):
    """What one estimator says."""

    raw_score: Finite = Field(description="Equation (1), in [0, 1]; null when it is no number.")
    mean_distance: Finite = Field(
        description="Mean Euclidean distance between two stochastic embeddings, in [0, 2]."
    )
    standard_error: Finite = Field(
        description="Of raw_score, from the draw of the masks; null for the closed form."
    )

    @classmethod
    def of(cls, score: Score | None) -> Self | None:
        """From the core's value."""
        return None if score is None else cls.model_validate(score, from_attributes=True)


class ReasonAnswer(BaseModel):
    """Why a decision is not accept."""

    code: Annotated[ReasonCode, OPEN_LIST] = Field(description="Stable, for programs.")
    kind: Annotated[ReasonKind, OPEN_LIST] = Field(
        description="usefulness: the capture is of little use to the recogniser; attribute: one "
        "property of it is off; assessment: something could not be assessed."
    )
    verdict: Refusal = Field(description="What this reason alone leads to.")
    component: Annotated[ComponentName, OPEN_LIST] | None = Field(
        description="The ISO/IEC 29794-5 component that is off, or could not be assessed."
    )
    value: Finite = Field(description="What was seen.")
    limit: float | None = Field(description="The limit that it broke.")
    unit: str | None = Field(description="Of value and limit; null for counts and bare numbers.")
    hint: str = Field(
        description="What to do better; can be shown to the person. In the language of the "
        "answer's Content-Language, chosen by Accept-Language."
    )

    @classmethod
    def of(cls, reason: Reason, language: Language) -> Self:
        """From the core's value."""
        return cls(
            code=reason.code,
            kind=reason.kind,
            verdict=reason.verdict,
            component=reason.component,
            value=reason.value,
            limit=reason.limit,
            unit=reason.unit,
            hint=hint(reason.code, language),
        )


class DecisionAnswer(BaseModel):
    """What an enrolment system should do with the capture."""

    verdict: Verdict
    reasons: list[ReasonAnswer] = Field(description="The gravest first; empty when accepted.")
    profile: str
    profile_version: str

    @classmethod
    def of(cls, decision: Decision, language: Language) -> Self:
        """From the core's value."""
        return cls(
            verdict=decision.verdict,
            reasons=[ReasonAnswer.of(reason, language) for reason in decision.reasons],
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


class ComponentAnswer(BaseModel):
    """One named property of the capture, ISO/IEC 29794-5."""

    name: Annotated[ComponentName, OPEN_LIST]
    native_value: float = Field(description="As measured, in the unit.")
    unit: str
    value: float | None = Field(
        description="0 to 100, higher is better; null where no mapping of the standard's open "
        "reference implementation applies."
    )
    approximate: bool = Field(
        description="Computed from less than the standard asks for: 5 landmarks, no face parsing."
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
    closed_form: ScoreAnswer | None = Field(description="The limit of infinitely many passes.")
    decision: DecisionAnswer
    faces_found: int | None = Field(description="null when the capture came aligned.")
    face: FaceAnswer | None = Field(description="null when none was found, or none searched for.")
    components: list[ComponentAnswer] | None = Field(
        default=None,
        description="Those that could be computed. Only with include=components.",
    )
    embedding: list[float] | None = Field(
        default=None, description="Unit norm, no dropout. Only with include=embedding."
    )
    instability_map: list[list[float]] | None = Field(
        default=None,
        description="Rows of cells, top to bottom: how far each is noise, as shares, in all 1. "
        "Only with include=instability_map.",
    )
    gradient_map: list[list[float]] | None = Field(
        default=None,
        description="28 rows of 28 cells, top to bottom: each cell's share of the absolute "
        "gradient of the closed form's mean distance with respect to the pixels, in all 1. Only "
        "with include=gradient_map.",
    )
    instability_overlay_png: str | None = Field(
        default=None,
        description="The instability map over the aligned face: a PNG of 336×336 px, base64. Only "
        "with include=instability_overlay.",
    )
    gradient_overlay_png: str | None = Field(
        default=None,
        description="The gradient map over the aligned face, likewise. Only with "
        "include=gradient_overlay.",
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
        language: Language = "en",
        overlays: Mapping[Overlay, bytes | None] | None = None,
        item: int | None = None,
    ) -> Self:
        """From the core's values; `overlays`: those of `include`, as PNG files; `item`: the
        capture's place in its batch."""
        scores = assessment.scores
        sampled = ScoreAnswer.of(scores.sampled if scores else None)
        closed_form = ScoreAnswer.of(scores.closed_form if scores else None)
        deciding = ScoreAnswer.of(assessment.deciding_score)
        # What was not asked for is left unset, and with that out of the answer; what was asked for
        # and cannot be had is null.
        extras: dict[str, Any] = {}
        if "components" in include:
            extras["components"] = [
                ComponentAnswer.model_validate(each, from_attributes=True)
                for each in assessment.components
            ]
        if "embedding" in include:
            extras["embedding"] = _finite_values(scores.embedding if scores else None)
        if "instability_map" in include:
            extras["instability_map"] = _finite_values(scores.instability_map if scores else None)
        if "gradient_map" in include:
            extras["gradient_map"] = _finite_values(scores.gradient_map if scores else None)
        for name, png in (overlays or {}).items():
            extras[f"{name}_png"] = None if png is None else base64.b64encode(png).decode()
        return cls(
            request_id=request_id,
            quality_score=assessment.quality_score,
            estimator=assessment.estimator,
            raw_score=deciding.raw_score if deciding else None,
            mean_distance=deciding.mean_distance if deciding else None,
            standard_error=deciding.standard_error if deciding else None,
            sampled=sampled,
            closed_form=closed_form,
            decision=DecisionAnswer.of(assessment.decision, language),
            faces_found=assessment.faces_found,
            face=FaceAnswer.of(assessment.face, include),
            decision_record=DecisionRecord.of(assessment, info, request_id, time, item),
            **extras,
        )


def _finite_values(values: npt.NDArray[np.float32] | None) -> Any:
    return values.tolist() if values is not None and np.isfinite(values).all() else None
