"""SCRFD with the genuine `det_500m.onnx`, and files that are something else."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from serfiq_core.detection.scrfd import ScrfdDetector
from serfiq_core.errors import WeightsError
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


@pytest.fixture(scope="module")
def detector(shared_data):
    return ScrfdDetector(shared_data / "weights" / "det_500m.onnx")


class TestFaces:
    def test_landmarks_lie_where_the_astronaut_has_them(self, detector):
        (face,) = detector.detect(sample(astronaut()))
        expected = [(204, 101), (247, 103), (225, 128), (202, 139), (245, 141)]
        np.testing.assert_allclose(face.landmarks_px, expected, atol=4)
        assert face.landmarks_px.dtype == np.float32
        assert 0.5 < face.detection_score <= 1

    @pytest.mark.parametrize("factor", [0.5, 2, 7.9])
    def test_a_photograph_of_another_size_gives_the_same_face(self, detector, factor):
        (face,) = detector.detect(sample(astronaut()))
        (other,) = detector.detect(sample(enlarged(astronaut(), factor)))
        back = (other.landmarks_px + 0.5) / factor - 0.5
        np.testing.assert_allclose(back, face.landmarks_px, atol=face.inter_eye_distance_px / 10)

    def test_a_face_that_fills_the_photograph_is_found_at_any_size(self, detector):
        tight = astronaut()[50:180, 165:280]
        for factor in (1, 4, 8):
            assert len(detector.detect(sample(enlarged(tight, factor)))) == 1

    def test_twenty_astronauts(self, detector):
        faces = detector.detect(sample(group(portrait_tiles(20), columns=5)))
        assert tiles_with_a_face(faces, columns=5) == set(range(20))
        sizes = [face.width_px * face.height_px for face in faces]
        assert sizes == sorted(sizes, reverse=True)

    def test_twenty_people(self, detector, shared_data):
        tiles = [photograph(path) for path in lfw_paths(shared_data, 20, seed=20)]
        faces = detector.detect(sample(group(tiles, columns=5)))
        assert tiles_with_a_face(faces, columns=5) == set(range(20))

    @pytest.mark.parametrize("shape", [(32, 32), (480, 640), (32, 5000), (5000, 32), (33, 250_000)])
    def test_plain_images_of_any_shape_have_none(self, detector, shape):
        assert detector.detect(sample(np.zeros((*shape, 3), np.uint8))) == []

    def test_a_photograph_without_a_face(self, detector):
        assert detector.detect(sample(astronaut()[300:])) == []

    def test_the_same_faces_from_many_threads(self, detector):
        photographs = [sample(tile) for tile in portrait_tiles(8)]
        with ThreadPoolExecutor(4) as pool:
            together = list(pool.map(detector.detect, photographs * 3))
        alone = [detector.detect(each) for each in photographs] * 3
        for a, b in zip(together, alone, strict=True):
            assert [face.box_px for face in a] == [face.box_px for face in b]


def test_making_and_using_one_prints_nothing(shared_data, capfd):
    detector = ScrfdDetector(shared_data / "weights" / "det_500m.onnx")
    detector.detect(sample(astronaut()))
    assert capfd.readouterr() == ("", "")


class TestOtherFiles:
    def write(self, path, outputs):
        """A valid ONNX file whose outputs are all the input itself."""
        names = [f"output{index}" for index in range(outputs)]
        shape = [1, 3, None, None]
        graph = helper.make_graph(
            [helper.make_node("Identity", ["input"], [name]) for name in names],
            "other",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in names],
        )
        opset = helper.make_opsetid("", 18)
        onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=9), path)
        return path

    @pytest.mark.parametrize("outputs", [1, 6, 9, 15])
    def test_another_model_is_refused(self, tmp_path, outputs):
        with pytest.raises(WeightsError, match=r"other\.onnx is not an SCRFD model"):
            ScrfdDetector(self.write(tmp_path / "other.onnx", outputs))

    def test_a_recogniser_is_refused(self, shared_data):
        with pytest.raises(WeightsError, match="not an SCRFD model"):
            ScrfdDetector(shared_data / "weights" / "mobilefacenet_ms1m.onnx")

    def test_no_model_at_all_is_refused(self, tmp_path):
        (tmp_path / "text.onnx").write_text("not a model")
        for name in ("text.onnx", "missing.onnx"):
            with pytest.raises(WeightsError, match=name):
                ScrfdDetector(tmp_path / name)
