"""The formulas of the components, against values worked out by hand, and what is left out."""

import json
from dataclasses import astuple
from math import cos, hypot, isfinite, isnan, log2, nan, radians

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from serfiq_core.align import ARCFACE_TEMPLATE_PX
from serfiq_core.components.capture import (
    components_of,
    components_of_aligned,
    components_without_face,
)
from serfiq_core.components.colour import natural_colour
from serfiq_core.components.detail import compression_artifacts, sharpness
from serfiq_core.components.face_region import FACE_HULL, luminance, visible_hull
from serfiq_core.components.geometry import EYES_TO_CHIN, placement, single_face_present
from serfiq_core.components.light import light_components
from serfiq_core.components.mapping import Sigmoid, clipped, sigmoid
from serfiq_core.components.pose import GENERIC_FACE_CM, VIEWING_DISTANCE_CM, head_pose
from serfiq_core.detection.mtcnn import MtcnnDetector
from serfiq_core.preparation.messages import prepared_message, read_prepared
from serfiq_core.preparation.prepare import Preparation
from serfiq_core.types import ALIGNED_SIDE_PX, Face, Sample
from tests.encoded import encoded
from tests.photographs import astronaut, sample

NEED_A_FACE = {
    "SingleFacePresent",
    "InterEyeDistance",
    "HeadSize",
    "LeftwardCropOfTheFaceImage",
    "RightwardCropOfTheFaceImage",
    "MarginAboveOfTheFaceImage",
    "MarginBelowOfTheFaceImage",
    "HeadPoseYaw",
    "HeadPosePitch",
    "HeadPoseRoll",
}
OF_PIXELS = {
    "LuminanceMean",
    "LuminanceVariance",
    "UnderExposurePrevention",
    "OverExposurePrevention",
    "DynamicRange",
    "IlluminationUniformity",
    "Sharpness",
    "CompressionArtifacts",
    "NaturalColour",
}
LANDMARKS = np.array([(100, 100), (160, 100), (130, 140), (110, 160), (150, 160)], np.float32)
"""60 px between the eyes, 60 px down to the mouth."""


def face(landmarks=LANDMARKS, box=(80.0, 60.0, 180.0, 200.0)):
    return Face(box, 0.99, np.asarray(landmarks, np.float32))


def grey(level, side=ALIGNED_SIDE_PX):
    return np.full((side, side, 3), level, np.uint8)


def by_name(components):
    return {one.name: one for one in components}


class TestMapping:
    def test_sigmoid_is_the_logistic_function(self):
        assert sigmoid(70, 70, 20) == 0.5
        assert sigmoid(90, 70, 20) == pytest.approx(0.7310586)
        assert sigmoid(-1e9, 0, 0.05) == 0.0

    def test_mapped_values_stay_within_0_and_100_and_nan_stays(self):
        assert Sigmoid(x0=0, w=0.05, h=200, a=1, s=-1)(0) == 100
        assert Sigmoid(x0=0.92, w=0.05, h=120, a=0.832, s=-1)(1) == 0
        assert isnan(Sigmoid(x0=0, w=1)(nan))
        assert isnan(clipped(nan))


class TestGeometry:
    @pytest.fixture
    def placed(self):
        return by_name(placement(face(), 300, 400, 0))

    def test_the_distance_between_the_eyes_is_in_pixels(self, placed):
        assert placed["InterEyeDistance"].native_value == 60
        # 100 / (1 + e^0.5)
        assert placed["InterEyeDistance"].value == pytest.approx(37.754, abs=1e-3)

    def test_a_turned_head_has_its_eyes_nearer(self):
        turned = by_name(placement(face(), 300, 400, -40))["InterEyeDistance"]
        assert turned.native_value == pytest.approx(60 / cos(radians(40)))

    @pytest.mark.parametrize("yaw", [75, -90, 180])
    def test_no_more_is_corrected_than_can_be_told(self, yaw):
        assert by_name(placement(face(), 300, 400, yaw))["InterEyeDistance"].native_value == (
            pytest.approx(120)
        )

    def test_head_size_is_a_share_of_the_height(self, placed):
        size = EYES_TO_CHIN * 60 / 400
        assert placed["HeadSize"].native_value == pytest.approx(size)
        # 200 (1 − σ(0.18555 / 0.05))
        assert placed["HeadSize"].value == pytest.approx(4.776, abs=0.01)

    def test_crops_are_in_distances_between_the_eyes(self, placed):
        assert placed["LeftwardCropOfTheFaceImage"].native_value == pytest.approx(100 / 60)
        assert placed["RightwardCropOfTheFaceImage"].native_value == pytest.approx(140 / 60)

    def test_margins_are_in_distances_to_the_chin(self, placed):
        chin = EYES_TO_CHIN * 60
        assert placed["MarginAboveOfTheFaceImage"].native_value == pytest.approx(100 / chin)
        assert placed["MarginBelowOfTheFaceImage"].native_value == pytest.approx(300 / chin)

    def test_one_face_is_single_and_a_second_counts_by_its_size(self):
        large, small = face(box=(0, 0, 100, 100)), face(box=(0, 0, 50, 50))
        assert astuple(single_face_present([large]))[1:4:2] == (0, 100)
        assert astuple(single_face_present([large, small]))[1:4:2] == (0.5, 50)
        assert astuple(single_face_present([]))[1:4:2] == (1, 0)


