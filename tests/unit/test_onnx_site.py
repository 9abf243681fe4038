"""Where imported graphs are cut, and that any batch size works behind the cut and before it."""

import numpy as np
import pytest
import torch

from serfiq_core.errors import ImportMismatchError, OnnxImportError
from serfiq_core.recognition.onnx_import import (
    ImportedNetwork,
    import_onnx,
    random_inputs,
    verify_against_onnxruntime,
)
from tests.unit.onnx_graphs import Array, Batch, integers, model, node, randoms

RATE = np.array(0.4, dtype=np.float32)

BODY = [
    node("Conv", "image w1", "c1", pads=[1, 1, 1, 1]),
    node("Relu", "c1", "r1"),
    node("BatchNormalization", "r1 scale shift mean variance", "map"),
]
BODY_CONSTANTS: dict[str, Array] = {
    "w1": randoms(5, 3, 3, 3),
    "scale": randoms(5, seed=1),
    "shift": randoms(5, seed=2),
    "mean": randoms(5, seed=3),
    "variance": randoms(5, seed=4, positive=True),
    "W": randoms(280, 6, seed=5) / 16,
    "e": randoms(6, seed=6, positive=True),
}
MAP_SHAPE = (5, 8, 7)


def tailed(*tail, batch: Batch = 1, opset: int = 18, **constants: Array) -> bytes:
    """A small body ending in `map`, B × 5 × 8 × 7, and this tail."""
    return model([*BODY, *tail], {**BODY_CONSTANTS, **constants}, batch=batch, opset=opset)


MATRIX = node("MatMul", "flat W", "m")
SCALE = node("Mul", "m e", "embedding")


def imported(source: bytes, site: str | None = None) -> ImportedNetwork:
    network = import_onnx(source, site)
    verify_against_onnxruntime(source, network, random_inputs(network))
    return network


@pytest.mark.parametrize(
    ("reshape", "constants"),
    [
        (node("Flatten", "map", "flat"), {}),
        (node("Reshape", "map t", "flat"), {"t": integers(1, -1)}),
        (node("Reshape", "map t", "flat"), {"t": integers(1, 280)}),
        (node("Reshape", "map t", "flat"), {"t": integers(-1, 280)}),
        (node("Reshape", "map t", "flat"), {"t": integers(0, -1)}),
    ],
    ids=["flatten", "1,-1", "1,280", "-1,280", "0,-1"],
)
@pytest.mark.parametrize("opset", [11, 18])
@pytest.mark.parametrize("batch", [1, "N"], ids=["fixed", "dynamic"])
def test_any_batch_gives_what_its_images_give_alone(reshape, constants, opset, batch) -> None:
    network = imported(tailed(reshape, MATRIX, SCALE, batch=batch, opset=opset, **constants))
    images = random_inputs(network, count=3)
    together = network.backbone(images)
    alone = torch.cat([network.backbone(image[None]) for image in images])
    torch.testing.assert_close(together, alone)
    torch.testing.assert_close(
        network.head.embed(together),
        torch.cat([network.head.embed(features[None]) for features in alone]),
    )


@pytest.mark.parametrize("batch", [1, 4])
def test_batch_written_into_the_file_is_lifted(batch: int) -> None:
    reshape = node("Reshape", "map t", "flat")
    imported(tailed(reshape, MATRIX, SCALE, batch=batch, t=integers(batch, 280)))


def test_site_is_the_input_of_the_earliest_weight_layer() -> None:
    network = imported(tailed(node("Flatten", "map", "flat"), MATRIX, SCALE))
    assert network.site == "flat"
    assert network.head.map_shape == MAP_SHAPE
    assert network.dropout_rate is None
    assert network.input_size == (8, 7)


def test_two_weight_layers_in_the_tail_put_the_site_before_the_first() -> None:
    depthwise = node("Conv", "map w2", "d", group=5)
    last = node("Conv", "d w3", "embedding")
    source = tailed(depthwise, last, w2=randoms(5, 1, 8, 7) / 8, w3=randoms(6, 5, 1, 1))
    network = imported(source)
    assert network.site == "map"
    assert network.head.map_shape == MAP_SHAPE
    narrow = imported(source, "d")
    assert narrow.head.feature_count == 5
    assert narrow.head.map_shape is None
    images = random_inputs(network)
    torch.testing.assert_close(
        narrow.head.embed(narrow.backbone(images)), network.head.embed(network.backbone(images))
    )


