"""Faces of people who do not exist: between two others, and of other proportions."""

import numpy as np

from serfiq_core.training.made_up_faces import blend, made_up_faces, reshape


def test_a_blend_lies_between_its_faces_and_is_neither() -> None:
    dark = np.full((112, 112, 3), 40, np.uint8)
    light = np.full((112, 112, 3), 200, np.uint8)
    for seed in range(30):
        blended = blend(dark, light, np.random.default_rng(seed))
        assert blended.min() >= 39
        assert blended.max() <= 200
        assert 60 < blended.mean() < 180


def test_what_is_done_to_one_side_of_a_face_is_done_to_the_other() -> None:
    ramp = np.abs(np.linspace(-110, 110, 112))[None, :, None].repeat(112, 0).repeat(3, 2)
    face = np.rint(ramp + np.linspace(0, 100, 112)[:, None, None]).astype(np.uint8)
    for seed in range(10):
        reshaped = reshape(face, 3.0, np.random.default_rng(seed))
        # Mirrored about its middle as the face itself is, which pixel centres split.
        difference = reshaped.astype(int) - reshaped[:, ::-1]
        assert np.abs(difference).max() <= 1
        assert (reshaped != face).mean() > 0.5


def test_reshaping_moves_pixels_about_as_far_as_it_is_told() -> None:
    across = np.arange(112, dtype=np.uint8)[None, :, None].repeat(112, 0).repeat(3, 2)
    for sigma in (1.0, 3.0):
        moved = [
            reshape(across, sigma, np.random.default_rng(seed))[30:82, 30:82, 0].astype(int)
            - across[30:82, 30:82, 0]
            for seed in range(40)
        ]
        assert 0.4 * sigma < np.std(moved) < 1.2 * sigma


def test_a_face_that_is_not_displaced_stays_as_it_is() -> None:
    face = np.random.default_rng(0).integers(0, 256, (112, 112, 3), np.uint8)
    assert (reshape(face, 0.0, np.random.default_rng(0)) == face).all()


def test_no_two_are_the_same_and_the_generator_draws_them() -> None:
    faces = np.random.default_rng(0).integers(0, 256, (3, 112, 112, 3), np.uint8)
    made, again, other = (
        np.stack(list(made_up_faces(faces, 20, np.random.default_rng(seed)))) for seed in (1, 1, 2)
    )
    assert len(np.unique(made.reshape(20, -1), axis=0)) == 20
    assert (made == again).all()
    assert (made != other).any()
