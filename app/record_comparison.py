"""What agrees between a decision record and its repetition, and what does not.

Scores are compared bit for bit first, then to `SCORE_TOLERANCE`. This file reads no files, computes
no score, and knows no command line.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from app.decision_record import DecisionRecord, RecordedReason

SCORE_TOLERANCE = 1e-4
"""Of `raw_score` and `mean_distance` on another machine: other kernels round otherwise, and move
them by about 1e-6; other landmarks to the last digit may move a pixel of the aligned face."""

DERIVED_TOLERANCE = 0.5
"""Of what follows from scores and landmarks in units of its own, points of 100 or pixels. A
percentile rises by 0.5 points at most where the score behind it rises by 1e-4 (`compact`)."""

DERIVED_SHARE = 0.02
"""What the value of a component that gave a reason may differ by, of its limit: many are shares of
the face, of which half a unit would be everything."""

Topic = Literal[
    "photograph", "pack", "calibration", "profile", "settings", "outcome", "detector", "software",
    "device",
]  # fmt: skip
RecordAgreement = Literal["exact", "close", "none"]

FIELDS: dict[Topic, tuple[str, ...]] = {
    "photograph": ("image_sha256", "aligned"),
    "pack": ("pack", "pack_version", "pack_checksum", "dropout_rate"),
    "calibration": ("calibration",),
    "profile": ("profile", "profile_version"),
    "settings": ("estimator", "convention", "passes", "seed"),
    "outcome": (
        "verdict",
        "reasons",
        "faces_found",
        "quality_score",
        "raw_score",
        "mean_distance",
    ),
    "detector": ("detector",),
    "software": ("software_version", "libraries"),
    "device": ("device", "device_name", "precision"),
}
"""What is compared, in the order in which it is said."""

INNOCENT: frozenset[Topic] = frozenset({"detector", "software", "device"})
"""Where these differ the outcome may still agree, and then does; it need not do so bit for bit."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One field, as it was recorded and as it is here."""

    topic: Topic
    field: str
    recorded: Any
    repeated: Any
    agreement: RecordAgreement


@dataclass(frozen=True, slots=True)
class RecordComparison:
    """All findings of one record."""

    findings: tuple[Finding, ...]

    @property
    def agreement(self) -> RecordAgreement:
        """`none` when anything but the detector, the software or the device is another."""
        decisive = [finding for finding in self.findings if finding.topic not in INNOCENT]
        return _worst([finding.agreement for finding in decisive])

    @property
    def disagreeing_topics(self) -> tuple[Topic, ...]:
        """Why `agreement` is `none`."""
        found = {finding.topic for finding in self.findings if finding.agreement == "none"}
        return tuple(topic for topic in FIELDS if topic in found - INNOCENT)

    @property
    def same_machine(self) -> bool:
        """Whether bits should repeat: the software and the device are the same."""
        return all(f.agreement == "exact" for f in self.findings if f.topic in INNOCENT)

    def of(self, topic: Topic) -> tuple[Finding, ...]:
        """The findings of one topic that are not exact."""
        return tuple(
            finding
            for finding in self.findings
            if finding.topic == topic and finding.agreement != "exact"
        )


def compare_records(recorded: DecisionRecord, repeated: DecisionRecord) -> RecordComparison:
    """Every field of `FIELDS`, one after the other."""
    return RecordComparison(tuple(_findings(recorded, repeated)))


def _findings(recorded: DecisionRecord, repeated: DecisionRecord) -> Iterator[Finding]:
    for topic, names in FIELDS.items():
        for name in names:
            before, now = getattr(recorded, name), getattr(repeated, name)
            yield Finding(topic, name, before, now, _AGREEMENTS.get(name, _same)(before, now))


def _same(before: object, now: object) -> RecordAgreement:
    return "exact" if before == now else "none"


def _within(tolerance: float) -> Callable[[float | None, float | None], RecordAgreement]:
    def agreement(before: float | None, now: float | None) -> RecordAgreement:
        if before == now:
            return "exact"
        if before is None or now is None:
            return "none"
        return "close" if abs(before - now) <= tolerance else "none"

    return agreement


_derived = _within(DERIVED_TOLERANCE)


def _reasons(before: Any, now: Any) -> RecordAgreement:
    """The same limits broken, by about as much."""
    if [_limit_broken(each) for each in before] != [_limit_broken(each) for each in now]:
        return "none"
    return _worst([_reason(b, n) for b, n in zip(before, now, strict=True)])


def _limit_broken(reason: RecordedReason) -> tuple[object, ...]:
    return reason.code, reason.verdict, reason.component, reason.limit


def _reason(before: RecordedReason, now: RecordedReason) -> RecordAgreement:
    if before.component is None:
        return _derived(before.value, now.value)
    return _within(DERIVED_SHARE * abs(before.limit or 0))(before.value, now.value)


def _worst(agreements: list[RecordAgreement]) -> RecordAgreement:
    order: tuple[RecordAgreement, ...] = ("exact", "close", "none")
    return max(agreements, key=order.index, default="exact")


_AGREEMENTS: dict[str, Callable[[Any, Any], RecordAgreement]] = {
    "raw_score": _within(SCORE_TOLERANCE),
    "mean_distance": _within(SCORE_TOLERANCE),
    "quality_score": _derived,
    "reasons": _reasons,
}
