"""The fused kernel on the device it is for, at the size of an IResNet's head."""

import pytest
import torch

from serfiq_core.recognition import iresnet
from serfiq_core.recognition import masked_product as module
from serfiq_core.recognition.masked_product import BitMasks, masked_product, masked_product_torch
from serfiq_core.scoring.score import PAPER_PASSES, mask_bank

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

DTYPES = [torch.float16, torch.bfloat16, torch.float32]


def drawn(images, passes, features, outputs, dtype):
    generator = torch.Generator().manual_seed(images)
    return (
        torch.randn(images, features, generator=generator).to("cuda", dtype),
        BitMasks.pack(mask_bank(passes, features, 0.4, seed=0)).to("cuda"),
        (torch.randn(outputs, features, generator=generator) / features**0.5).to("cuda", dtype),
        torch.randn(outputs, generator=generator).to("cuda"),
    )


def at_iresnet_size(images, dtype):
    return drawn(images, PAPER_PASSES, iresnet.FEATURE_COUNT, iresnet.EMBEDDING_SIZE, dtype)


def relative_error(product, features, masks, weight, bias):
    expected = (
        features.double()[:, None] * masks.unpack().double()
    ) @ weight.double().T + bias.double()
    return float((product - expected).norm() / expected.norm())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("outputs", [128, 512])
def test_the_kernel_is_the_one_that_runs(dtype, outputs):
    assert module._fused_product(torch.empty(0, device="cuda").device, dtype, outputs) is not None


@pytest.mark.parametrize("dtype", DTYPES)
def test_equals_the_formula_at_iresnet_size(dtype):
    inputs = at_iresnet_size(5, dtype)
    # Sums of 25,088 terms, as a Hopper's tensor cores add them up: under what float16 rounds to.
    assert relative_error(masked_product(*inputs), *inputs) < 5e-5
    assert relative_error(masked_product_torch(*inputs), *inputs) < 5e-5


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sizes", [(1, 3, 31, 5), (3, 130, 161, 131), (2, 1000, 3136, 128)])
def test_equals_the_formula_at_sizes_that_no_tile_divides(sizes, dtype):
    inputs = drawn(*sizes, dtype)
    assert relative_error(masked_product(*inputs), *inputs) < 1e-5


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("images", [2, 5, 64])
def test_a_face_alone_gets_what_it_gets_in_a_batch(images, dtype):
    features, masks, weight, bias = at_iresnet_size(images, dtype)
    together = masked_product(features, masks, weight, bias)
    for index in (0, images - 1):
        alone = masked_product(features[index : index + 1], masks, weight, bias)
        assert torch.equal(alone[0], together[index])


def test_again_is_the_same():
    inputs = at_iresnet_size(64, torch.float16)
    first = masked_product(*inputs)
    assert all(torch.equal(masked_product(*inputs), first) for _ in range(10))
