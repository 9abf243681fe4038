"""What is made of a pack: which faces its detector looks for, and by what it decides."""

import dataclasses

import pytest

from serfiq_core.decisions.profiles import (
    ComponentLimits,
    Limit,
    read_profiles,
    smallest_inter_eye_distance_px,
)
from serfiq_core.errors import ConfigurationError
from serfiq_core.loading import load_detector, load_pipeline
from serfiq_core.packs.registry import embedded_pack
from tests.photographs import astronaut, enlarged, sample

ENROLMENT = read_profiles()["enrolment"]
SMALL = sample(enlarged(astronaut(), 0.23))
"""Some 10 pixels between the eyes."""


def wanted_px(*profiles):
    return smallest_inter_eye_distance_px(profiles)


@pytest.fixture(scope="module")
def pack():
    return embedded_pack()


def test_without_profiles_small_faces_are_looked_for(pack):
    assert len(load_detector(pack).detect(SMALL)) == 1


def test_faces_far_too_small_for_every_profile_are_not(pack):
    assert load_detector(pack, wanted_px(ENROLMENT)).detect(SMALL) == []


def test_the_least_demanding_profile_decides(pack):
    limits = ComponentLimits("InterEyeDistance", "native_value", (Limit("reject", "below", 16),))
    lenient = dataclasses.replace(ENROLMENT, name="lenient", components=(limits,))
    assert len(load_detector(pack, wanted_px(ENROLMENT, lenient)).detect(SMALL)) == 1


def test_a_shadow_profile_that_does_not_exist_is_refused_and_the_known_are_named(pack):
    with pytest.raises(ConfigurationError, match=r"no profile gala .* shadow; there are enrolment"):
        load_pipeline(pack, device="cpu", shadow_profile="gala")


def test_profiles_that_are_wrong_are_refused_with_their_line(pack, tmp_path):
    path = tmp_path / "profiles.toml"
    path.write_text("[desk]\nversion = 3\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"profiles\.toml, line 1: profile desk: lacks"):
        load_pipeline(pack, device="cpu", profiles_path=path)
