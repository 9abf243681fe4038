"""Profiles of limits, and the decision they lead to.

Fails closed: what could not be assessed is rejected, and `accept` needs every check passed. This
file knows scores and faces, no images, no networks and no HTTP.
"""

import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_args

from serfiq_core.errors import ConfigurationError
from serfiq_core.types import Decision, Face, Reason, ReasonCode, Verdict

EMBEDDED_PROFILES = Path(__file__).with_name("profiles.toml")

HINTS: dict[ReasonCode, str] = {
    "no_face": "Make sure that the whole face is in view, well lit and turned to the camera.",
    "multiple_faces": "Only one person may be in view.",
    "face_too_small": "Move closer to the camera, or use a higher resolution.",
    "low_quality": (
        "Take the photograph again: hold still, face the camera, in even light and in focus."
    ),
    "not_assessed": "The photograph could not be assessed. Take it again.",
}

SEVERITY: tuple[Verdict, ...] = get_args(Verdict)
"""Mildest first."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A named set of limits.

    `accept_at`, `review_at`: on `quality_score`, 0 to 100; at or above the first is accepted, at or
    above the second is reviewed, the rest is rejected. `multiple_faces`: the verdict when more than
    one face was found.
    """

    name: str
    version: str
    accept_at: float
    review_at: float
    inter_eye_distance_min_px: float
    multiple_faces: Verdict


def read_profiles(path: Path = EMBEDDED_PROFILES) -> dict[str, Profile]:
    """Read the profiles of one TOML file, by name.

    Raises:
        ConfigurationError: the file cannot be read, or says something that cannot be; names the
            file, the profile and the key.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"{path}: {error}") from error
    if not tables:
        raise ConfigurationError(f"{path}: holds no profile")
    return {name: _profile(f"{path}: [{name}]", name, table) for name, table in tables.items()}


def smallest_inter_eye_distance_px(profiles: Iterable[Profile]) -> float:
    """Below it every one of `profiles` rejects; 0 where there is none."""
    return min((profile.inter_eye_distance_min_px for profile in profiles), default=0.0)


def _profile(place: str, name: str, table: object) -> Profile:
    if not isinstance(table, Mapping):
        raise ConfigurationError(f"{place} is not a table")
    keys = {field.name for field in fields(Profile)} - {"name"}
    if unknown := sorted(table.keys() - keys):
        raise ConfigurationError(f"{place} has an unknown key {unknown[0]}")
    if missing := sorted(keys - table.keys()):
        raise ConfigurationError(f"{place} lacks {missing[0]}")
    profile = Profile(
        name=name,
        version=_text(place, table, "version"),
        accept_at=_number(place, table, "accept_at", 100),
        review_at=_number(place, table, "review_at", 100),
        inter_eye_distance_min_px=_number(place, table, "inter_eye_distance_min_px", math.inf),
        multiple_faces=_verdict(place, table, "multiple_faces"),
    )
    if profile.review_at > profile.accept_at:
        raise ConfigurationError(f"{place} review_at lies above accept_at")
    return profile


def _text(place: str, table: Mapping[str, Any], key: str) -> str:
    value = table[key]
    if not isinstance(value, str) or not value:
        raise ConfigurationError(f"{place} {key} must be a text in quotes")
    return value


def _number(place: str, table: Mapping[str, Any], key: str, highest: float) -> float:
    value = table[key]
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 <= value <= highest:
        raise ConfigurationError(f"{place} {key} must be a number from 0 to {highest}")
    return float(value)


def _verdict(place: str, table: Mapping[str, Any], key: str) -> Verdict:
    value = table[key]
    if value not in SEVERITY:
        raise ConfigurationError(f"{place} {key} must be one of {', '.join(SEVERITY)}")
    verdict: Verdict = value
    return verdict


def decide(
    profile: Profile, faces_found: int | None, face: Face | None, quality_score: float | None
) -> Decision:
    """Hold one capture against a profile.

    Args:
        profile: the limits.
        faces_found: how many; None when the capture came aligned and none was searched for.
        face: the one assessed; None when none was found or searched for.
        quality_score: 0 to 100, or None when it could not be computed.
    """
    if faces_found == 0:
        return _decision(profile, [("reject", _reason("no_face", 0, 1))])
    findings: list[tuple[Verdict, Reason]] = []
    if faces_found is not None and faces_found > 1:
        findings.append((profile.multiple_faces, _reason("multiple_faces", faces_found, 1)))
    if face is not None:
        distance, limit = face.inter_eye_distance_px, profile.inter_eye_distance_min_px
        if not distance >= limit:
            findings.append(("reject", _reason("face_too_small", distance, limit)))
    if quality_score is None or not 0 <= quality_score <= 100:
        findings.append(("reject", _reason("not_assessed", None, None)))
    elif quality_score < profile.accept_at:
        verdict: Verdict = "review" if quality_score >= profile.review_at else "reject"
        limit = profile.accept_at
        findings.append((verdict, _reason("low_quality", quality_score, limit)))
    return _decision(profile, findings)


def _reason(code: ReasonCode, value: float | None, limit: float | None) -> Reason:
    return Reason(code, value, limit, HINTS[code])


def _decision(profile: Profile, findings: list[tuple[Verdict, Reason]]) -> Decision:
    verdict = max((verdict for verdict, _ in findings), key=SEVERITY.index, default=SEVERITY[0])
    reasons = tuple(reason for cause, reason in findings if cause != "accept")
    return Decision(verdict, reasons, profile.name, profile.version)