def test_channels_last_values_are_cut_at_their_map() -> None:
    to_last = node("Transpose", "map", "last", perm=[0, 2, 3, 1])
    network = imported(tailed(to_last, node("Flatten", "last", "flat"), MATRIX, SCALE))
    assert network.site == "flat"
    assert network.head.map_shape == MAP_SHAPE


@pytest.mark.parametrize(
    ("dropout", "constants", "opset"),
    [
        (node("Dropout", "flat", "kept", ratio=0.4), {}, 11),
        (node("Dropout", "flat rate", "kept"), {"rate": RATE}, 18),
        (node("Dropout", "flat rate training", "kept"), {"rate": RATE, "training": np.True_}, 18),
    ],
    ids=["attribute", "input", "left-in-training"],
)
def test_dropout_node_gives_site_and_rate(dropout, constants, opset) -> None:
    matrix = node("MatMul", "kept W", "m")
    flatten = node("Flatten", "map", "flat")
    network = imported(tailed(flatten, dropout, matrix, SCALE, opset=opset, **constants))
    assert network.site == "flat"
    assert network.dropout_rate == 0.4
    assert network.head.map_shape == MAP_SHAPE


def test_dropout_node_beats_an_earlier_weight_layer() -> None:
    source = tailed(
        node("Conv", "map w2", "d"),
        node("Dropout", "d", "kept"),
        node("Flatten", "kept", "flat"),
        MATRIX,
        SCALE,
        w2=randoms(5, 5, 1, 1),
    )
    network = imported(source)
    assert (network.site, network.dropout_rate) == ("d", 0.5)
    elsewhere = imported(source, "map")
    assert (elsewhere.site, elsewhere.dropout_rate) == ("map", None)


@pytest.mark.parametrize("asked", ["d", "kept", "flat"])
def test_rate_is_found_through_reshaping(asked: str) -> None:
    conv, dropout = node("Conv", "map w2", "d"), node("Dropout", "d rate", "kept")
    tail = (conv, dropout, node("Flatten", "kept", "flat"), MATRIX, SCALE)
    network = imported(tailed(*tail, w2=randoms(5, 5, 1, 1), rate=RATE), asked)
    assert (network.site, network.dropout_rate) == (asked, 0.4)


def test_dropout_of_rate_zero_counts_for_nothing() -> None:
    source = tailed(
        node("Conv", "map w2", "d"),
        node("Dropout", "d rate", "kept"),
        node("Flatten", "kept", "flat"),
        MATRIX,
        SCALE,
        w2=randoms(5, 5, 1, 1),
        rate=np.array(0.0, dtype=np.float32),
    )
    network = imported(source)
    assert (network.site, network.dropout_rate) == ("map", None)


def test_dropout_behind_the_last_weights_is_no_site() -> None:
    flatten, after = node("Flatten", "map", "flat"), node("Dropout", "m", "embedding")
    assert imported(tailed(flatten, MATRIX, after)).site == "flat"


def test_tail_ends_where_two_activations_meet() -> None:
    source = tailed(
        node("Conv", "map w2", "d"),
        node("Add", "d map", "sum"),
        node("Flatten", "sum", "flat"),
        MATRIX,
        SCALE,
        w2=randoms(5, 5, 1, 1),
    )
    assert imported(source).site == "flat"
    with pytest.raises(OnnxImportError, match=r"these can: sum, flat$"):
        import_onnx(source, "map")


def test_unknown_site_lists_those_that_can_be() -> None:
    source = tailed(node("Flatten", "map", "flat"), MATRIX, SCALE)
    with pytest.raises(OnnxImportError, match=r"'nowhere' .* these can: r1, map, flat$"):
        import_onnx(source, "nowhere")


def test_division_by_a_constant_is_affine_and_of_a_constant_is_not() -> None:
    flatten = node("Flatten", "map", "flat")
    assert imported(tailed(flatten, MATRIX, node("Div", "m e", "embedding"))).site == "flat"
    with pytest.raises(OnnxImportError, match="does not end in"):
        import_onnx(tailed(flatten, MATRIX, node("Div", "e m", "embedding")))


NORMALISATIONS = {
    "LpNormalization": [node("LpNormalization", "s", "embedding", axis=1)],
    "ReduceL2 and Expand": [
        node("ReduceL2", "s axis", "n"),
        node("Clip", "n small", "n1"),
        node("Shape", "s", "shape"),
        node("Expand", "n1 shape", "n2"),
        node("Div", "s n2", "embedding"),
    ],
    "sum of squares": [
        node("Mul", "s s", "squares"),
        node("ReduceSum", "squares axis", "n"),
        node("Sqrt", "n", "n1"),
        node("Div", "s n1", "n2"),
        node("Identity", "n2", "embedding"),
    ],
}


