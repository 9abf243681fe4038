"""What both detectors do with real photographs: one face, groups, none, odd shapes, threads."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from serfiq_core.detection.mtcnn import MtcnnDetector
from serfiq_core.detection.scrfd import ScrfdDetector
from tests.faces import lfw_paths
from tests.photographs import (
    astronaut,
    enlarged,
    group,
    photograph,
    portrait_tiles,
    sample,
    tiles_with_a_face,
)

SHARE_OF_THE_EYES = {MtcnnDetector: 1 / 20, ScrfdDetector: 1 / 10}
"""By which landmarks may differ between sizes, of the distance between the eyes."""


@pytest.fixture(scope="module", params=["mtcnn", "scrfd"])
def detector(request):
    if request.param == "mtcnn":
        return MtcnnDetector()
    shared_data = request.getfixturevalue("shared_data")
    return ScrfdDetector(shared_data / "weights" / "det_500m.onnx")


@pytest.fixture(scope="module")
def face(detector):
    (face,) = detector.detect(sample(astronaut()))
    return face


def test_landmarks_lie_where_the_astronaut_has_them(face):
    # Read off the photograph by eye; in the image's left and right, not the person's.
    expected = [(204, 101), (247, 103), (225, 128), (202, 139), (245, 141)]
    np.testing.assert_allclose(face.landmarks_px, expected, atol=4)
    assert face.landmarks_px.dtype == np.float32
    assert 0.5 < face.detection_score <= 1


@pytest.mark.parametrize("factor", [0.5, 2, 7.9])
def test_a_photograph_of_another_size_gives_the_same_face(detector, face, factor):
    largest = detector.detect(sample(enlarged(astronaut(), factor)))[0]
    back = (largest.landmarks_px + 0.5) / factor - 0.5
    allowed_px = face.inter_eye_distance_px * SHARE_OF_THE_EYES[type(detector)]
    np.testing.assert_allclose(back, face.landmarks_px, atol=allowed_px)


def test_twenty_astronauts_are_found_the_largest_first(detector):
    faces = detector.detect(sample(group(portrait_tiles(20), columns=5)))
    assert tiles_with_a_face(faces, columns=5) == set(range(20))
    assert len(faces) < 25
    sizes = [face.width_px * face.height_px for face in faces]
    assert sizes == sorted(sizes, reverse=True)


def test_twenty_people_are_found(detector, shared_data):
    tiles = [photograph(path) for path in lfw_paths(shared_data, 20, seed=20)]
    faces = detector.detect(sample(group(tiles, columns=5)))
    assert tiles_with_a_face(faces, columns=5) == set(range(20))


@pytest.mark.parametrize("shape", [(32, 32), (480, 640), (32, 5000), (5000, 32), (33, 250_000)])
@pytest.mark.parametrize("value", [0, 255])
def test_plain_images_of_any_shape_have_no_face(detector, shape, value):
    assert detector.detect(sample(np.full((*shape, 3), value, np.uint8))) == []


def test_a_photograph_without_a_face_has_none(detector):
    assert detector.detect(sample(astronaut()[300:])) == []


def test_many_threads_find_the_same_faces(detector):
    photographs = [sample(tile) for tile in portrait_tiles(8)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(detector.detect, photographs * 3))
    alone = [detector.detect(each) for each in photographs] * 3
    for a, b in zip(together, alone, strict=True):
        for one, other in zip(a, b, strict=True):
            # As many threads of torch as there are cores, here or there: sums may round otherwise.
            assert one.box_px == pytest.approx(other.box_px, abs=1e-3)
