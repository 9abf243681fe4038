"""The gradient of the closed form: right by finite differences, and in every precision."""

import dataclasses

import numpy as np
import pytest
import torch

from serfiq_core.errors import DeviceMemoryError
from serfiq_core.loading import load_pipeline
from serfiq_core.maps.gradient_map import CELL_PX, GRADIENT_GRID, gradient_map
from serfiq_core.packs.registry import embedded_pack, read_pack
from serfiq_core.product import product_with
from serfiq_core.recognition import mobilefacenet
from serfiq_core.recognition.inference import for_inference
from serfiq_core.recognition.onnx_import import import_onnx
from serfiq_core.recognition.recogniser import Preprocessing, Recogniser
from serfiq_core.recognition.weights import read_state_dict
from serfiq_core.scoring.closed_form import ClosedForm
from tests.faces import lfw_crops
from tests.small_packs import write_small_pack

CPU = torch.device("cpu")


class ExactHead:
    """A head in float64, for finite differences that leave ten digits."""

    precision = torch.float64
    map_shape = None

    def __init__(self, feature_count: int, embedding_size: int) -> None:
        generator = torch.Generator().manual_seed(1)
        self.feature_count, self.embedding_size = feature_count, embedding_size
        shape = (embedding_size, feature_count)
        self.weight = torch.randn(shape, generator=generator, dtype=torch.float64)
        self.bias = torch.randn(embedding_size, generator=generator, dtype=torch.float64)
        self.squared_column_norms = self.weight.square().sum(0)

    def embed(self, features):
        return features @ self.weight.T + self.bias

    def multiply_transposed(self, vectors):
        return vectors @ self.weight


@pytest.fixture(scope="module")
def pipeline():
    return load_pipeline(embedded_pack(), device="cpu", precision="float32")


@pytest.mark.parametrize("embedding_size", [2, 5])
def test_the_closed_form_is_differentiable(embedding_size):
    closed_form = ClosedForm(ExactHead(12, embedding_size), 0.3)
    generator = torch.Generator().manual_seed(2)
    features = torch.randn(3, 12, generator=generator, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda f: closed_form(f).mean_distance, features)


def test_a_packed_product_is_differentiable():
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(6, 9, generator=generator)
    rows = torch.randn(4, 9, generator=generator)
    product = product_with(matrix)
    asking = rows.clone().requires_grad_()
    output = product(asking)
    assert torch.allclose(output, product(rows), atol=1e-5)
    [gradient] = torch.autograd.grad(output.sum(), asking)
    assert torch.allclose(gradient, matrix.sum(0).expand(4, 9), atol=1e-5)


def test_each_cell_is_its_share_of_the_slopes():
    """Of a function whose derivatives are known: `D = Σ w x²` has `2wx`."""
    rng = np.random.default_rng(0)
    face = rng.integers(0, 256, (112, 112, 3), dtype=np.uint8)
    weights = rng.normal(size=(112, 112, 3)).astype(np.float32)
    shares = gradient_map(
        face,
        lambda pixels: (pixels.square() * torch.from_numpy(weights)).flatten(1),
        lambda features: features.sum(1),
        CPU,
    )
    slopes = np.abs(2.0 * weights * face).sum(2)
    cells = slopes.reshape(GRADIENT_GRID, CELL_PX, GRADIENT_GRID, CELL_PX).sum((1, 3))
    assert shares is not None
    assert shares.dtype == np.float32
    assert shares == pytest.approx(cells / cells.sum(), abs=1e-7)


def test_the_recogniser_and_the_closed_form_together_by_finite_differences(pipeline, shared_data):
    """Along random directions, a step of a hundredth of a grey value, since ReLUs bend soon."""
    recogniser, closed_form = pipeline._recogniser, pipeline._closed_form
    generator = torch.Generator().manual_seed(0)
    for face in lfw_crops(shared_data, 3, seed=4):
        pixels = torch.tensor(face[None], dtype=torch.float32, requires_grad=True)
        distance = closed_form(recogniser.differentiable_features(pixels)).mean_distance
        [slopes] = torch.autograd.grad(distance.sum(), pixels)
        direction = slopes.sign() + 0.5 * torch.randn(slopes.shape, generator=generator)
        with torch.no_grad():
            ends = [pixels + step * direction for step in (0.01, -0.01)]
            ahead, behind = (closed_form(recogniser.features(end)).mean_distance for end in ends)
        assert float((slopes * direction).sum()) == pytest.approx(
            float(ahead - behind) / 0.02, rel=0.01
        )


