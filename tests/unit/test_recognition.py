"""The networks: public layouts, the cut at the dropout site, the products of the head."""

import numpy as np
import onnxruntime
import pytest
import safetensors.torch
import torch
from torch import nn

from serfiq_core.errors import WeightsError
from serfiq_core.packs.registry import embedded_pack
from serfiq_core.recognition import compact, iresnet, mobilefacenet
from serfiq_core.recognition.head import AffineHead
from serfiq_core.recognition.network import without_batch_norms
from serfiq_core.recognition.recogniser import Preprocessing, Recogniser
from serfiq_core.recognition.weights import read_state_dict
from serfiq_core.scoring.score import mask_bank


def shaken(network: nn.Module) -> nn.Module:
    """Random running statistics, so that a batch norm left out would show."""
    torch.manual_seed(1)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.2, 0.2)
    return network.eval()


@pytest.mark.parametrize("depth", iresnet.BLOCKS)
def test_iresnet_has_the_public_layout(depth):
    names = set(iresnet.IResNet(depth).state_dict()) if depth <= 50 else names_on_meta(depth)
    expected = {"conv1.weight", "bn1.weight", "prelu.weight", "bn2.running_mean", "fc.weight"}
    expected |= {"features.running_var", "layer1.0.bn1.weight", "layer1.0.downsample.0.weight"}
    last = iresnet.BLOCKS[depth][2] - 1
    expected |= {f"layer3.{last}.conv2.weight", f"layer3.{last}.prelu.weight"}
    assert expected <= names
    assert f"layer3.{last + 1}.conv1.weight" not in names


def names_on_meta(depth):
    with torch.device("meta"):
        return set(iresnet.IResNet(depth).state_dict())