class TestPose:
    @pytest.mark.parametrize("yaw", [-35, 0, 20])
    @pytest.mark.parametrize("pitch", [-20, 0, 25])
    @pytest.mark.parametrize("roll", [-30, 0, 15])
    def test_the_generic_face_is_found_as_it_was_turned(self, yaw, pitch, roll):
        pose = head_pose(seen(yaw, pitch, roll))
        # The face is not always seen from the distance that is assumed.
        assert (pose.yaw, pose.pitch, pose.roll) == pytest.approx((yaw, pitch, roll), abs=0.6)

    def test_yaw_pitch_and_roll_are_positive_to_the_right_downwards_and_leaning_left(self):
        towards_right = LANDMARKS + np.array([(0, 0), (0, 0), (12, 0), (0, 0), (0, 0)])
        assert head_pose(towards_right.astype(np.float32)).yaw > 10
        down = LANDMARKS + np.array([(0, 0), (0, 0), (0, 12), (0, 0), (0, 0)])
        frontal = head_pose(LANDMARKS)
        assert head_pose(down.astype(np.float32)).pitch > frontal.pitch + 5
        leaning_left = LANDMARKS + np.array([(0, 15), (0, 0), (0, 0), (0, 0), (0, 0)])
        assert head_pose(leaning_left.astype(np.float32)).roll > 3

    @pytest.mark.parametrize(
        "landmarks", [np.zeros((5, 2)), np.full((5, 2), nan), np.full((5, 2), np.inf)]
    )
    def test_points_that_are_no_face_have_no_pose(self, landmarks):
        with np.errstate(invalid="ignore"):
            pose = head_pose(landmarks.astype(np.float32))
        assert all(map(isnan, (pose.yaw, pose.pitch, pose.roll)))


def seen(yaw, pitch, roll):
    """The generic face turned, by a camera in front of it."""
    across, up, around = (radians(angle) for angle in (-yaw, pitch, -roll))
    rotation = np.eye(3)
    for axis, angle in ((2, around), (1, across), (0, up)):
        rotation = rotation @ cv2.Rodrigues(np.eye(3)[axis] * angle)[0]
    points = (GENERIC_FACE_CM - GENERIC_FACE_CM.mean(0)) @ rotation.T
    depth = points[:, 2] + VIEWING_DISTANCE_CM
    return (1000 * points[:, :2] / depth[:, None] + 200).astype(np.float32)


