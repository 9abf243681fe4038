"""Whole recognisers through the importer: a customer's MobileFaceNet, and exports of IResNets."""

import io
import warnings
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from serfiq_core.errors import OnnxImportError
from serfiq_core.recognition import mobilefacenet
from serfiq_core.recognition.iresnet import Block, IResNet
from serfiq_core.recognition.network import Network
from serfiq_core.recognition.onnx_import import (
    LARGEST_DIFFERENCE,
    ImportedNetwork,
    import_onnx,
    random_inputs,
    verify_against_onnxruntime,
)
from serfiq_core.recognition.weights import read_state_dict
from tests.faces import degraded, lfw_crops

MEAN = torch.tensor([0.485, 0.456, 0.406]) * 255
STD = torch.tensor([0.229, 0.224, 0.225]) * 255
FACES = 12


@dataclass(frozen=True)
class Customer:
    file: Path
    state: dict[str, torch.Tensor]
    faces: torch.Tensor


@pytest.fixture(scope="module")
def customer(shared_data: Path) -> Customer:
    """The MobileFaceNet, as ONNX and as torch weights, and real faces, some degraded."""
    weights = shared_data / "weights"
    faces = torch.from_numpy(degraded(lfw_crops(shared_data, FACES, seed=3)))
    return Customer(
        weights / "mobilefacenet_ms1m.onnx",
        read_state_dict(weights / "mobilefacenet_ms1m.pt"),
        ((faces.float() - MEAN) / STD).permute(0, 3, 1, 2),
    )


@torch.no_grad()
def assert_twins(network: ImportedNetwork, twin: Network, faces: torch.Tensor) -> None:
    features, twin_features = network.backbone(faces), twin.backbone(faces)
    torch.testing.assert_close(features, twin_features, rtol=0, atol=LARGEST_DIFFERENCE)
    embeddings, twin_embeddings = network.head.embed(features), twin.head.embed(twin_features)
    torch.testing.assert_close(embeddings, twin_embeddings, rtol=0, atol=LARGEST_DIFFERENCE)
    assert F.cosine_similarity(embeddings, twin_embeddings).min() >= 0.99999
    torch.testing.assert_close(
        network.head.squared_column_norms, twin.head.squared_column_norms, rtol=1e-4, atol=1e-5
    )


def test_mobilefacenet_is_its_torch_twin_on_real_faces(customer: Customer) -> None:
    network = import_onnx(customer.file)
    assert network.site == "/conv2/conv2.2/Clip_output_0"
    assert network.head.map_shape == (512, 7, 7)
    assert network.input_size == (112, 112)
    assert network.dropout_rate is None
    verify_against_onnxruntime(customer.file, network, random_inputs(network))
    verify_against_onnxruntime(customer.file, network, customer.faces)
    assert_twins(network, mobilefacenet.load(customer.state), customer.faces)


def test_mobilefacenet_cut_at_its_512_values_by_name(customer: Customer) -> None:
    network = import_onnx(customer.file.read_bytes(), site="/gdconv/depthwise/Conv_output_0")
    assert network.head.feature_count == 512
    assert network.head.map_shape is None
    assert_twins(network, mobilefacenet.load(customer.state, site="values"), customer.faces)


def test_mobilefacenet_cut_half_way_up_is_refused(customer: Customer) -> None:
    with pytest.raises(OnnxImportError, match=r"these can: /conv2/conv2.2/Clip_output_0, /gdconv"):
        import_onnx(customer.file, site="/features/features.14/Add_output_0")


class WithDropout(nn.Module):
    """An IResNet with the Dropout layer its training had."""

    def __init__(self, network: IResNet, rate: float) -> None:
        super().__init__()
        self.features = nn.Sequential(network.backbone(), nn.Dropout(rate))
        self.tail = nn.Sequential(network.fc, network.features)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        output: torch.Tensor = self.tail(self.features(x))
        return output


def randomised_iresnet(depth: int) -> IResNet:
    """Random weights, with batch statistics that make every layer's folding matter.

    Residual branches are scaled down, as training leaves them: otherwise every block would double
    the variance and outputs of 400 would differ from onnxruntime by rounding alone.
    """
    torch.manual_seed(depth)
    with torch.device("meta"):
        network = IResNet(depth)
    network = network.to_empty(device="cpu")
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            fan_in = module.weight[0].numel()
            nn.init.normal_(module.weight, std=fan_in**-0.5)
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.bias, std=0.1)
        if isinstance(module, nn.PReLU):
            nn.init.uniform_(module.weight, 0.1, 0.4)
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
            assert module.running_mean is not None
            assert module.running_var is not None
            nn.init.normal_(module.running_mean, std=0.2)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    for module in network.modules():
        if isinstance(module, Block):
            nn.init.uniform_(module.bn3.weight, 0.1, 0.3)
    return network.eval()


def exported(network: nn.Module, opset: int, dynamic: bool, dropout: float | None) -> bytes:
    """Through torch's exporter; with a Dropout layer in training, and left in, on request."""
    mode = torch.onnx.TrainingMode.EVAL
    if dropout is not None:
        network = WithDropout(network, dropout).eval()
        network.features[1].train()
        mode = torch.onnx.TrainingMode.PRESERVE
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter that writes opset 11 is deprecated
        torch.onnx.export(
            network,
            (torch.zeros(1, 3, 112, 112),),
            buffer,
            dynamo=False,
            opset_version=opset,
            training=mode,
            do_constant_folding=dropout is None,
            input_names=["image"],
            output_names=["embedding"],
            dynamic_axes={"image": {0: "N"}, "embedding": {0: "N"}} if dynamic else None,
        )
    return buffer.getvalue()


@pytest.fixture(scope="module")
def iresnets() -> dict[int, IResNet]:
    return {depth: randomised_iresnet(depth) for depth in (18, 50)}


@pytest.mark.parametrize(
    ("depth", "opset", "dynamic", "dropout"),
    [
        (18, 11, False, None),
        (18, 11, True, 0.4),
        (18, 18, True, None),
        (18, 18, False, 0.4),
        (50, 11, False, None),
        (50, 18, True, 0.4),
    ],
)
@torch.no_grad()
def test_iresnet_export_is_cut_at_its_flattened_map(
    iresnets: dict[int, IResNet], depth: int, opset: int, dynamic: bool, dropout: float | None
) -> None:
    original = iresnets[depth]
    source = exported(original, opset, dynamic, dropout)
    network = import_onnx(source)
    images = random_inputs(network, count=2)
    verify_against_onnxruntime(source, network, images)

    assert network.head.map_shape == (512, 7, 7)
    assert network.dropout_rate == dropout
    features, original_features = network.backbone(images), original.backbone()(images)
    torch.testing.assert_close(features, original_features, rtol=1e-4, atol=1e-4)
    alone = torch.cat([network.backbone(image[None]) for image in images])
    torch.testing.assert_close(features, alone, rtol=1e-4, atol=1e-4)
    embeddings = original.features(original.fc(original_features))
    torch.testing.assert_close(
        network.head.embed(features), embeddings, rtol=0, atol=LARGEST_DIFFERENCE
    )
