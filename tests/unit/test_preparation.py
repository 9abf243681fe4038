"""From bytes to the aligned face: large photographs are decoded no larger than they need to be."""

import numpy as np
import pytest
from PIL import Image

from serfiq_core.align import align
from serfiq_core.decode import decode
from serfiq_core.detection.mtcnn import WORKING_SIDE_PX, MtcnnDetector
from serfiq_core.errors import NotAlignedError
from serfiq_core.preparation.prepare import Preparation
from serfiq_core.types import ALIGNED_SIDE_PX, Face, Sample
from tests.encoded import encoded
from tests.photographs import astronaut, enlarged

FACTOR = 2 * WORKING_SIDE_PX // 512 + 1
LARGE = encoded(Image.fromarray(enlarged(astronaut(), FACTOR)), "JPEG", quality=92)
"""The portrait with more than twice the pixels along a side that detection looks at."""
EYES_AND_MOUTH = np.array([(204, 101), (247, 103), (225, 128), (202, 139), (245, 141)])


class OneFace:
    """Finds the portrait's face at a size given in pixels of the file, in samples of any size."""

    def __init__(self, working_side_px: int, scale: float = 1.0) -> None:
        self.working_side_px = working_side_px
        self.scale = scale
        self.seen: list[Sample] = []

    def detect(self, sample: Sample) -> list[Face]:
        self.seen.append(sample)
        landmarks = (EYES_AND_MOUTH * self.scale / sample.reduction).astype(np.float32)
        box = (*landmarks.min(0).tolist(), *landmarks.max(0).tolist())
        return [Face(box, 0.99, landmarks)]


@pytest.fixture(scope="module")
def detector():
    return MtcnnDetector()


class TestLargePhotographs:
    def test_the_face_is_that_of_the_whole_file(self, detector):
        capture = Preparation(detector).prepare(LARGE)
        whole = decode(LARGE)
        (expected, *_) = detector.detect(whole)
        assert decode(LARGE, longer_side_px=detector.working_side_px).reduction == 2
        assert capture.face is not None
        # In pixels of the file; two of them are one of those that detection saw.
        np.testing.assert_allclose(capture.face.landmarks_px, expected.landmarks_px, atol=4)
        np.testing.assert_allclose(capture.face.box_px, expected.box_px, atol=20)
        assert capture.face.inter_eye_distance_px == pytest.approx(FACTOR * 43, rel=0.05)
        aligned = align(whole.pixels, expected.landmarks_px)
        assert capture.aligned is not None
        assert np.abs(capture.aligned.astype(int) - aligned).mean() < 3

    def test_a_small_face_is_aligned_from_the_whole_file(self, detector):
        person = enlarged(astronaut(), 1.3)
        scene = np.full((2 * WORKING_SIDE_PX, 2 * WORKING_SIDE_PX, 3), 90, np.uint8)
        scene[700 : 700 + len(person), 900 : 900 + len(person)] = person
        data = encoded(Image.fromarray(scene), "JPEG", quality=92)
        capture = Preparation(detector).prepare(data)
        assert capture.face is not None
        # Enough for an aligned face, but not at half the size.
        assert 35 < capture.face.inter_eye_distance_px < 70
        expected = 1.3 * EYES_AND_MOUTH + (900, 700)
        np.testing.assert_allclose(capture.face.landmarks_px, expected, atol=8)
        whole = align(decode(data).pixels, capture.face.landmarks_px)
        np.testing.assert_array_equal(capture.aligned, whole)

    def test_a_file_of_the_size_that_detection_needs_is_read_whole(self):
        detector = OneFace(working_side_px=300)
        data = encoded(Image.fromarray(astronaut()), "JPEG")
        Preparation(detector).prepare(data)
        assert [sample.reduction for sample in detector.seen] == [1]

    @pytest.mark.parametrize("orientation", [1, 3, 6, 8])
    def test_coordinates_are_those_of_the_upright_file(self, detector, orientation):
        turned = {1: 0, 3: 2, 6: 1, 8: 3}[orientation]
        exif = Image.Exif()
        exif[0x0112] = orientation
        stored = np.rot90(enlarged(astronaut(), FACTOR), turned)
        data = encoded(Image.fromarray(np.ascontiguousarray(stored)), "JPEG", exif=exif)
        face = Preparation(detector).prepare(data).face
        assert face is not None
        np.testing.assert_allclose(face.landmarks_px / FACTOR, EYES_AND_MOUTH, atol=4)