class TestLight:
    def of(self, levels, left=None, right=None):
        patch = np.full((4, 4), 7, np.uint8)
        everywhere = np.ones_like(levels, bool)
        left, right = (patch if one is None else one for one in (left, right))
        return by_name(light_components(levels, everywhere, left, right))

    def test_mid_grey_is_a_fifth_of_white(self):
        # ((128/255 + 0.055) / 1.055)^2.4 = 0.2159, 55 of 255.
        assert (luminance(grey(128)) == 55).all()
        assert (luminance(grey(255)) == 255).all()
        assert (luminance(np.array([[(255, 0, 0)]], np.uint8)) == 54).all()

    def test_a_face_of_one_level_has_no_variance_and_no_range(self):
        lit = self.of(np.full((8, 8), 51, np.uint8))
        assert lit["LuminanceMean"].native_value == pytest.approx(0.2)
        assert lit["LuminanceMean"].value == pytest.approx(50, abs=1e-3)
        assert lit["LuminanceVariance"].native_value == pytest.approx(0)
        assert lit["DynamicRange"].native_value == 0

    def test_a_face_of_black_and_white_is_half_over_and_half_underexposed(self):
        lit = self.of(np.repeat(np.array([[0, 255]], np.uint8), 8, axis=0))
        assert lit["LuminanceVariance"].native_value == pytest.approx(0.25)
        # 100 sin(15/16 π)
        assert lit["LuminanceVariance"].value == pytest.approx(19.509, abs=1e-3)
        assert lit["DynamicRange"].native_value == 1
        assert lit["DynamicRange"].value == 12.5
        assert lit["OverExposurePrevention"].native_value == 0.5
        assert lit["OverExposurePrevention"].value == pytest.approx(1 / 0.51)
        assert lit["UnderExposurePrevention"].native_value == 0.5

    def test_a_face_of_all_levels_has_the_whole_range(self):
        lit = self.of(np.arange(256, dtype=np.uint8).reshape(16, 16))
        assert lit["DynamicRange"].native_value == pytest.approx(log2(256))
        assert lit["UnderExposurePrevention"].native_value == pytest.approx(26 / 256)
        assert lit["OverExposurePrevention"].native_value == pytest.approx(9 / 256)

    def test_uniformity_is_the_share_of_levels_that_both_cheeks_have(self):
        left = np.array([[1, 2, 3, 4]], np.uint8)
        right = np.array([[4, 5, 6, 7]], np.uint8)
        uniform = self.of(np.zeros((2, 2), np.uint8), left, right)["IlluminationUniformity"]
        assert uniform.native_value == 0.25
        assert uniform.value == pytest.approx(100 * 0.25**0.3)


class TestColour:
    @pytest.mark.parametrize("rgb", [(204, 186, 166), (190, 185, 178), (240, 110, 60)])
    def test_distances_are_those_of_another_conversion(self, rgb):
        profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        convert = ImageCms.buildTransform(*profiles, "RGB", "LAB")
        converted = ImageCms.applyTransform(Image.new("RGB", (1, 1), rgb), convert)
        assert converted is not None
        _, a, b = np.asarray(converted)[0, 0].astype(np.int8).tolist()
        expected = hypot(max(5 - a, a - 25, 0), max(5 - b, b - 35, 0))
        assert expected > 0
        found = natural_colour(np.full((3, 3, 3), rgb, np.uint8)).native_value
        assert found == pytest.approx(expected, abs=1)  # that one rounds to whole units

    def test_grey_is_no_natural_colour(self):
        assert natural_colour(grey(128)).value < 0.1

    def test_skin_is_a_natural_colour(self):
        assert natural_colour(np.full((3, 3, 3), (200, 150, 120), np.uint8)).value == 100

    def test_blue_is_no_natural_colour(self):
        assert natural_colour(np.full((3, 3, 3), (40, 60, 200), np.uint8)).native_value == 100


