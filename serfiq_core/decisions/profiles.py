"""Profiles: named sets of limits, read from one TOML file and checked to the last key.

A file that says something unknown, contradictory or without effect is refused, with the line, the
profile and the key. This file knows what can be limited; it holds no capture against anything.
"""

import math
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Literal, get_args

from serfiq_core.decisions.objections import OBJECTIONS, Side
from serfiq_core.errors import ConfigurationError
from serfiq_core.toml.lines import line_of
from serfiq_core.toml.table import read_toml
from serfiq_core.types import ComponentName, Refusal, Verdict

EMBEDDED_PROFILES = Path(__file__).with_name("profiles.toml")

Scale = Literal["native_value", "value"]
"""Which of a component's two numbers a limit is on, as `types.Component` names them."""

LIMIT_KEYS: dict[str, tuple[Refusal, Side]] = {
    "reject_below": ("reject", "below"),
    "review_below": ("review", "below"),
    "review_above": ("review", "above"),
    "reject_above": ("reject", "above"),
}
"""In the order in which their numbers must rise."""

FROM_BELOW: tuple[Side, ...] = ("below",)
"""The sides of what is better the higher it is."""


@dataclass(frozen=True, slots=True)
class Limit:
    """What lies below it, or above it, is reviewed or rejected; what lies on it is not."""

    verdict: Refusal
    side: Side
    at: float

    def is_broken_by(self, value: float) -> bool:
        """Whether `value`, which must be a number, lies on the wrong side."""
        return value < self.at if self.side == "below" else value > self.at


@dataclass(frozen=True, slots=True)
class ComponentLimits:
    """All limits on one number of one component, those that reject first."""

    component: ComponentName
    scale: Scale
    limits: tuple[Limit, ...]


@dataclass(frozen=True, slots=True)
class Profile:
    """A named set of limits.

    `accept_at`, `review_at`: on `quality_score`, 0 to 100; at or above the first is accepted, at or
    above the second is reviewed, the rest is rejected. `multiple_faces`: the verdict when more than
    one face was found. `detection_score`: limits from below on the detector's own score.
    """

    name: str
    version: str
    accept_at: float
    review_at: float
    multiple_faces: Verdict
    detection_score: tuple[Limit, ...] = ()
    components: tuple[ComponentLimits, ...] = ()

    @property
    def quality_score(self) -> tuple[Limit, ...]:
        """`review_at` and `accept_at` as limits, the one that rejects first."""
        return (
            Limit("reject", "below", self.review_at),
            Limit("review", "below", self.accept_at),
        )


def read_profiles(path: Path = EMBEDDED_PROFILES) -> dict[str, Profile]:
    """Read the profiles of one TOML file, by name. The first is the default.

    Raises:
        ConfigurationError: the file cannot be read, or says something that cannot be; names the
            file, the line, the profile and the key.
    """
    try:
        # Editors on Windows like to begin a file with a byte order mark.
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: {error}") from error
    tables = read_toml(text, str(path), ConfigurationError)
    if not tables:
        raise ConfigurationError(f"{path}: holds no profile")
    source = _Source(path, text)
    return {name: _profile(source, name, table) for name, table in tables.items()}


def smallest_inter_eye_distance_px(profiles: Iterable[Profile]) -> float:
    """Below it every one of `profiles` rejects; 0 where there is none, or one has no such limit."""
    return min((_least_inter_eye_distance_px(profile) for profile in profiles), default=0.0)


def in_force(profiles: Mapping[str, Profile], shadow: str | None) -> list[Profile]:
    """Those that faces are looked for on behalf of: all but the one in the shadow, and the default
    always."""
    default, *others = profiles.values()
    return [default, *(each for each in others if each.name != shadow)]


def wanted_inter_eye_distance_px(path: Path | None, shadow: str | None = None) -> float:
    """The same of the profiles in force in a file; in the embedded one when None.

    Raises:
        ConfigurationError: as for `read_profiles`.
    """
    profiles = read_profiles(path or EMBEDDED_PROFILES)
    return smallest_inter_eye_distance_px(in_force(profiles, shadow))


def _least_inter_eye_distance_px(profile: Profile) -> float:
    return max(
        (
            limit.at
            for limits in profile.components
            if (limits.component, limits.scale) == ("InterEyeDistance", "native_value")
            for limit in limits.limits
            if (limit.verdict, limit.side) == ("reject", "below")
        ),
        default=0.0,
    )


@dataclass(frozen=True, slots=True)
class _Source:
    """A file being read, and how to complain of a place in it."""

    path: Path
    text: str

    def wrong(self, place: Sequence[str], complaint: str) -> ConfigurationError:
        """The error about one key: `place` leads there from the profile's name on."""
        profile, *keys = place
        words = [".".join(keys), complaint] if keys else [complaint]
        return ConfigurationError(
            f"{self.path}, line {line_of(self.text, place)}: profile {profile}: {' '.join(words)}"
        )


Place = tuple[str, ...]


