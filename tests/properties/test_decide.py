"""Decisions fail closed, whatever was found; and getting better never makes them worse."""

import dataclasses
import math
from typing import get_args

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from serfiq_core.decisions.decide import SEVERITY, decide
from serfiq_core.decisions.objections import OBJECTIONS
from serfiq_core.decisions.profiles import ComponentLimits, Limit, Profile, Scale
from serfiq_core.types import (
    ALIGNED_SIDE_PX,
    Component,
    ComponentName,
    Decision,
    Face,
    PreparedCapture,
)

ALIGNED = np.full((ALIGNED_SIDE_PX, ALIGNED_SIDE_PX, 3), 128, np.uint8)
NAMES: tuple[ComponentName, ...] = get_args(ComponentName)
ANYTHING = st.floats() | st.floats(-1, 101)
"""NaN and infinities among them."""


@st.composite
def limits_on(draw, name: ComponentName, scale: Scale) -> ComponentLimits:
    sides = OBJECTIONS[name].sides if scale == "native_value" else ("below",)
    places = sorted(draw(st.lists(st.floats(0, 100), min_size=4, max_size=4, unique=True)))
    ascending = [
        Limit("reject", "below", places[0]),
        Limit("review", "below", places[1]),
        Limit("review", "above", places[2]),
        Limit("reject", "above", places[3]),
    ]
    of_sides = [limit for limit in ascending if limit.side in sides]
    chosen = draw(st.lists(st.sampled_from(of_sides), min_size=1, unique=True))
    return ComponentLimits(name, scale, tuple(sorted(chosen, key=lambda limit: limit.verdict)))


@st.composite
def profiles(draw) -> Profile:
    review_at, accept_at = sorted((draw(st.floats(0, 100)), draw(st.floats(0, 100))))
    pairs = [(name, "native_value") for name in NAMES if OBJECTIONS[name].sides] + [
        (name, "value") for name in NAMES if OBJECTIONS[name].low_value
    ]
    limited = draw(st.lists(st.sampled_from(pairs), max_size=4, unique=True))
    return Profile(
        name="any",
        version="1",
        accept_at=accept_at,
        review_at=review_at,
        multiple_faces=draw(st.sampled_from(SEVERITY)),
        detection_score=draw(
            st.just(()) | st.floats(0, 1).map(lambda at: (Limit("reject", "below", at),))
        ),
        components=tuple(draw(limits_on(name, scale)) for name, scale in limited),
    )


def components(values: st.SearchStrategy[float]) -> st.SearchStrategy[tuple[Component, ...]]:
    one = st.builds(
        Component,
        name=st.sampled_from(NAMES),
        native_value=values,
        unit=st.just("1"),
        value=st.none() | values,
        approximate=st.booleans(),
    )
    return st.lists(one, max_size=12).map(tuple)


FACES = st.builds(
    Face,
    box_px=st.just((0.0, 0.0, 9.0, 9.0)),
    detection_score=st.floats(0, 1) | ANYTHING,
    landmarks_px=st.just(np.zeros((5, 2), np.float32)),
)
CAPTURES = st.builds(
    PreparedCapture,
    faces_found=st.none() | st.integers(-1, 3),
    face=st.none() | FACES,
    aligned=st.none() | st.just(ALIGNED),
    seconds=st.just({}),
    components=components(st.floats(0, 100) | ANYTHING),
)
SCORES = st.none() | st.floats(0, 100) | ANYTHING


def severity(decision: Decision) -> int:
    return SEVERITY.index(decision.verdict)


