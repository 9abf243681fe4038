"""The decision record: all that a decision depends on, and what it was.

It goes with every answer, and without what could single out a person into the log. This file knows
no routes and no commands.
"""

import json
import math
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from app.open_list import OPEN_LIST
from serfiq_core.errors import RecordError
from serfiq_core.types import (
    Assessment,
    ComponentName,
    Convention,
    Estimator,
    PipelineInfo,
    Precision,
    ReasonCode,
    Refusal,
    ScoredIn,
    Verdict,
)

RECORD_VERSION: Literal[2] = 2
"""Of the fields below. Records of version 1, before there was such a field, named neither the
outcome nor the machine."""

LARGEST_BATCH = 4096
"""Far more faces than any device is sent at once; a damaged record must not fill the memory."""

NOT_LOGGED = frozenset({"time", "image_sha256", "raw_score", "mean_distance"})
"""A hash of the photograph names it; scores to the last digit do so nearly as well. The line of the
log has its own time."""

LOGGED_DIGITS = 3
"""Significant ones, of the quality score and of the reasons' values, some of which are shares and
some pixels: enough to see why, too little to find by."""


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


Finite = Annotated[float | None, AfterValidator(_finite)]
"""None in place of what is no number that JSON can say."""


class RecordedReason(BaseModel):
    """Why a decision was not accept, without the hint, which changes with the language."""

    code: Annotated[ReasonCode, OPEN_LIST]
    verdict: Refusal
    component: Annotated[ComponentName, OPEN_LIST] | None
    value: Finite
    limit: float | None


