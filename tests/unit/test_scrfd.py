"""SCRFD with the genuine `det_500m.onnx`, and files that are something else."""

import onnx
import pytest
from onnx import TensorProto, helper

from serfiq_core.detection.scrfd import ScrfdDetector
from serfiq_core.errors import WeightsError
from tests.photographs import (
    astronaut,
    enlarged,
    sample,
)


@pytest.fixture(scope="module")
def detector(shared_data):
    return ScrfdDetector(shared_data / "weights" / "det_500m.onnx")


def test_a_face_that_fills_the_photograph_is_found_at_any_size(detector):
    tight = astronaut()[50:180, 165:280]
    for factor in (1, 4, 8):
        assert len(detector.detect(sample(enlarged(tight, factor)))) == 1


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
