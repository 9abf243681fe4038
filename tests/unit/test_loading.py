"""What is made of a pack: here, which faces its detector looks for."""

import dataclasses

import pytest

from serfiq_core.decide import read_profiles
from serfiq_core.loading import load_detector
from serfiq_core.packs.registry import default_packs_dir, find_pack
from tests.photographs import astronaut, enlarged, sample

(ENROLMENT,) = read_profiles().values()
SMALL = sample(enlarged(astronaut(), 0.23))
"""Some 10 pixels between the eyes."""


@pytest.fixture(scope="module")
def pack():
    return find_pack("compact", default_packs_dir())


def test_without_profiles_small_faces_are_looked_for(pack):
    assert len(load_detector(pack).detect(SMALL)) == 1


def test_faces_far_too_small_for_every_profile_are_not(pack):
    assert load_detector(pack, [ENROLMENT]).detect(SMALL) == []


def test_the_least_demanding_profile_decides(pack):
    lenient = dataclasses.replace(ENROLMENT, name="lenient", inter_eye_distance_min_px=16)
    assert len(load_detector(pack, [ENROLMENT, lenient]).detect(SMALL)) == 1
