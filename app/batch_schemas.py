"""What the service answers to a batch, as documented fields. The core's values in, JSON out."""

from collections.abc import Sequence
from typing import Annotated, Any, Self

from pydantic import BaseModel, Field

from app.open_list import OPEN_LIST
from app.problems import ProblemDocument
from app.schemas import Extra, QualityAnswer
from serfiq_core.one_subject.comparison import Agreement, Comparison, NoBest


class CaptureAnswer(QualityAnswer):
    """Everything said of one capture of a batch."""

    consistency: float | None = Field(
        description="Cosine of its embedding to those of the others, fused; null when there is "
        "nothing to compare."
    )
    consistent: bool | None = Field(
        description="Whether that is near enough for one person; false for every capture where no "
        "person is shown by more than half, whatever the cosine; null when the pack has no "
        "same_person_cosine, or there is nothing to compare."
    )
    weight: float | None = Field(
        default=None,
        description="Its share in fused_embedding; 0 when it has no part in it. Only with "
        "include=embedding.",
    )

    @classmethod
    def in_batch(
        cls, answer: QualityAnswer, agreement: Agreement, include: Sequence[Extra]
    ) -> Self:
        """From the answer to the capture alone, and the core's value."""
        said: dict[str, Any] = {name: getattr(answer, name) for name in answer.model_fields_set}
        if "embedding" in include:
            said["weight"] = agreement.weight
        return cls(**said, consistency=agreement.cosine, consistent=agreement.consistent)


class BatchAnswer(BaseModel):
    """Everything said of several captures of one subject."""

    request_id: str
    items: list[CaptureAnswer | ProblemDocument] = Field(
        description="One for each capture, in the order they came: what POST /quality would "
        "answer, or a problem document where it would be one."
    )
    ranking: list[int] = Field(
        description="Indices of the assessed captures, best first: accepted before reviewed before "
        "rejected, then by quality_score, then by raw_score, then as they came."
    )
    best: int | None = Field(
        description="Index of the first in the ranking that is neither rejected nor inconsistent; "
        "null when there is none."
    )
    no_best: Annotated[NoBest, OPEN_LIST] | None = Field(
        description="Why there is no best: none_assessed, every item is a problem; all_rejected; "
        "several_people, those not rejected do not show the person whom most show, or no "
        "person is shown by more than half."
    )
    one_subject: bool | None = Field(
        description="Whether all captures are consistent; null when that could not be checked."
    )
    same_person_cosine: float | None = Field(
        description="The pack's limit, which consistency is held against; null when it has none."
    )
    fused_embedding: list[float] | None = Field(
        default=None,
        description="The embeddings of the captures that are neither rejected nor inconsistent, "
        "weighted and brought to unit norm; null when there are none. Only with include=embedding.",
    )

    @classmethod
    def of(
        cls,
        request_id: str,
        answers: Sequence[QualityAnswer | ProblemDocument],
        comparison: Comparison,
        same_person_cosine: float | None,
        include: Sequence[Extra],
    ) -> Self:
        """From the answer to each capture alone, and the core's value."""
        fused = None
        if comparison.fused_embedding is not None:
            fused = comparison.fused_embedding.tolist()
        extras = {"fused_embedding": fused} if "embedding" in include else {}
        return cls(
            request_id=request_id,
            items=[
                answer
                if isinstance(answer, ProblemDocument)
                else CaptureAnswer.in_batch(answer, agreement, include)
                for answer, agreement in zip(answers, comparison.agreements, strict=True)
            ],
            ranking=list(comparison.ranking),
            best=comparison.best,
            no_best=comparison.no_best,
            one_subject=comparison.one_subject,
            same_person_cosine=same_person_cosine,
            **extras,
        )