def test_the_map_sums_to_1_and_differs_from_face_to_face(pipeline, shared_data):
    first, second = (pipeline.gradient_map(face) for face in lfw_crops(shared_data, 2))
    for shares in (first, second):
        assert shares.shape == (GRADIENT_GRID, GRADIENT_GRID)
        assert (shares >= 0).all()
        assert shares.sum() == pytest.approx(1, abs=1e-5)
    assert np.abs(first - second).sum() > 0.1


def test_half_precision_shows_the_same_map(pipeline, shared_data):
    """Half of the summed differences is the share of the whole that lies elsewhere."""
    pack = embedded_pack()
    coarse = load_pipeline(pack, device="cpu", precision="bfloat16")
    exact = load_pipeline(pack, device="cpu", precision="float32")
    for face in lfw_crops(shared_data, 4, seed=2):
        assert np.abs(coarse.gradient_map(face) - exact.gradient_map(face)).sum() / 2 < 0.05


def test_small_slopes_do_not_round_to_nothing():
    """In float16 1e-9 is zero; the backbone is handed slopes of size 1."""
    face = np.full((112, 112, 3), 100, np.uint8)
    shares = gradient_map(
        face,
        lambda pixels: pixels.half().flatten(1).float(),
        lambda features: 1e-9 * features.sum(1),
        CPU,
    )
    assert shares == pytest.approx(np.full((28, 28), 1 / 28**2), rel=1e-3)


@pytest.mark.parametrize("slope", [0.0, float("nan")])
def test_no_slope_is_no_map(slope):
    face = np.zeros((112, 112, 3), np.uint8)
    flat = gradient_map(
        face, lambda pixels: pixels.flatten(1), lambda features: slope * features.sum(1), CPU
    )
    assert flat is None


def test_an_imported_graph_has_a_gradient_too(tmp_path, shared_data):
    pack = read_pack(write_small_pack(tmp_path))
    [face] = lfw_crops(shared_data, 1)
    shares = load_pipeline(pack, device="cpu").gradient_map(face)
    assert shares.sum() == pytest.approx(1, abs=1e-5)
    assert shares.max() > 2 / GRADIENT_GRID**2


def mobilefacenet_map(network, face):
    """With the normalisation those weights were trained with, at a rate of 0.1."""
    preprocessing = Preprocessing("rgb", (123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
    recogniser = Recogniser(network.backbone, network.head, preprocessing, 0.1)
    recogniser = for_inference(recogniser, CPU, "float32")
    closed_form = ClosedForm(recogniser.head, 0.1)
    return gradient_map(
        face,
        recogniser.differentiable_features,
        lambda features: closed_form(features).mean_distance,
        CPU,
    )


def test_a_real_graph_has_the_map_of_the_same_network_in_torch(shared_data):
    weights = shared_data / "weights"
    [face] = lfw_crops(shared_data, 1)
    imported = mobilefacenet_map(import_onnx(weights / "mobilefacenet_ms1m.onnx"), face)
    ours = mobilefacenet_map(
        mobilefacenet.load(read_state_dict(weights / "mobilefacenet_ms1m.pt")), face
    )
    assert np.abs(imported - ours).sum() / 2 < 0.01


def test_features_without_a_spatial_map_have_a_gradient_too(shared_data):
    state = read_state_dict(shared_data / "weights" / "mobilefacenet_ms1m.pt")
    network = mobilefacenet.load(state, "values")
    assert network.head.map_shape is None
    [face] = lfw_crops(shared_data, 1)
    assert mobilefacenet_map(network, face).sum() == pytest.approx(1, abs=1e-5)


def test_scores_are_the_same_before_and_after(pipeline, shared_data):
    [face] = lfw_crops(shared_data, 1)
    [before] = pipeline.score([face])
    pipeline.gradient_map(face)
    [after] = pipeline.score([face])
    assert dataclasses.astuple(before.sampled) == dataclasses.astuple(after.sampled)
    assert pipeline._recogniser.features(torch.from_numpy(face[None])).grad_fn is None


def test_a_gradient_that_does_not_fit_is_said_in_the_words_of_the_core(monkeypatch):
    pipeline = load_pipeline(embedded_pack(), device="cpu")

    def full(_: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(pipeline._recogniser, "differentiable_features", full)
    with pytest.raises(DeviceMemoryError, match="gradient of one face"):
        pipeline.gradient_map(np.zeros((112, 112, 3), np.uint8))
