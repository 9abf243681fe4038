"""Six kinds, five severities: deterministic, ever worse, and never touching the face given."""

from itertools import pairwise

import numpy as np
import pytest

from serfiq_core.importing.reference_faces import reference_faces
from serfiq_core.suitability.degradations import GREY, KINDS, OCCLUDED_SHARES, SEVERITIES, degrade
from serfiq_core.types import ALIGNED_SIDE_PX


@pytest.fixture(scope="module")
def face():
    return reference_faces()[0]


def harm(face, worse):
    return float(np.sqrt(np.mean((face.astype(float) - worse) ** 2)))


@pytest.mark.parametrize("kind", KINDS)
def test_each_severity_harms_more_than_the_one_below(face, kind):
    before = face.copy()
    ladder = [degrade(face, kind, severity, seed=3) for severity in (0, *SEVERITIES)]
    assert np.array_equal(face, before)
    assert np.array_equal(ladder[0], face)
    assert ladder[0] is not face
    for worse in ladder:
        assert worse.shape == face.shape
        assert worse.dtype == np.uint8
    harms = [harm(face, worse) for worse in ladder]
    assert (np.diff(harms) > 0).all(), harms
    # The first can be seen, the last is no photograph that a desk would take.
    assert harms[1] > 1
    assert harms[-1] > 15


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_arguments_give_the_same_pixels(face, kind):
    for severity in SEVERITIES:
        once, again = (degrade(face, kind, severity, seed=7) for _ in range(2))
        assert np.array_equal(once, again)


@pytest.mark.parametrize("kind", ["noise", "occlusion"])
def test_chance_comes_from_the_seed(face, kind):
    assert not np.array_equal(degrade(face, kind, 3, seed=0), degrade(face, kind, 3, seed=1))


@pytest.mark.parametrize("seed", range(5))
def test_an_obstacle_grows_and_has_the_share_it_says(seed):
    white = np.full((ALIGNED_SIDE_PX, ALIGNED_SIDE_PX, 3), 255, np.uint8)
    hidden = [(degrade(white, "occlusion", s, seed) == GREY).all(2) for s in SEVERITIES]
    shares = [mask.mean() for mask in hidden]
    assert np.allclose(shares, OCCLUDED_SHARES, atol=0.01)
    for smaller, larger in pairwise(hidden):
        assert larger[smaller].all()


def test_darkness_is_a_halving_of_the_light():
    white = np.full((ALIGNED_SIDE_PX, ALIGNED_SIDE_PX, 3), 255, np.uint8)
    light = [(degrade(white, "darkness", severity)[0, 0, 0] / 255) ** 2.2 for severity in (1, 2, 3)]
    assert np.allclose(light, [0.5, 0.25, 0.125], atol=0.005)


@pytest.mark.parametrize(
    ("wrong", "severity", "complaint"),
    [
        (np.zeros((100, 112, 3), np.uint8), 1, "112×112×3 uint8"),
        (np.zeros((112, 112, 3), np.float32), 1, "112×112×3 uint8"),
        (np.zeros((112, 112, 3), np.uint8), 6, "severities are 0 to 5"),
        (np.zeros((112, 112, 3), np.uint8), -1, "severities are 0 to 5"),
    ],
)
def test_what_is_no_aligned_face_or_no_severity_is_refused(wrong, severity, complaint):
    with pytest.raises(ValueError, match=complaint):
        degrade(wrong, "blur", severity)
