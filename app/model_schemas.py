"""What the service answers about its model, as documented fields."""

from pydantic import BaseModel, Field

from serfiq_core.types import (
    Convention,
    DegradationKind,
    Estimator,
    Precision,
    SuitabilityVerdict,
)


class MeanRhoAnswer(BaseModel):
    """Spearman's ρ of severity with score within a face: mean over faces and its 95 % interval."""

    mean: float = Field(description="−1 where the score always falls, as it should.")
    low: float
    high: float


class SuitabilityFiguresAnswer(BaseModel):
    """What the suitability check measured."""

    faces: int
    spread: float = Field(description="Standard deviation of the clean faces' sampled scores.")
    standard_error: float = Field(description="Of those scores, from the draw of the masks: median")
    agreement: float = Field(
        description="Rank correlation of the two estimators over the clean faces."
    )
    sampled: dict[DegradationKind, MeanRhoAnswer]
    closed_form: dict[DegradationKind, MeanRhoAnswer]


class SuitabilityAnswer(BaseModel):
    """Whether the recogniser reacts to dropout sensibly."""

    verdict: SuitabilityVerdict
    reasons: list[str] = Field(description="Why it is not suitable.")
    recogniser_checksum: str = Field(
        description="SHA-256 of the recogniser's file and how it is read: of what was measured."
    )
    dropout_rate: float = Field(description="p")
    passes: int = Field(description="m")
    measured: SuitabilityFiguresAnswer


class ModelAnswer(BaseModel):
    """What scores depend on, besides the image."""

    pack: str
    pack_version: str
    pack_checksum: str = Field(description="SHA-256 of the manifest, which names all files'.")
    licence: str
    licence_source: str
    files: dict[str, str] = Field(description="Name → SHA-256.")
    verdict: SuitabilityAnswer | None = Field(
        description="The recogniser's measured suitability; null when it, as it is, never was."
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
    map_shape: list[int] | None = Field(
        description="C, H, W of the map before the dropout; null when there is none, and with it "
        "no instability map."
    )
    calibration: str
    profiles: dict[str, str] = Field(description="Name → version.")
    default_profile: str = Field(description="The one that decides where none is asked for.")
    detector: str = Field(description="Which, and its settings that the pack does not fix.")
    software_version: str = Field(description="Of this service.")
    libraries: dict[str, str] = Field(description="Those that compute: name → version.")
    device_name: str = Field(description="Of the hardware, as far as its arithmetic goes.")
    same_person_cosine: float | None = Field(
        description="A capture whose cosine to the others of its batch, fused, lies below it is "
        "flagged; null when it was never measured."
    )
