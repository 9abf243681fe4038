"""What the importer refuses, and what it says then."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from serfiq_core.errors import OnnxImportError, UnsupportedOperatorError
from serfiq_core.recognition.onnx_import import (
    import_onnx,
    plan,
    random_inputs,
    verify_against_onnxruntime,
)
from tests.unit.onnx_graphs import Array, integers, model, node, randoms

FLAT = node("Flatten", "image", "flat")
MATRIX = node("MatMul", "flat W", "embedding")
WEIGHTS: dict[str, Array] = {"W": randoms(168, 4)}
GOOD = model([FLAT, MATRIX], WEIGHTS)


def test_unknown_operators_are_all_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    nodes = [
        node("Secret", "image", "a", domain="com.example"),
        node("Softmax", "a", "b"),
        node("Softmax", "b", "c"),
        node("LSTM", "c w r", "d"),
        node("Flatten", "d", "flat"),
        MATRIX,
    ]
    file = tmp_path / "recogniser.onnx"
    file.write_bytes(model(nodes, {**WEIGHTS, "w": randoms(1), "r": randoms(1)}))
    with pytest.raises(UnsupportedOperatorError) as refusal:
        import_onnx(file)
    assert str(refusal.value) == (
        "operators that cannot be imported: com.example::Secret (node 'a_node'), "
        "Softmax (node 'b_node'), LSTM (node 'd_node')"
    )
    assert list(tmp_path.iterdir()) == [file]


def test_a_second_output_is_not_known() -> None:
    pool = helper.make_node("MaxPool", ["image"], ["", "y"], name="y_node", kernel_shape=[2, 2])
    with pytest.raises(UnsupportedOperatorError, match=r"'y_node'\) leaves out its first output"):
        import_onnx(model([pool, node("Flatten", "y", "flat"), MATRIX], WEIGHTS))


def test_operators_that_lead_nowhere_do_not_matter() -> None:
    source = model([node("LSTM", "image w r", "unused"), FLAT, MATRIX], WEIGHTS)
    assert import_onnx(source).site == "flat"


UNKNOWN_FORMS = {
    "training": (
        node("BatchNormalization", "image c c c c", "y", training_mode=1),
        "is in training mode",
    ),
    "spatial": (node("BatchNormalization", "image c c c c", "y", spatial=0), "for every place"),
    "kernel from image": (node("Conv", "image image", "y"), "depends on the image"),
    "one-dimensional": (node("Conv", "image lines", "y"), "two-dimensional kernel"),
    "three-dimensional": (
        node("MaxPool", "image", "y", kernel_shape=[2, 2, 2]),
        r"kernel_shape = \[2, 2, 2\]",
    ),
    "negative pads": (
        node("MaxPool", "image", "y", kernel_shape=[2, 2], pads=[0, 0, -1, 0]),
        "numbers from 0",
    ),
    "auto_pad": (
        node("MaxPool", "image", "y", kernel_shape=[2, 2], auto_pad="SAME"),
        "auto_pad = 'SAME'",
    ),
    "dilated auto_pad": (
        node("MaxPool", "image", "y", kernel_shape=[2, 2], dilations=[2, 2], auto_pad="SAME_UPPER"),
        "dilations with auto_pad",
    ),
    "dilated mean": (
        node("AveragePool", "image", "y", kernel_shape=[2, 2], dilations=[2, 1]),
        "has dilations",
    ),
    "backwards": (node("Slice", "image minus_one zero one minus_one", "y"), "runs backwards"),
    "pad mode": (node("Pad", "image pads", "y", mode="wrap"), "pads in mode 'wrap'"),
    "reflected channels": (node("Pad", "image pads", "y", mode="reflect"), "more than height"),
    "two limits": (node("Clip", "image two", "y"), "has 2 values as input 1"),
    "two rates": (node("Dropout", "image two", "y"), "has 2 values as input 1"),
    "cast": (node("Cast", "image", "y", to=TensorProto.INT8), "casts to type 3"),
    "text": (node("Constant", "", "y", value_string=b"x"), "unknown kind"),
    "filled": (node("ConstantOfShape", "huge", "y"), "makes 1099511627776 values"),
    "huge map": (node("Pad", "image wide_pads", "y"), "makes 13194262216872 values"),
}


@pytest.mark.parametrize("name", UNKNOWN_FORMS)
def test_unknown_form_is_refused_by_node(name: str) -> None:
    bad, reason = UNKNOWN_FORMS[name]
    constants = {
        **WEIGHTS,
        "c": randoms(3),
        "two": randoms(2),
        "lines": randoms(4, 3, 3),
        "minus_one": integers(-1),
        "zero": integers(0),
        "one": integers(1),
        "pads": integers(0, 1, 0, 0, 0, 0, 0, 0),
        "wide_pads": integers(0, 0, 1 << 20, 0, 0, 0, 0, 1 << 22),
        "huge": integers(1 << 20, 1 << 20),
    }
    with pytest.raises(UnsupportedOperatorError, match=rf"\(node 'y_node'\).*{reason}"):
        import_onnx(model([bad, node("Flatten", "y", "flat"), MATRIX], constants))


MIXING = {
    "transpose": [node("Transpose", "image", "y", perm=[1, 0, 2, 3])],
    "reduce": [node("ReduceMean", "image zero", "y")],
    "reduce all": [node("ReduceMean", "image", "y")],
    "reshape": [node("Reshape", "image without", "y")],
    "reshape to scalars": [node("Reshape", "image apart", "y")],
    "flatten": [node("Flatten", "image", "y", axis=2)],
    "squeeze": [node("Squeeze", "image zero", "y")],
    "unsqueeze": [node("Unsqueeze", "image zero", "y")],
    "concat": [node("Concat", "image image", "y", axis=0)],
    "broadcast": [node("Add", "image five", "y")],
    "expand": [node("Expand", "image wider", "y")],
    "slice": [node("Slice", "image zero one zero", "y")],
    "gather": [node("Gather", "image zero", "y", axis=0)],
    "normalise": [node("LpNormalization", "image", "y", axis=0)],
    "all pairs": [node("Flatten", "image", "f"), node("Gemm", "f f", "y", transB=1)],
}


@pytest.mark.parametrize("name", MIXING)
def test_images_of_a_batch_must_not_meet(name: str) -> None:
    constants = {
        **WEIGHTS,
        "zero": integers(0),
        "one": integers(1),
        "without": integers(3, 56),
        "apart": integers(168),
        "five": randoms(1, 1, 3, 8, 7),
        "wider": integers(2, 3, 8, 7),
    }
    with pytest.raises(UnsupportedOperatorError, match=r"\(node 'y_node'\)"):
        import_onnx(model([*MIXING[name], node("Flatten", "y", "flat"), MATRIX], constants))


@pytest.mark.parametrize(
    "bad",
    [
        node("MatMul", "image W", "y"),
        node("Conv", "image wide", "y"),
        node("Reshape", "image seven", "y"),
        node("Relu", "image image", "y"),
        node("Transpose", "image", "y", perm=[0, 1]),
        node("Gather", "image far", "y", axis=9),
        node("Unsqueeze", "image nine", "y"),
        node("Gather", "image nine", "y", axis=1),
        node("Relu", "-", "y"),
    ],
    ids=[
        "matmul",
        "conv",
        "reshape",
        "two-inputs",
        "perm",
        "axis",
        "new-axis",
        "no-such-channel",
        "no-input",
    ],
)
def test_node_that_cannot_be_computed_is_named(bad: onnx.NodeProto) -> None:
    constants = {
        **WEIGHTS,
        "wide": randoms(2, 8, 3, 3),
        "seven": integers(1, 7),
        "far": integers(1),
        "nine": integers(9),
    }
    with pytest.raises(OnnxImportError, match=r"\(node 'y_node'\)"):
        import_onnx(model([bad, node("Flatten", "y", "flat"), MATRIX], constants))


@pytest.mark.parametrize(
    "data",
    [b"", b"not a model", b"<html></html>", b"\x00" * 100, GOOD[:-20], GOOD[: len(GOOD) // 2]],
    ids=["empty", "text", "html", "zeros", "cut at the end", "half"],
)
def test_what_is_no_onnx_model_is_refused(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(OnnxImportError):
        import_onnx(data)
    file = tmp_path / "recogniser.onnx"
    file.write_bytes(data)
    with pytest.raises(OnnxImportError):
        import_onnx(file)


def test_every_truncation_is_refused() -> None:
    """Also between two fields, where protobuf cannot tell a cut file from a complete one."""
    for end in range(len(GOOD)):
        with pytest.raises(OnnxImportError):
            import_onnx(GOOD[:end])


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(OnnxImportError, match=r"absent\.onnx cannot be read: No such file"):
        import_onnx(tmp_path / "absent.onnx")


def test_external_data_is_never_opened(tmp_path: Path) -> None:
    outside = tmp_path / "weights.bin"
    outside.write_bytes(WEIGHTS["W"].tobytes())
    proto = onnx.load_model_from_string(GOOD)
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=str(outside))
    file = tmp_path / "recogniser.onnx"
    file.write_bytes(proto.SerializeToString())
    with pytest.raises(OnnxImportError, match="'W' lies in another file"):
        import_onnx(file)


def test_external_data_in_a_node_is_refused_as_well() -> None:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[168, 4])
    tensor.external_data.add(key="location", value="../secret")
    source = model([node("Constant", "", "W", value=tensor), FLAT, MATRIX])
    with pytest.raises(OnnxImportError, match="lies in another file"):
        import_onnx(source)


def test_text_weights_are_refused() -> None:
    proto = onnx.load_model_from_string(GOOD)
    proto.graph.initializer[0].CopyFrom(
        helper.make_tensor("W", TensorProto.STRING, [2], [b"a", b"b"])
    )
    with pytest.raises(OnnxImportError, match="'W' cannot be read"):
        import_onnx(proto.SerializeToString())


def test_weights_shorter_than_their_shape_are_refused() -> None:
    proto = onnx.load_model_from_string(GOOD)
    proto.graph.initializer[0].dims[0] = 10**9
    with pytest.raises(OnnxImportError, match="'W' cannot be read"):
        import_onnx(proto.SerializeToString())


@pytest.mark.parametrize(
    ("image", "shown"),
    [
        ((1, 112, 112), "1 × 1 × 112 × 112"),
        ((112, 112, 3), "1 × 112 × 112 × 3"),
        ((3, 112), "1 × 3 × 112"),
    ],
)
def test_input_must_be_a_three_channel_image(image: tuple[int, ...], shown: str) -> None:
    with pytest.raises(OnnxImportError, match=f"'image' is {shown}, not B × 3 × H × W"):
        import_onnx(model([FLAT, MATRIX], WEIGHTS, image=image))


def test_height_and_width_left_open_are_those_of_an_aligned_face() -> None:
    pool = node("GlobalAveragePool", "image", "p")
    nodes = [pool, node("Flatten", "p", "flat"), MATRIX]
    source = model(nodes, {"W": randoms(3, 4)}, batch="N", image=(3, "height", "width"))
    network = import_onnx(source)
    assert network.input_size == (112, 112)
    verify_against_onnxruntime(source, network, random_inputs(network))


def test_weights_listed_among_the_inputs_are_no_inputs() -> None:
    proto = onnx.load_model_from_string(GOOD)
    proto.graph.input.append(helper.make_tensor_value_info("W", TensorProto.FLOAT, [168, 4]))
    assert import_onnx(proto.SerializeToString()).site == "flat"


def changed(change) -> bytes:
    proto = onnx.load_model_from_string(GOOD)
    change(proto)
    return bytes(proto.SerializeToString())


OUTSIDE = {
    "two inputs": (
        lambda m: m.graph.input.append(
            helper.make_tensor_value_info("other", TensorProto.FLOAT, [1])
        ),
        "one input, the image, not: image, other",
    ),
    "no input": (lambda m: m.graph.ClearField("input"), "one input, the image, not: none"),
    "bytes": (
        lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", TensorProto.UINT8),
        "32-bit floats",
    ),
    "unknown shape": (
        lambda m: m.graph.input[0].type.tensor_type.ClearField("shape"),
        "of unknown shape",
    ),
    "two outputs": (
        lambda m: m.graph.output.append(
            helper.make_tensor_value_info("flat", TensorProto.FLOAT, None)
        ),
        "one output, the embedding, not: embedding, flat",
    ),
    "old": (lambda m: setattr(m.opset_import[0], "version", 6), "operator set 6 is too old"),
    "no opset": (lambda m: m.ClearField("opset_import"), "which operator set"),
    "unsorted": (
        lambda m: m.graph.node[1].input.__setitem__(1, "later"),
        "uses 'later', which no earlier node gives",
    ),
}


@pytest.mark.parametrize("name", OUTSIDE)
def test_graph_that_is_no_recogniser_is_refused(name: str) -> None:
    change, message = OUTSIDE[name]
    with pytest.raises(OnnxImportError, match=message):
        import_onnx(changed(change))


def test_output_that_no_image_reaches_is_refused() -> None:
    source = model([node("Add", "W W", "embedding")], WEIGHTS)
    with pytest.raises(OnnxImportError, match="does not depend on the image"):
        import_onnx(source)


@pytest.mark.parametrize(
    "tail",
    [
        [FLAT, node("MatMul", "flat W", "m"), node("Relu", "m", "embedding")],
        [node("GlobalAveragePool", "image", "embedding")],
    ],
    ids=["relu", "no-weights"],
)
def test_graph_without_an_affine_tail_is_refused(tail: list[onnx.NodeProto]) -> None:
    with pytest.raises(OnnxImportError, match="no place where dropout could be applied"):
        import_onnx(model(tail, WEIGHTS))


def test_weights_that_are_not_numbers_are_refused() -> None:
    weights = {"W": np.full((168, 4), np.nan, dtype=np.float32)}
    with pytest.raises(OnnxImportError, match="infinite or not numbers"):
        import_onnx(model([FLAT, MATRIX], weights))


def test_model_that_onnxruntime_refuses_is_refused() -> None:
    network = import_onnx(GOOD)
    proto = onnx.load_model_from_string(GOOD)
    proto.graph.initializer[0].CopyFrom(numpy_helper.from_array(randoms(5, 4), "W"))
    with pytest.raises(OnnxImportError, match="onnxruntime cannot run this model"):
        verify_against_onnxruntime(proto.SerializeToString(), network, random_inputs(network))


def test_constants_that_are_too_many_together_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each would be allowed by itself, and all are kept until the graph is planned."""
    nodes = [
        node("ConstantOfShape", "row_shape", "row"),  # 400 values
        node("ConstantOfShape", "matrix_shape", "matrix"),  # 1,600
        node("MatMul", "row matrix", "added"),  # 4
        FLAT,
        node("MatMul", "flat W", "plain"),
        node("Add", "plain added", "embedding"),
    ]
    constants = {**WEIGHTS, "row_shape": integers(1, 400), "matrix_shape": integers(400, 4)}
    monkeypatch.setattr(plan, "MOST_ELEMENTS", 2_004)
    import_onnx(model(nodes, constants))
    monkeypatch.setattr(plan, "MOST_ELEMENTS", 2_003)
    with pytest.raises(OnnxImportError, match=r"added_node.*too many values together"):
        import_onnx(model(nodes, constants))