class DecisionRecord(BaseModel):
    """All that the decision depends on, and what it was: keep it, to explain or repeat it."""

    model_config = ConfigDict(frozen=True)

    record_version: Literal[2] = Field(description="Of these fields.")
    request_id: str | None = Field(
        default=None, description="Absent where there was no request: on the command line."
    )
    item: int | None = Field(
        default=None,
        description="The capture's place in its batch, from 0; null when it came alone. Absent "
        "from older records.",
        ge=0,
    )
    time: datetime = Field(description="UTC.")
    image_sha256: str = Field(
        description="SHA-256 of the file that was assessed, to tell later whether a photograph is "
        "the one. Never logged.",
        pattern=r"^[0-9a-f]{64}$",
    )
    aligned: bool = Field(description="Whether the capture came as an aligned face.")

    verdict: Verdict
    reasons: list[RecordedReason]
    faces_found: int | None = Field(description="null when the capture came aligned.")
    quality_score: float | None
    raw_score: Finite = Field(description="Of the estimator below. Never logged.")
    mean_distance: Finite = Field(description="Of the estimator below. Never logged.")

    estimator: Estimator
    convention: Convention = Field(
        description="What the sum over pairs is divided by: m²/2, or the number of pairs."
    )
    passes: int = Field(description="m")
    dropout_rate: float = Field(description="p")
    seed: int = Field(description="Of the masks.")
    precision: Precision = Field(description="Of the recogniser's arithmetic.")

    pack: str
    pack_version: str
    pack_checksum: str = Field(description="SHA-256 of the manifest, which names all files'.")
    detector: str = Field(description="Which, and its settings that the pack does not fix.")
    calibration: str
    profile: str
    profile_version: str

    software_version: str = Field(description="Of this service.")
    libraries: dict[str, str] = Field(description="Those that compute: name → version.")
    device: str
    device_name: str = Field(description="Of the hardware, as far as its arithmetic goes.")
    batch_size: int | None = Field(
        description="Faces computed together; null when there was no face. With batch_index and "
        "threads it fixes the last bits of the scores.",
        ge=1,
        le=LARGEST_BATCH,
    )
    batch_index: int | None = Field(description="This face's place among them, from 0.", ge=0)
    threads: int | None = Field(description="That torch computed on.", ge=1, le=LARGEST_BATCH)

    @model_validator(mode="after")
    def _place_in_batch(self) -> Self:
        """A face has a place within its batch; no face has none."""
        place = (self.batch_size, self.batch_index, self.threads)
        if any(part is None for part in place) and place != (None, None, None):
            raise ValueError("batch_size, batch_index and threads belong together")
        if self.batch_size is not None and not (self.batch_index or 0) < self.batch_size:
            raise ValueError(
                f"batch_index {self.batch_index} is not within {self.batch_size} faces"
            )
        return self

    @property
    def scored_in(self) -> ScoredIn:
        """How the face was computed; alone where there was none."""
        if self.batch_size is None or self.batch_index is None or self.threads is None:
            return ScoredIn()
        return ScoredIn(self.batch_size, self.batch_index, self.threads)

    @classmethod
    def of(
        cls,
        assessment: Assessment,
        info: PipelineInfo,
        request_id: str | None,
        time: datetime,
        item: int | None = None,
    ) -> Self:
        """From the core's values."""
        scores, decision = assessment.scores, assessment.decision
        deciding = assessment.deciding_score
        scored_in = None if scores is None else scores.scored_in
        return cls(
            record_version=RECORD_VERSION,
            request_id=request_id,
            item=item,
            time=time,
            image_sha256=assessment.image_sha256,
            aligned=assessment.faces_found is None,
            verdict=decision.verdict,
            reasons=[
                RecordedReason.model_validate(reason, from_attributes=True)
                for reason in decision.reasons
            ],
            faces_found=assessment.faces_found,
            quality_score=assessment.quality_score,
            raw_score=deciding.raw_score if deciding else None,
            mean_distance=deciding.mean_distance if deciding else None,
            estimator=assessment.estimator,
            convention=info.convention,
            passes=info.passes,
            dropout_rate=info.dropout_rate,
            seed=info.seed,
            precision=info.precision,
            pack=info.pack,
            pack_version=info.pack_version,
            pack_checksum=info.pack_checksum,
            detector=info.detector,
            calibration=info.calibration,
            profile=decision.profile,
            profile_version=decision.profile_version,
            software_version=info.software_version,
            libraries=info.libraries,
            device=info.device,
            device_name=info.device_name,
            batch_size=None if scored_in is None else scored_in.batch_size,
            batch_index=None if scored_in is None else scored_in.batch_index,
            threads=None if scored_in is None else scored_in.threads,
        )

    def for_log(self) -> dict[str, Any]:
        """What may be logged of it: no biometrics, and nothing to find the photograph by."""
        fields = self.model_dump(mode="json", exclude=set(NOT_LOGGED))
        fields["quality_score"] = _rounded(self.quality_score)
        for reason in fields["reasons"]:
            reason["value"] = _rounded(reason["value"])
        return fields


def read_record(text: str) -> DecisionRecord:
    """The record in a text: by itself, or in an answer of the service or of `serfiq score --json`.

    Raises:
        RecordError: there is none, it is damaged, or its version is another; says what is wrong
            with which field.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        hint = "; of several lines give one" if "Extra data" in str(error) else ""
        raise RecordError(f"this is no JSON document: {error}{hint}") from error
    if not isinstance(document, dict):
        raise RecordError("this is no JSON object, and so neither a record nor an answer")
    record = document.get("decision_record", document)
    if not isinstance(record, dict) or "pack_checksum" not in record:
        raise RecordError(
            f"there is no decision record here; the members are: {', '.join(document) or 'none'}"
        )
    version = record.get("record_version", 1)
    if version != RECORD_VERSION:
        raise RecordError(
            f"the record is of version {version}, and this software reads version {RECORD_VERSION}"
        )
    try:
        return DecisionRecord.model_validate(record)
    except ValidationError as error:
        complaints = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise RecordError(f"the record is damaged: {'; '.join(complaints)}") from error


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{LOGGED_DIGITS}g}")