class TestDetail:
    def test_noise_is_sharp_and_a_slope_is_not(self):
        everywhere = np.ones((ALIGNED_SIDE_PX, ALIGNED_SIDE_PX), bool)
        noise = np.random.default_rng(0).integers(0, 255, (112, 112, 3)).astype(np.uint8)
        slope = np.tile(np.arange(112, dtype=np.uint8)[:, None], (1, 112))[..., None].repeat(3, 2)
        slope = slope + slope.transpose(1, 0, 2)
        assert sharpness(noise, everywhere).native_value > 0.8
        assert sharpness(slope, everywhere).native_value < 0.01

    def test_contrast_is_not_sharpness(self):
        noise = np.random.default_rng(0).integers(0, 64, (112, 112, 3)).astype(np.uint8)
        everywhere = np.ones((ALIGNED_SIDE_PX, ALIGNED_SIDE_PX), bool)
        once, thrice = (sharpness(noise * gain, everywhere).native_value for gain in (1, 3))
        assert once == pytest.approx(thrice, abs=0.01)

    @pytest.mark.parametrize("left", range(8))
    def test_blocks_are_found_wherever_the_grid_starts(self, left):
        # Steps of 1 within blocks, and of 9 between them.
        line = np.cumsum(np.where(np.arange(80) % 8 == left, 9, 1)) % 200
        pixels = np.tile(line.astype(np.uint8), (80, 1))
        pixels = ((pixels.astype(int) + pixels.T) // 2).astype(np.uint8)[..., None].repeat(3, 2)
        found = compression_artifacts(pixels[:16, :16], (0, 0, 16, 16), 1)
        assert found is not None
        assert found.native_value < 0.5

    def test_what_was_decoded_much_smaller_has_no_blocks(self):
        noise = np.random.default_rng(0).integers(0, 255, (80, 80, 3)).astype(np.uint8)
        assert compression_artifacts(noise, (0, 0, 80, 80), 2) is not None
        assert compression_artifacts(noise, (0, 0, 80, 80), 4) is None
        assert compression_artifacts(noise, (10, 10, 10, 80), 1) is None


class TestVisibleHull:
    def test_a_face_within_the_capture_is_seen_whole(self):
        identity = np.eye(3)[:2]
        assert (visible_hull(identity, 112, 112) == FACE_HULL).all()

    def test_a_face_cut_in_half_is_half_seen(self):
        seen_part = visible_hull(np.eye(3)[:2], 66, 112)
        assert seen_part is not None
        assert not seen_part[:, 66:].any()

    def test_of_a_face_beyond_the_edge_nothing_is_said(self):
        assert visible_hull(np.eye(3)[:2], 50, 112) is None


class TestCapture:
    @pytest.fixture(scope="class")
    @classmethod
    def preparation(cls):
        return Preparation(MtcnnDetector())

    def test_a_portrait_has_all_of_them(self, preparation):
        capture = preparation.prepare(encoded(Image.fromarray(astronaut()), "JPEG", quality=90))
        named = by_name(capture.components)
        assert set(named) == NEED_A_FACE | OF_PIXELS
        assert named["InterEyeDistance"].native_value == pytest.approx(44, abs=3)
        assert abs(named["HeadPoseRoll"].native_value) < 10
        assert all(one.value is None or 0 <= one.value <= 100 for one in capture.components)
        assert capture.seconds["components"] > 0

    def test_an_aligned_face_has_those_of_pixels(self, preparation):
        portrait = preparation.prepare(encoded(Image.fromarray(astronaut()), "PNG"))
        assert portrait.aligned is not None
        aligned = encoded(Image.fromarray(portrait.aligned), "PNG")
        capture = preparation.prepare(aligned, aligned=True)
        assert set(by_name(capture.components)) == OF_PIXELS
        same = OF_PIXELS - {"CompressionArtifacts"}  # which looks at the pixels of the file
        before, after = by_name(portrait.components), by_name(capture.components)
        assert {before[name] for name in same} == {after[name] for name in same}

    def test_no_face_is_no_single_face(self, preparation):
        capture = preparation.prepare(encoded(Image.fromarray(grey(120, 200)), "PNG"))
        assert capture.components == components_without_face()
        assert by_name(capture.components)["SingleFacePresent"].value == 0

    def test_they_survive_the_way_between_processes_to_the_bit(self, preparation):
        capture = preparation.prepare(encoded(Image.fromarray(astronaut()), "PNG"))
        header, payload = prepared_message(capture)
        assert read_prepared(json.loads(json.dumps(header)), payload).components == (
            capture.components
        )

    def test_a_flat_face_has_no_sharpness_and_no_blocks(self):
        names = set(by_name(components_of_aligned(grey(120))))
        assert OF_PIXELS - names == {"Sharpness", "CompressionArtifacts"}

    @pytest.mark.parametrize("landmarks", [np.zeros((5, 2)), np.full((5, 2), nan)])
    def test_what_is_no_number_is_left_out(self, landmarks):
        pixels = astronaut()
        aligned = pixels[:ALIGNED_SIDE_PX, :ALIGNED_SIDE_PX]
        box = (nan, nan, nan, nan)
        with np.errstate(all="ignore"):
            components = components_of(sample(pixels), [face(landmarks, box)], aligned)
        assert all(isfinite(one.native_value) for one in components)
        assert "HeadPoseYaw" not in by_name(components)
        assert "InterEyeDistance" not in by_name(components)

    def test_sizes_are_those_of_the_file_when_it_was_decoded_smaller(self):
        half = Sample(astronaut()[::2, ::2], reduction=2)
        where = np.array([(204, 101), (247, 103), (225, 128), (202, 139), (245, 141)])
        found = face(where, (180.0, 60.0, 270.0, 170.0))
        whole = by_name(components_of(sample(astronaut()), [found], grey(9)))
        halved = by_name(components_of(half, [found], grey(9)))
        for name in NEED_A_FACE:
            assert halved[name].native_value == whole[name].native_value

    def test_the_template_faces_the_camera(self):
        pose = head_pose(ARCFACE_TEMPLATE_PX.astype(np.float32))
        assert abs(pose.yaw) < 2
        assert abs(pose.roll) < 2
        assert abs(pose.pitch) < 10
