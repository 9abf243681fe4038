"""One capture held against one profile: the verdict, and every reason that is not `accept`.

Fails closed: what could not be assessed is rejected, and `accept` needs every check passed. This
file knows what was found in a capture; no images, no networks, no words for people and no HTTP.
"""

import math
from collections.abc import Iterable, Iterator
from typing import get_args

from serfiq_core.decisions.objections import OBJECTIONS
from serfiq_core.decisions.profiles import ComponentLimits, Limit, Profile
from serfiq_core.types import (
    Component,
    ComponentName,
    Decision,
    PreparedCapture,
    Reason,
    ReasonCode,
    Verdict,
)

SEVERITY: tuple[Verdict, ...] = get_args(Verdict)
"""Mildest first."""

PERCENT = "0-100"
"""The unit of `quality_score` and of components' mapped values."""


def decide(profile: Profile, prepared: PreparedCapture, quality_score: float | None) -> Decision:
    """Hold one capture against a profile.

    A capture that came aligned has no place in a photograph: what needs a detection is not asked
    of it. Whatever else the profile limits must be there, and be a number.

    Args:
        profile: the limits.
        prepared: what was found in the capture.
        quality_score: 0 to 100, or None when it could not be computed.
    """
    if prepared.faces_found == 0:
        return _decision(profile, [Reason("no_face", "reject", 0, 1)])
    came_aligned = prepared.faces_found is None and prepared.face is None
    return _decision(
        profile,
        [
            *([] if came_aligned else _about_detection(profile, prepared)),
            *_about_components(profile, prepared.components, came_aligned),
            *_about_usefulness(profile, quality_score),
        ],
    )


def _about_detection(profile: Profile, prepared: PreparedCapture) -> Iterator[Reason]:
    found, face = prepared.faces_found, prepared.face
    if found is None or found < 1 or face is None:
        yield Reason("not_assessed", "reject")
        return
    if found > 1 and profile.multiple_faces != "accept":
        yield Reason("multiple_faces", profile.multiple_faces, found, 1)
    score = face.detection_score
    if not 0 <= score <= 1:
        yield Reason("not_assessed", "reject")
    elif limit := _broken(profile.detection_score, score):
        yield Reason("low_detection_score", limit.verdict, score, limit.at)


def _about_components(
    profile: Profile, components: Iterable[Component], came_aligned: bool
) -> Iterator[Reason]:
    found = {component.name: component for component in components}
    missing: set[ComponentName] = set()
    for limits in profile.components:
        name = limits.component
        if came_aligned and OBJECTIONS[name].needs_detection:
            continue
        value, unit = _reading(found.get(name), limits)
        if value is None or not math.isfinite(value):
            missing.add(name)
        elif limit := _broken(limits.limits, value):
            code = _code(limits, limit)
            yield Reason(code, limit.verdict, value, limit.at, unit, name)
    for name in sorted(missing):
        yield Reason("not_assessed", "reject", component=name)


def _about_usefulness(profile: Profile, quality_score: float | None) -> Iterator[Reason]:
    if quality_score is None or not 0 <= quality_score <= 100:
        yield Reason("not_assessed", "reject")
    elif limit := _broken(profile.quality_score, quality_score):
        yield Reason("low_quality", limit.verdict, quality_score, limit.at, PERCENT)


def _broken(limits: Iterable[Limit], value: float) -> Limit | None:
    """The gravest that is."""
    return next((limit for limit in limits if limit.is_broken_by(value)), None)


def _reading(
    component: Component | None, limits: ComponentLimits
) -> tuple[float | None, str | None]:
    """The number that the limits are on, and its unit."""
    if component is None:
        return None, None
    if limits.scale == "native_value":
        return component.native_value, component.unit
    return component.value, PERCENT


def _code(limits: ComponentLimits, limit: Limit) -> ReasonCode:
    objections = OBJECTIONS[limits.component]
    if limits.scale == "value":
        code = objections.low_value
    else:
        code = objections.below if limit.side == "below" else objections.above
    # Profiles are read so that there is one; without, the capture is refused all the same.
    return code or "not_assessed"


def _decision(profile: Profile, reasons: list[Reason]) -> Decision:
    gravest_first = sorted(reasons, key=lambda reason: SEVERITY.index(reason.verdict), reverse=True)
    verdict = gravest_first[0].verdict if gravest_first else SEVERITY[0]
    return Decision(verdict, tuple(gravest_first), profile.name, profile.version)