def _profile(source: _Source, name: str, value: object) -> Profile:
    place = (name,)
    # It travels in addresses, logs and labels of metrics.
    if not (name.isascii() and name.replace("-", "").replace("_", "").isalnum()):
        raise source.wrong(place, "a name is made of a–z, A–Z, 0–9, - and _")
    table = _table(source, place, value)
    required = ("version", "accept_at", "review_at", "multiple_faces")
    _check_keys(source, place, table, (*required, "detection_score", *get_args(Scale)))
    if missing := [key for key in required if key not in table]:
        raise source.wrong(place, f"lacks {missing[0]}")
    profile = Profile(
        name=name,
        version=_text(source, (*place, "version"), table["version"]),
        accept_at=_number(source, (*place, "accept_at"), table["accept_at"], 0, 100),
        review_at=_number(source, (*place, "review_at"), table["review_at"], 0, 100),
        multiple_faces=_verdict(source, (*place, "multiple_faces"), table["multiple_faces"]),
        detection_score=_detection_score(source, (*place, "detection_score"), table),
        components=tuple(_components(source, place, table)),
    )
    if profile.review_at > profile.accept_at:
        raise source.wrong(
            (*place, "review_at"),
            f"is {profile.review_at:g} and lies above accept_at, {profile.accept_at:g}",
        )
    return profile


def _detection_score(
    source: _Source, place: Place, profile: Mapping[str, object]
) -> tuple[Limit, ...]:
    if "detection_score" not in profile:
        return ()
    return _limits(source, place, profile["detection_score"], FROM_BELOW, (0, 1))


def _components(
    source: _Source, place: Place, profile: Mapping[str, object]
) -> Iterator[ComponentLimits]:
    scales: tuple[Scale, ...] = get_args(Scale)
    names: tuple[ComponentName, ...] = get_args(ComponentName)
    for scale in scales:
        within = (*place, scale)
        table = _table(source, within, profile.get(scale, {}))
        _check_keys(source, within, table, names)
        for name in names:
            if name in table:
                limits = _component_limits(source, (*within, name), table[name], name, scale)
                yield ComponentLimits(name, scale, limits)


def _component_limits(
    source: _Source, place: Place, value: object, name: ComponentName, scale: Scale
) -> tuple[Limit, ...]:
    objections = OBJECTIONS[name]
    if scale == "native_value":
        return _limits(source, place, value, objections.sides, objections.native_range)
    if objections.low_value is None:
        raise source.wrong(
            place, "has no value from 0 to 100, or a low one has several causes; use native_value"
        )
    return _limits(source, place, value, FROM_BELOW, (0, 100))


def _limits(
    source: _Source,
    place: Place,
    value: object,
    sides: Collection[Side],
    value_range: tuple[float, float],
) -> tuple[Limit, ...]:
    table = _table(source, place, value)
    _check_keys(source, place, table, LIMIT_KEYS)
    if not table:
        raise source.wrong(place, f"limits nothing: give it some of {', '.join(LIMIT_KEYS)}")
    found: list[Limit] = []
    for key, (verdict, side) in LIMIT_KEYS.items():
        if key not in table:
            continue
        here = (*place, key)
        if side not in sides:
            raise source.wrong(here, f"would refuse the better ones: use {' and '.join(sides)}")
        at = _number(source, here, table[key], *value_range)
        if found and not at > found[-1].at:
            before = f"{found[-1].verdict}_{found[-1].side}"
            raise source.wrong(here, f"is {at:g} and must lie above {before}, {found[-1].at:g}")
        found.append(Limit(verdict, side, at))
    return tuple(sorted(found, key=lambda limit: limit.verdict))  # "reject" before "review"


def _table(source: _Source, place: Place, value: object) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise source.wrong(place, f"must be a table, not {value!r}")
    return value


def _check_keys(
    source: _Source, place: Place, table: Mapping[str, object], known: Collection[str]
) -> None:
    for key in table:
        if key not in known:
            [*alike] = get_close_matches(key, known, n=1)
            advice = f"did you mean {alike[0]}?" if alike else f"known are {', '.join(known)}"
            raise source.wrong((*place, key), f"is not known; {advice}")


def _text(source: _Source, place: Place, value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise source.wrong(place, f"must be a text in quotes, not {value!r}")
    return value


def _number(source: _Source, place: Place, value: object, lowest: float, highest: float) -> float:
    # bool is an int to Python, and an int may be beyond all floats; false for nan.
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not lowest <= value <= min(highest, sys.float_info.max):  # type: ignore
        raise source.wrong(place, f"must be a number {_span(lowest, highest)}, not {value!r}")
    return float(value)  # type: ignore[arg-type]


def _span(lowest: float, highest: float) -> str:
    return f"from {lowest:g}" + ("" if math.isinf(highest) else f" to {highest:g}")


def _verdict(source: _Source, place: Place, value: object) -> Verdict:
    verdicts: tuple[Verdict, ...] = get_args(Verdict)
    for verdict in verdicts:
        if value == verdict:
            return verdict
    raise source.wrong(place, f"must be one of {', '.join(verdicts)}, not {value!r}")
