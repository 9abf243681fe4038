"""Whatever the landmarks and the pixels: numbers or nothing, and values within 0–100."""

from math import isfinite

import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from serfiq_core.align import align
from serfiq_core.components.capture import components_of, components_of_aligned
from serfiq_core.components.pose import head_pose
from serfiq_core.types import Face, Sample

COORDINATES = st.floats(-500, 1000, width=32)
LANDMARKS = arrays.arrays(np.float32, (5, 2), elements=COORDINATES)
FACE_LIKE = np.array([(100, 100), (160, 103), (133, 140), (112, 162), (150, 160)], np.float32)


def pixels_of(seed, height, width):
    small = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(small, (width, height)), np.uint8)


@settings(max_examples=60, deadline=None)
@given(
    landmarks=LANDMARKS,
    box=st.tuples(COORDINATES, COORDINATES, COORDINATES, COORDINATES),
    seed=st.integers(0, 1000),
    sides=st.tuples(st.integers(32, 300), st.integers(32, 300)),
    reduction=st.sampled_from((1, 2, 4, 8)),
)
def test_numbers_or_nothing(landmarks, box, seed, sides, reduction):
    sample = Sample(pixels_of(seed, *sides), reduction)
    faces = [Face(box, 0.9, landmarks), Face((1.0, 1.0, 5.0, 5.0), 0.8, landmarks)]
    aligned = align(sample.pixels, landmarks, reduction)
    with np.errstate(all="ignore"):
        components = components_of(sample, faces, aligned)
    names = [one.name for one in components]
    assert len(names) == len(set(names))
    for one in components:
        assert isfinite(one.native_value)
        assert one.value is None or 0 <= one.value <= 100


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000))
def test_mirrored_light_is_the_same_light(seed):
    face = pixels_of(seed, 112, 112)
    mirrored = np.ascontiguousarray(face[:, ::-1])
    before, after = (
        {one.name: one.native_value for one in components_of_aligned(pixels)}
        for pixels in (face, mirrored)
    )
    for name in ("LuminanceMean", "LuminanceVariance", "DynamicRange"):
        # The template's middle lies half a pixel beside that of its 112.
        assert abs(before[name] - after[name]) <= 0.03 * max(abs(before[name]), 0.1)


@settings(max_examples=60, deadline=None)
@given(
    noise=arrays.arrays(np.float32, (5, 2), elements=st.floats(-4, 4, width=32)),
    scale=st.floats(0.2, 20),
    shift=st.tuples(st.floats(-500, 500), st.floats(-500, 500)),
)
def test_pose_does_not_depend_on_size_or_place_and_mirrors(noise, scale, shift):
    landmarks = FACE_LIKE + noise
    pose = head_pose(landmarks)
    moved = head_pose((landmarks * scale + shift).astype(np.float32))
    assert abs(moved.yaw - pose.yaw) < 0.1
    assert abs(moved.pitch - pose.pitch) < 0.1
    mirrored = head_pose((landmarks * (-1, 1))[[1, 0, 2, 4, 3]].astype(np.float32))
    assert abs(mirrored.yaw + pose.yaw) < 0.1
    assert abs(mirrored.roll + pose.roll) < 0.1
    assert abs(mirrored.pitch - pose.pitch) < 0.1