class TestPixelsOfTheAlignedFace:
    """The portrait's eyes are 43 pixels apart, those of an aligned face 35."""

    DATA = encoded(Image.fromarray(enlarged(astronaut(), 4)), "JPEG", quality=95)

    def prepared(self, working_side_px):
        detector = OneFace(working_side_px, scale=4)
        capture = Preparation(detector).prepare(self.DATA)
        assert capture.aligned is not None
        assert capture.face is not None
        np.testing.assert_allclose(capture.face.landmarks_px, 4 * EYES_AND_MOUTH, rtol=1e-5)
        return detector.seen[0].reduction, capture.aligned

    def test_they_come_from_the_reduced_sample_where_it_has_enough(self):
        reduction, aligned = self.prepared(working_side_px=512)
        assert reduction == 4
        reduced = decode(self.DATA, longer_side_px=512)
        same = align(reduced.pixels, 4 * EYES_AND_MOUTH, reduction=4)
        np.testing.assert_array_equal(aligned, same)

    def test_they_come_from_the_whole_file_where_it_has_not(self):
        reduction, aligned = self.prepared(working_side_px=256)
        assert reduction == 8
        whole = align(decode(self.DATA).pixels, (4 * EYES_AND_MOUTH).astype(np.float32))
        np.testing.assert_array_equal(aligned, whole)

    def test_both_show_the_same_place(self):
        _, of_reduced = self.prepared(working_side_px=512)
        _, of_whole = self.prepared(working_side_px=10_000)
        apart = np.abs(of_reduced.astype(int) - of_whole).mean()
        shifted = np.abs(np.roll(of_reduced, 1, axis=1).astype(int) - of_whole).mean()
        assert apart < shifted / 3


class TwoFaces:
    """A large face in the left upper corner, and a smaller one in the middle of the file."""

    working_side_px = 300

    def detect(self, sample: Sample) -> list[Face]:
        corner, middle = EYES_AND_MOUTH - (190, 90), EYES_AND_MOUTH / 2 + (500, 440)
        boxes = ((0, 0, 120, 140), (580, 480, 640, 520))
        faces = zip(boxes, (corner, middle), strict=True)
        return [
            Face(box, 0.99, landmarks.astype(np.float32)).scaled(1 / sample.reduction)
            for box, landmarks in faces
        ]


class TestChoiceOfTheFace:
    PIXELS = np.random.default_rng(0).integers(0, 256, (1000, 1200, 3), np.uint8)
    DATA = encoded(Image.fromarray(PIXELS), "PNG")

    def prepared(self, choice):
        capture = Preparation(TwoFaces(), choice).prepare(self.DATA)
        assert capture.faces_found == 2
        assert capture.face is not None
        np.testing.assert_array_equal(
            capture.aligned, align(self.PIXELS, capture.face.landmarks_px)
        )
        (single,) = [c for c in capture.components if c.name == "SingleFacePresent"]
        return capture.face.box_px, single

    def test_it_is_the_largest_unless_asked_otherwise(self):
        box, single = self.prepared("largest")
        assert box == (0, 0, 120, 140)
        assert single.native_value == pytest.approx((60 * 40 / (120 * 140)) ** 0.5)
        assert Preparation(TwoFaces()).prepare(self.DATA).face.box_px == box

    def test_or_the_one_nearest_the_middle(self):
        box, single = self.prepared("central")
        assert box == (580, 480, 640, 520)
        # The other one is larger: this one does not dominate at all.
        assert single.native_value == pytest.approx((120 * 140 / (60 * 40)) ** 0.5)
        assert single.value == 0

    def test_a_file_read_at_less_than_its_size_has_the_same_middle(self):
        data = encoded(Image.fromarray(self.PIXELS), "JPEG")
        assert decode(data, longer_side_px=300).reduction > 1
        face = Preparation(TwoFaces(), "central").prepare(data).face
        assert face is not None
        assert face.box_px == pytest.approx((580, 480, 640, 520))


class TestOtherCaptures:
    def test_an_aligned_face_is_taken_as_it_is_and_none_is_searched_for(self):
        detector = OneFace(working_side_px=16)
        pixels = astronaut()[:ALIGNED_SIDE_PX, :ALIGNED_SIDE_PX]
        data = encoded(Image.fromarray(pixels), "JPEG")
        capture = Preparation(detector).prepare(data, aligned=True)
        assert (capture.faces_found, capture.face, detector.seen) == (None, None, [])
        np.testing.assert_array_equal(capture.aligned, decode(data).pixels)

    def test_no_aligned_face_is_made_of_a_larger_one(self):
        side = 8 * ALIGNED_SIDE_PX
        data = encoded(Image.new("RGB", (side, side)), "JPEG")
        with pytest.raises(NotAlignedError):
            Preparation(OneFace(ALIGNED_SIDE_PX)).prepare(data, aligned=True)

    def test_without_a_face_there_is_nothing_to_align(self, detector):
        capture = Preparation(detector).prepare(encoded(Image.new("RGB", (64, 64)), "PNG"))
        assert (capture.faces_found, capture.face, capture.aligned) == (0, None, None)
        assert capture.seconds.keys() == {"decode", "detect"}


def test_a_scaled_face_is_the_face_of_an_enlarged_image():
    face = Face((1, 2, 4, 8), 0.9, EYES_AND_MOUTH.astype(np.float32)).scaled(4)
    assert face.box_px == (4, 8, 16, 32)
    assert face.detection_score == 0.9
    np.testing.assert_allclose(face.landmarks_px, 4 * EYES_AND_MOUTH)
    assert face.landmarks_px.dtype == np.float32
