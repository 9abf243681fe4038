"""Views a student is shown: drawn from a generator alone, and damaged as far as they say."""

import numpy as np
import pytest

from serfiq_core.suitability.degradations import KINDS
from serfiq_core.training import views
from serfiq_core.training.views import Damage, random_view
from serfiq_core.types import AlignedFace, DegradationKind
from tests.photographs import astronaut

FACE: AlignedFace = np.ascontiguousarray(astronaut()[30:254:2, 112:336:2])
"""112×112, reduced; sharp."""


def test_a_view_depends_on_face_and_generator_alone() -> None:
    before = FACE.copy()
    first, again, other = (random_view(FACE, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert first.damages == again.damages
    assert (first.pixels == again.pixels).all()
    assert (first.pixels != other.pixels).any()
    assert (before == FACE).all()


def test_views_are_faces_and_all_kinds_of_damage_occur() -> None:
    drawn = [random_view(FACE, np.random.default_rng(seed)) for seed in range(400)]
    assert all(v.pixels.shape == FACE.shape and v.pixels.dtype == np.uint8 for v in drawn)
    assert {damage.kind for view in drawn for damage in view.damages} == set(KINDS)
    damaged = np.mean([bool(view.damages) for view in drawn])
    assert damaged == pytest.approx(views.DAMAGED_SHARE, abs=0.08)
    assert max(len(view.damages) for view in drawn) == 2
    severities = [damage.severity for view in drawn for damage in view.damages]
    assert views.MILDEST <= min(severities) < 1
    assert 5 < max(severities) <= views.WORST


@pytest.mark.parametrize("kind", KINDS)
def test_the_severer_the_further_from_the_face(kind: DegradationKind) -> None:
    def distance(severity: float) -> float:
        damage = views._DAMAGES[kind]
        seen = [damage(FACE, severity, np.random.default_rng(seed)) for seed in range(12)]
        return float(np.mean([np.abs(pixels - FACE.astype(float)).mean() for pixels in seen]))

    distances = [distance(severity) for severity in (0.2, 1.5, 3.0, 4.5, 5.5)]
    assert distances == sorted(distances)
    assert distances[0] > 0


def test_a_view_that_is_not_damaged_says_so() -> None:
    clean = next(
        view
        for view in (random_view(FACE, np.random.default_rng(seed)) for seed in range(50))
        if not view.damages
    )
    assert clean.damages == ()
    assert Damage("blur", 1.0) not in clean.damages