@pytest.mark.parametrize("name", NORMALISATIONS)
@pytest.mark.parametrize("batch", [1, "N"], ids=["fixed", "dynamic"])
def test_normalisation_at_the_end_is_left_out_of_the_head(name: str, batch: Batch) -> None:
    begin = [node("Flatten", "map", "flat"), MATRIX, node("Mul", "m e", "s")]
    constants = {"axis": integers(1), "small": np.array(1e-12, dtype=np.float32)}
    source = tailed(*begin, *NORMALISATIONS[name], batch=batch, **constants)
    network = imported(source)
    plain = imported(tailed(node("Flatten", "map", "flat"), MATRIX, SCALE))
    assert network.unit_output
    assert not plain.unit_output
    images = random_inputs(network)
    torch.testing.assert_close(
        network.head.embed(network.backbone(images)), plain.head.embed(plain.backbone(images))
    )


def test_something_like_a_normalisation_is_not_taken_for_one() -> None:
    source = tailed(
        node("Flatten", "map", "flat"), MATRIX, node("LpNormalization", "m", "embedding", p=1)
    )
    with pytest.raises(OnnxImportError, match="does not end in"):
        import_onnx(source)


def test_products_with_the_transpose_are_those_of_the_head() -> None:
    source = tailed(
        node("Conv", "map w2", "d", group=5),
        node("BatchNormalization", "d scale shift mean variance", "b"),
        node("AveragePool", "b", "a", kernel_shape=[2, 2], pads=[1, 1, 0, 0]),
        node("Flatten", "a", "flat"),
        node("Gemm", "flat W2 e", "embedding"),
        w2=randoms(5, 1, 3, 2),
        W2=randoms(180, 6),
    )
    head = imported(source).head
    matrix = head.embed(torch.eye(head.feature_count)) - head.bias  # its rows are the columns of W
    vectors = torch.from_numpy(randoms(2, 6, seed=3))
    torch.testing.assert_close(
        head.multiply_transposed(vectors), vectors @ matrix.T, rtol=0, atol=1e-4
    )
    torch.testing.assert_close(
        head.squared_column_norms, matrix.square().sum(1), rtol=1e-4, atol=1e-4
    )


def test_weights_are_buffers_that_move_with_the_module() -> None:
    network = imported(tailed(node("Flatten", "map", "flat"), MATRIX, SCALE))
    assert not list(network.backbone.parameters())
    tensors = list(network.backbone.to(torch.float64).buffers())
    assert tensors
    assert {t.dtype for t in tensors if t.is_floating_point()} == {torch.float64}
    assert network.backbone(random_inputs(network).double()).dtype == torch.float64


def test_a_network_that_computes_something_else_is_found_out() -> None:
    source = tailed(node("Flatten", "map", "flat"), MATRIX, SCALE)
    other = tailed(
        node("Flatten", "map", "flat"), MATRIX, SCALE, e=BODY_CONSTANTS["e"] + np.float32(1e-3)
    )
    network = import_onnx(source)
    with pytest.raises(ImportMismatchError, match=r"differs from onnxruntime by 0\.00"):
        verify_against_onnxruntime(other, network, random_inputs(network))


def test_not_a_number_is_a_mismatch() -> None:
    network = import_onnx(tailed(node("Flatten", "map", "flat"), MATRIX, SCALE))
    source = tailed(node("Flatten", "map", "flat"), MATRIX, SCALE)
    with pytest.raises(ImportMismatchError):
        verify_against_onnxruntime(source, network, torch.full((1, 3, 8, 7), torch.nan))


def test_another_shape_is_a_mismatch() -> None:
    network = import_onnx(tailed(node("Flatten", "map", "flat"), MATRIX, SCALE))
    shorter = tailed(
        node("Flatten", "map", "flat"), node("MatMul", "flat W3", "embedding"), W3=randoms(280, 2)
    )
    with pytest.raises(ImportMismatchError, match=r"\(3, 6\), onnxruntime: \(3, 2\)"):
        verify_against_onnxruntime(shorter, network, random_inputs(network))


def test_random_inputs_repeat_with_their_seed() -> None:
    network = import_onnx(tailed(node("Flatten", "map", "flat"), MATRIX, SCALE))
    first = random_inputs(network, count=2, seed=5)
    assert first.shape == (2, 3, 8, 7)
    assert torch.equal(first, random_inputs(network, count=2, seed=5))
    assert not torch.equal(first, random_inputs(network, count=2, seed=6))
    assert first.abs().max() <= 1
