"""Alignment: the transform by its definition, and against InsightFace's own."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from insightface.utils.face_align import norm_crop
from skimage.transform import SimilarityTransform

from serfiq_core.align import ARCFACE_TEMPLATE_PX, align, check_aligned, similarity
from serfiq_core.errors import NotAlignedError
from tests.photographs import astronaut, enlarged, sample

LANDMARKS_PX = np.array([(204, 101), (247, 103), (225, 128), (202, 139), (245, 141)], np.float32)
"""Of the astronaut."""


def turned(points, scale, angle, shift):
    cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
    return points @ np.array([(cosine, sine), (-sine, cosine)]) + shift


class TestSimilarity:
    @settings(max_examples=100, deadline=None)
    @given(
        scale=st.floats(0.01, 100),
        angle=st.floats(-np.pi, np.pi),
        x=st.floats(-1e4, 1e4),
        y=st.floats(-1e4, 1e4),
    )
    def test_it_undoes_what_was_done_to_the_template(self, scale, angle, x, y):
        source = turned(ARCFACE_TEMPLATE_PX, scale, angle, (x, y))
        transform = similarity(source, ARCFACE_TEMPLATE_PX)
        back = np.column_stack((source, np.ones(5))) @ transform.T
        np.testing.assert_allclose(back, ARCFACE_TEMPLATE_PX, atol=1e-6)

    @settings(max_examples=100, deadline=None)
    @given(seed=st.integers(0, 2**32 - 1), noise=st.floats(0, 20))
    def test_it_is_the_least_squares_transform_of_umeyama(self, seed, noise):
        rng = np.random.default_rng(seed)
        source = ARCFACE_TEMPLATE_PX + rng.normal(0, noise, (5, 2))
        expected = SimilarityTransform.from_estimate(source, ARCFACE_TEMPLATE_PX).params[:2]
        transform = similarity(source, ARCFACE_TEMPLATE_PX)
        np.testing.assert_allclose(transform, expected, atol=1e-6)


class TestAlign:
    @pytest.mark.filterwarnings("ignore:`estimate` is deprecated:FutureWarning")
    def test_it_is_what_insightface_gives_at_normal_sizes(self):
        for factor in (0.3, 1, 1.5):
            pixels, landmarks = enlarged(astronaut(), factor), LANDMARKS_PX * factor
            difference = align(pixels, landmarks).astype(int) - norm_crop(pixels, landmarks)
            assert np.abs(difference).max() <= 1

    @pytest.mark.parametrize("factor", [2, 3, 5, 8])
    def test_a_larger_photograph_of_a_face_gives_the_same_face(self, factor):
        once = align(astronaut(), LANDMARKS_PX).astype(int)
        landmarks = (LANDMARKS_PX + 0.5) * factor - 0.5
        larger = align(enlarged(astronaut(), factor), landmarks)
        assert np.abs(larger - once).mean() < 2

    def test_a_large_face_does_not_alias(self):
        # One-pixel stripes, eight times too fine for the aligned face, which can show their mean.
        stripes = np.zeros((1200, 1200, 3), np.uint8)
        stripes[::2] = 255
        landmarks = (ARCFACE_TEMPLATE_PX * 8.2 + 100).astype(np.float32)
        aligned = align(stripes, landmarks)
        assert np.abs(aligned.astype(int) - 127).max() <= 2

    @pytest.mark.parametrize("factor", [1, 2.5, 7])
    def test_the_whole_square_is_filled_where_the_image_has_pixels(self, factor):
        white = np.full((1500, 1500, 3), 255, np.uint8)
        landmarks = turned(ARCFACE_TEMPLATE_PX, factor, 0.3, (400, 300)).astype(np.float32)
        assert (align(white, landmarks) == 255).all()

    def test_landmarks_land_on_the_template(self):
        pixels = np.zeros((300, 300, 3), np.uint8)
        landmarks = turned(ARCFACE_TEMPLATE_PX, 1.5, -0.4, (60, 90)).astype(np.float32)
        for x, y in landmarks:
            cv2.circle(pixels, (round(float(x)), round(float(y))), 3, (255, 255, 255), -1)
        aligned = align(pixels, landmarks)
        for x, y in ARCFACE_TEMPLATE_PX:
            assert (aligned[round(y), round(x)] > 200).all()

    def test_a_face_cut_by_the_edge_is_black_there(self):
        white = np.full((200, 200, 3), 255, np.uint8)
        aligned = align(white, (ARCFACE_TEMPLATE_PX - (50, 0)).astype(np.float32))
        assert (aligned[:, :49] == 0).all()
        assert (aligned[:, 51:] == 255).all()

    @pytest.mark.parametrize("far", [-1e6, 1e6])
    def test_landmarks_outside_the_image_give_black(self, far):
        white = np.full((200, 200, 3), 255, np.uint8)
        aligned = align(white, (ARCFACE_TEMPLATE_PX + far).astype(np.float32))
        assert aligned.shape == (112, 112, 3)
        assert not aligned.any()

    def test_landmarks_that_all_coincide_still_give_an_image(self):
        aligned = align(astronaut(), np.full((5, 2), 100, np.float32))
        assert aligned.shape == (112, 112, 3)
        assert aligned.dtype == np.uint8

    def test_an_image_wider_than_opencv_warps(self):
        wide = np.zeros((120, 40_000, 3), np.uint8)
        wide[:, 39_000:] = 255
        landmarks = turned(ARCFACE_TEMPLATE_PX, 1, 0, (39_500, 4)).astype(np.float32)
        assert (align(wide, landmarks) == 255).all()

    def test_the_same_face_twice_gives_the_same_pixels(self):
        first, second = (align(astronaut(), LANDMARKS_PX) for _ in range(2))
        np.testing.assert_array_equal(first, second)


class TestCheckAligned:
    def test_the_aligned_size_is_taken_as_it_is(self):
        pixels = astronaut()[:112, :112]
        assert check_aligned(sample(pixels)) is pixels

    @pytest.mark.parametrize("shape", [(112, 113), (111, 112), (512, 512)])
    def test_any_other_is_refused_with_its_size(self, shape):
        height, width = shape
        with pytest.raises(NotAlignedError, match=f"{width}×{height}"):
            check_aligned(sample(np.zeros((*shape, 3), np.uint8)))