@torch.no_grad()
def test_the_cut_iresnet_computes_what_the_whole_one_does():
    whole = shaken(iresnet.IResNet(18))
    network = iresnet.load(whole.state_dict(), 18)
    inputs = torch.randn(2, 3, 112, 112)
    features = network.backbone(inputs)
    assert features.shape == (2, 25088)
    assert network.head.map_shape == (512, 7, 7)
    assert torch.allclose(network.head.embed(features), whole(inputs), atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("site", ["map", "values"])
def test_the_cut_mobilefacenet_computes_what_the_whole_one_does(site):
    whole = shaken(mobilefacenet.MobileFaceNet())
    network = mobilefacenet.load(whole.state_dict(), site)
    inputs = torch.randn(2, 3, 112, 112)
    outputs = network.head.embed(network.backbone(inputs))
    assert torch.allclose(outputs, whole(inputs), atol=1e-4)
    assert network.head.feature_count == {"map": 25088, "values": 512}[site]


@torch.no_grad()
@pytest.mark.parametrize("site", ["map", "values"])
def test_mobilefacenet_agrees_with_its_published_onnx_export(shared_data, site):
    weights = shared_data / "weights"
    network = mobilefacenet.load(read_state_dict(weights / "mobilefacenet_ms1m.pt"), site)
    session = onnxruntime.InferenceSession(weights / "mobilefacenet_ms1m.onnx")
    inputs = torch.randn(3, 3, 112, 112)
    name = session.get_inputs()[0].name
    expected = [session.run(None, {name: image[None].numpy()})[0] for image in inputs]
    outputs = network.head.embed(network.backbone(inputs)).numpy()
    assert outputs == pytest.approx(np.concatenate(expected), abs=1e-4)


@torch.no_grad()
def test_the_embedded_recogniser_is_cut_at_its_trained_site():
    path = embedded_pack().recogniser_path
    assert path.stat().st_size <= 6_000_000
    state = read_state_dict(path)
    whole = compact.Compact()
    whole.load_state_dict(dict(state), strict=False)
    network = compact.load(state)
    inputs = torch.randn(2, 3, 112, 112)
    features = network.backbone(inputs)
    assert network.head.map_shape == (64, 7, 7)
    assert torch.allclose(network.head.embed(features), whole.eval()(inputs), atol=1e-5)


def products_agree(head: AffineHead) -> None:
    """`⟨W x, v⟩ = ⟨x, Wᵀ v⟩`, and the column norms are those of `W`."""
    x = torch.randn(3, head.feature_count)
    v = torch.randn(3, head.embedding_size)
    forward = ((head.embed(x) - head.bias) * v).sum(1)
    backward = (x * head.multiply_transposed(v)).sum(1)
    assert torch.allclose(forward, backward, rtol=1e-3, atol=1e-3 * float(forward.abs().max()))
    columns = head.multiply_transposed(torch.eye(head.embedding_size)).square().sum(0)
    assert torch.allclose(head.squared_column_norms, columns, rtol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("site", ["map", "values"])
def test_the_products_of_a_chain_belong_together(site):
    whole = shaken(mobilefacenet.MobileFaceNet())
    products_agree(mobilefacenet.load(whole.state_dict(), site).head)


@torch.no_grad()
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("site", ["map", "values"])
def test_passes_are_the_head_on_masked_features(site, precision):
    whole = shaken(mobilefacenet.MobileFaceNet())
    head = mobilefacenet.load(whole.state_dict(), site).head.to(torch.device("cpu"), precision)
    features = torch.rand(3, head.feature_count)
    bank = mask_bank(7, head.feature_count, 0.4, 0)
    expected = torch.stack([head.embed(face * bank) for face in features])
    outputs = head.under_masks(bank)(features)
    assert outputs.shape == (3, 7, 128)
    assert outputs.dtype == torch.float32
    rounding = 1e-5 if precision == torch.float32 else 2e-2
    assert torch.allclose(outputs, expected, rtol=0, atol=rounding * float(expected.abs().max()))


@torch.no_grad()
@pytest.mark.parametrize("passes", [3, 127, 300])
def test_more_passes_than_travel_at_once_give_the_same_embeddings(passes):
    """At F = 25,088 fewer than 300 rows are multiplied at once."""
    head = AffineHead(nn.Linear(25_088, 5), 25_088)
    features = torch.rand(2, head.feature_count)
    bank = mask_bank(passes, head.feature_count, 0.4, 0)
    expected = torch.stack([head.embed(face * bank) for face in features])
    assert torch.allclose(head.under_masks(bank)(features), expected, atol=1e-4)


def test_a_head_that_sums_over_positions_is_kept_as_its_two_factors():
    """Whatever its layers are called: here a depthwise convolution, a norm and a convolution."""
    chain = nn.Sequential(
        nn.Conv2d(6, 6, 5, groups=6), shaken(nn.BatchNorm2d(6)), nn.Conv2d(6, 4, 1), nn.Flatten()
    )
    head = AffineHead(chain, 150, (6, 5, 5))
    assert head.matrix.shape == (4, 6)
    assert head.weight is None
    x = torch.randn(3, 6, 5, 5)
    assert torch.allclose(head.embed(x.flatten(1)), chain(x), atol=1e-5)
    products_agree(head)


def test_a_head_of_one_matrix_stays_one():
    head = AffineHead(nn.Sequential(nn.Flatten(), nn.Linear(150, 4)), 150, (6, 5, 5))
    assert head.weight is head.matrix
    assert head.matrix.shape == (4, 150)


@torch.no_grad()
def test_a_batch_norm_behind_a_convolution_is_folded_and_no_other():
    whole = shaken(
        nn.Sequential(
            nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.BatchNorm2d(4)
        )
    )
    folded = without_batch_norms(whole)
    norms = [module for module in folded.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(norms) == 2
    x = torch.randn(2, 3, 8, 8)
    assert torch.allclose(folded(x), whole(x), atol=1e-5)


@torch.no_grad()
def test_the_products_of_one_matrix_belong_together():
    products_agree(AffineHead(nn.Linear(20, 7), 20))
    products_agree(AffineHead(nn.Sequential(nn.Linear(20, 9), nn.Linear(9, 7)), 20))


def test_a_chain_that_is_not_affine_is_refused():
    with pytest.raises(WeightsError, match="not affine"):
        AffineHead(nn.Sequential(nn.Linear(8, 8), nn.ReLU()), 8)


def test_an_output_of_one_value_is_no_embedding():
    with pytest.raises(WeightsError, match=r"gives \(1, 1\) for one face"):
        AffineHead(nn.Linear(8, 1), 8)


def test_weights_of_another_network_are_refused_by_name():
    with pytest.raises(WeightsError, match=r"not those of IResNet-34.*lacks layer"):
        iresnet.load(iresnet.IResNet(18).state_dict(), 34)
    state = dict(compact.Compact().state_dict())
    state["fc.weight"] = torch.zeros(64, 3136)
    with pytest.raises(WeightsError, match=r"fc\.weight is \(64, 3136\), not \(128, 3136\)"):
        compact.load(state)


def test_torch_and_safetensors_files_give_the_same_state(tmp_path):
    state = compact.Compact().state_dict()
    torch.save({"state_dict": {f"module.{k}": v for k, v in state.items()}}, tmp_path / "a.pt")
    safetensors.torch.save_file(state, tmp_path / "a.safetensors")
    left, right = (read_state_dict(tmp_path / name) for name in ("a.pt", "a.safetensors"))
    assert left.keys() == right.keys()
    assert all(torch.equal(left[name], right[name]) for name in left)


class Trap:
    def __reduce__(self):
        return (print, ("unpickled",))


@pytest.mark.parametrize("name", ["weights.pt", "weights.safetensors"])
def test_what_is_no_weights_is_refused_and_never_run(tmp_path, capsys, name):
    path = tmp_path / name
    for content in (b"", b"not weights at all"):
        path.write_bytes(content)
        with pytest.raises(WeightsError, match=name) as refused:
            read_state_dict(path)
        assert "weights_only" not in str(refused.value)  # which would run what the file brings
        assert not str(refused.value).endswith(": ")
    torch.save(Trap(), path)
    with pytest.raises(WeightsError, match=r"is damaged, or holds more than tensors|header"):
        read_state_dict(path)
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(WeightsError, match="no state dict"):
        read_state_dict(tmp_path / "list.pt")
    with pytest.raises(WeightsError, match=r"missing\.pt"):
        read_state_dict(tmp_path / "missing.pt")
    assert "unpickled" not in capsys.readouterr().out


def test_preprocessing_follows_order_mean_and_std():
    backbone = nn.Flatten()
    head = AffineHead(nn.Linear(3 * 112 * 112, 4), 3 * 112 * 112)
    recogniser = Recogniser(
        backbone, head, Preprocessing("bgr", (1.0, 2.0, 3.0), (10.0, 20.0, 30.0)), 0.4
    )
    aligned = torch.zeros(1, 112, 112, 3, dtype=torch.uint8)
    aligned[..., 0], aligned[..., 1], aligned[..., 2] = 33, 22, 11
    inputs = recogniser.preprocess(aligned)
    assert inputs[0, :, 0, 0].tolist() == pytest.approx([1, 1, 1])