@settings(max_examples=400, deadline=None)
@given(profiles(), CAPTURES, SCORES)
def test_accept_means_that_every_check_was_made_and_passed(profile, prepared, quality_score):
    decision = decide(profile, prepared, quality_score)
    assert (decision.verdict == "accept") == (decision.reasons == ())
    assert severity(decision) == max(
        (SEVERITY.index(reason.verdict) for reason in decision.reasons), default=0
    )
    if decision.verdict != "accept":
        return
    assert quality_score is not None
    assert profile.accept_at <= quality_score <= 100
    detected = not (prepared.faces_found is None and prepared.face is None)
    if detected:
        assert prepared.face is not None
        assert prepared.faces_found == 1 or profile.multiple_faces == "accept"
        assert prepared.faces_found >= 1
        assert all(prepared.face.detection_score >= limit.at for limit in profile.detection_score)
    for limited in profile.components:
        if not detected and OBJECTIONS[limited.component].needs_detection:
            continue
        [*_, found] = [each for each in prepared.components if each.name == limited.component]
        value = getattr(found, limited.scale)
        assert value is not None
        assert math.isfinite(value)
        for limit in limited.limits:
            assert value >= limit.at if limit.side == "below" else value <= limit.at


@settings(max_examples=200, deadline=None)
@given(profiles(), components(st.floats(0, 100)), st.floats(0, 100), st.data())
def test_what_is_taken_away_never_helps(profile, found, quality_score, data):
    face = Face((0, 0, 9, 9), 1.0, np.zeros((5, 2), np.float32))
    whole = PreparedCapture(1, face, ALIGNED, components=found)
    before = decide(profile, whole, quality_score)
    assert severity(decide(profile, whole, None)) == severity(decide(profile, whole, math.nan)) == 2
    if not found:
        return
    gone = data.draw(st.sampled_from(found)).name
    kept = tuple(each for each in found if each.name != gone)
    ruined = tuple(
        dataclasses.replace(each, native_value=math.nan, value=None) if each.name == gone else each
        for each in found
    )
    for fewer in (kept, ruined):
        after = decide(profile, dataclasses.replace(whole, components=fewer), quality_score)
        assert severity(after) >= severity(before)
        if any(limited.component == gone for limited in profile.components):
            assert after.verdict == "reject"
            assert ("not_assessed", gone) in {(each.code, each.component) for each in after.reasons}


def inwards(value: float, limited: ComponentLimits, share: float) -> float:
    """`value` moved towards where no limit is broken."""
    lowest = max((limit.at for limit in limited.limits if limit.side == "below"), default=None)
    highest = min((limit.at for limit in limited.limits if limit.side == "above"), default=None)
    target = value
    if lowest is not None and value < lowest:
        target = lowest
    elif highest is not None and value > highest:
        target = highest
    return target if share == 1 else value + share * (target - value)


@settings(max_examples=200, deadline=None)
@given(
    profiles(),
    components(st.floats(0, 100)),
    st.floats(0, 100),
    st.floats(0, 1),
    st.floats(0, 1),
    st.data(),
)
def test_getting_better_never_makes_it_worse(
    profile, found, quality_score, detection_score, share, data
):
    face = Face((0, 0, 9, 9), detection_score, np.zeros((5, 2), np.float32))
    before = PreparedCapture(2, face, ALIGNED, components=found)
    worst = severity(decide(profile, before, quality_score))
    higher = data.draw(st.floats(quality_score, 100))
    assert severity(decide(profile, before, higher)) <= worst
    surer = dataclasses.replace(face, detection_score=data.draw(st.floats(detection_score, 1)))
    assert (
        severity(decide(profile, dataclasses.replace(before, face=surer), quality_score)) <= worst
    )
    alone = dataclasses.replace(before, faces_found=1)
    assert severity(decide(profile, alone, quality_score)) <= worst
    for limited in profile.components:
        better = tuple(
            dataclasses.replace(
                each, **{limited.scale: inwards(getattr(each, limited.scale), limited, share)}
            )
            if each.name == limited.component and getattr(each, limited.scale) is not None
            else each
            for each in found
        )
        after = decide(profile, dataclasses.replace(before, components=better), quality_score)
        assert severity(after) <= worst
