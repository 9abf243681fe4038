"""Masks as bits, the chunked product against the formula, and the kernel against the product."""

import sys
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from serfiq_core.errors import ConfigurationError
from serfiq_core.recognition import masked_product as module
from serfiq_core.recognition.masked_product import BitMasks, masked_product, masked_product_torch
from serfiq_core.scoring.score import mask_bank
from tests.compiled_kernels import SHARED_BYTES, compiled
from tests.interpreter import interpret

RATE = 0.4


def formula(features, bank, weight, bias):
    """`W (f_b ⊙ z_s) + β` in float64, everything materialised."""
    masked = features.double()[:, None] * bank.double()
    return masked @ weight.double().T + bias.double()


def drawn(images, passes, features, outputs, dtype=torch.float32, seed=0):
    """Features, bank, weight and bias of these sizes."""
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(images, features, generator=generator).to(dtype),
        mask_bank(passes, features, RATE, seed),
        (torch.randn(outputs, features, generator=generator) / features**0.5).to(dtype),
        torch.randn(outputs, generator=generator),
    )


class TestBits:
    @settings(deadline=None)
    @given(
        passes=st.integers(3, 9),
        features=st.integers(1, 100),
        rate=st.floats(0, 0.9),
        seed=st.integers(0, 2**32 - 1),
    )
    def test_a_bank_comes_back_as_it_went_in(self, passes, features, rate, seed):
        bank = mask_bank(passes, features, rate, seed)
        bank[0, 0] = bank.max() or 1 / (1 - rate)  # with few features all may be dropped
        masks = BitMasks.pack(bank)
        assert masks.words.shape == (passes, -(-features // 32))
        assert masks.words.dtype == torch.int32
        assert len(masks) == passes
        assert torch.equal(masks.unpack(), bank)

    def test_bit_k_of_word_k_over_32_is_feature_k(self):
        bank = torch.zeros(1, 70)
        bank[0, [0, 31, 33, 69]] = 2.0
        masks = BitMasks.pack(bank)
        assert masks.words.tolist() == [[1 - 2**31, 2, 1 << 5]]  # bit 31 is the sign
        assert masks.scale == 2.0

    @pytest.mark.parametrize(
        "bank", [[[0.0, 1.0, 2.0]], [[0.0, 0.0]], [[0.0, -1.0]], [[1.0, float("nan")]]]
    )
    def test_what_is_no_dropout_mask_is_refused(self, bank):
        with pytest.raises(ConfigurationError):
            BitMasks.pack(torch.tensor(bank))


class TestTorchVersion:
    @pytest.mark.parametrize("limit", [1, 1000, 5000, 10**9])
    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    def test_equals_the_formula_however_it_is_cut(self, monkeypatch, limit, dtype):
        # 1 byte: one row at a time; 1000: a few passes; 5000: a few images; the last: all at once.
        monkeypatch.setattr(module, "MATERIALISED_BYTES", limit)
        features, bank, weight, bias = drawn(5, 7, 45, 6, dtype)
        product = masked_product_torch(features, BitMasks.pack(bank), weight, bias)
        expected = formula(features, bank, weight, bias)
        assert product.dtype == torch.float32
        tolerance = 1e-6 if dtype == torch.float32 else 2**-8
        assert (product - expected).norm() <= tolerance * expected.norm()

    def test_never_materialises_more_than_the_limit(self, monkeypatch):
        features, bank, weight, bias = drawn(6, 8, 64, 4)
        monkeypatch.setattr(module, "MATERIALISED_BYTES", 3 * 8 * 64 * 4)  # three images
        rows = []
        product = module.float32_product
        monkeypatch.setattr(
            module, "float32_product", lambda r, w: rows.append(len(r)) or product(r, w)
        )
        masked_product_torch(features, BitMasks.pack(bank), weight, bias)
        assert rows == [3 * 8, 3 * 8]

    def test_a_dropped_infinity_leaves_no_trace(self):
        features, bank, weight, bias = drawn(1, 4, 40, 3)
        features[0, 5] = float("inf")
        product = masked_product_torch(features, BitMasks.pack(bank), weight, bias)
        assert torch.equal(product.isfinite().all(2)[0], bank[:, 5] == 0)

    def test_is_what_a_cpu_gets(self):
        features, bank, weight, bias = drawn(2, 4, 33, 5)
        masks = BitMasks.pack(bank)
        product = masked_product(features, masks, weight, bias)
        assert torch.equal(product, masked_product_torch(features, masks, weight, bias))

    def test_no_faces_give_no_outputs(self):
        features, bank, weight, bias = drawn(2, 4, 33, 5)
        assert masked_product(features[:0], BitMasks.pack(bank), weight, bias).shape == (0, 4, 5)


class TestChoice:
    """Whatever keeps the kernel from running, the torch version takes its place."""

    CPU = torch.device("cpu")

    @pytest.fixture(autouse=True)
    def _forget(self):
        module._fused_product.cache_clear()
        yield
        module._fused_product.cache_clear()

    def test_without_triton_there_is_none(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "triton", None)  # `import triton` raises ImportError
        monkeypatch.delitem(sys.modules, f"{module.__name__}_triton", raising=False)
        assert module._fused_product(self.CPU, torch.float16, 16) is None

    def test_before_tensor_cores_for_16_bits_there_is_none(self, monkeypatch, caplog):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (7, 5))
        assert module._fused_product(torch.device("cuda"), torch.float16, 16) is None
        assert "no fused dropout product on cuda in torch.float16: NotImpl" in caplog.text

    @pytest.mark.parametrize("broken", [16, 512])
    def test_a_kernel_is_tried_with_as_many_outputs_as_the_head_has(self, monkeypatch, broken):
        def fused_masked_product(features, words, scale, weight, bias):
            if len(weight) == broken:
                raise RuntimeError("out of resource: shared memory")
            masks = BitMasks(words, weight.shape[1], scale)
            return masked_product_torch(features, masks, weight, bias)

        stand_in = type(sys)("masked_product_triton")
        stand_in.fused_masked_product = fused_masked_product
        monkeypatch.setitem(sys.modules, f"{module.__name__}_triton", stand_in)
        for outputs in (16, 512):
            found = module._fused_product(self.CPU, torch.float32, outputs)
            assert (found is None) == (outputs == broken)

    @pytest.mark.parametrize("factor", [1, 1.01])
    def test_a_kernel_is_held_against_torch(self, monkeypatch, factor):
        def fused_masked_product(features, words, scale, weight, bias):
            masks = BitMasks(words, weight.shape[1], scale)
            return factor * masked_product_torch(features, masks, weight, bias)

        stand_in = type(sys)("masked_product_triton")
        stand_in.fused_masked_product = fused_masked_product
        monkeypatch.setitem(sys.modules, f"{module.__name__}_triton", stand_in)
        found = module._fused_product(self.CPU, torch.float32, 16)
        assert found is (fused_masked_product if factor == 1 else None)


@dataclass(frozen=True)
class Case:
    """Sizes that tiles of 128 (or 32) passes, 128 (or 64) outputs and 64 (or 32) features cut."""

    images: int
    passes: int
    features: int
    outputs: int
    dtype: torch.dtype

    def drawn(self):
        return drawn(self.images, self.passes, self.features, self.outputs, self.dtype)


CASES = {
    "one_face": Case(1, 3, 31, 5, torch.float16),
    "odd_batch": Case(3, 7, 161, 9, torch.float16),
    "even_features": Case(2, 5, 192, 16, torch.float16),
    "two_tiles_each_way": Case(2, 130, 70, 131, torch.float16),
    "narrow_tiles_each_way": Case(2, 130, 70, 67, torch.float16),
    "float32_one_face": Case(1, 3, 31, 5, torch.float32),
    "float32_two_tiles_each_way": Case(3, 37, 77, 67, torch.float32),
}
ALONE_OF = "odd_batch", "float32_two_tiles_each_way"


@pytest.fixture(scope="module")
def interpreted(tmp_path_factory):
    """What the kernel gives for every case, and for some faces sent alone."""
    folder = tmp_path_factory.mktemp("kernel")
    inputs = {}
    for name, case in CASES.items():
        features, bank, weight, bias = case.drawn()
        masks = BitMasks.pack(bank)
        batches = {name: features}
        if name in ALONE_OF:
            batches |= {f"{name}_{i}": features[i : i + 1].clone() for i in range(len(features))}
        for batch, faces in batches.items():
            inputs[f"{batch}.features"] = faces
            inputs[f"{batch}.words"] = masks.words.clone()
            inputs[f"{batch}.scale"] = torch.tensor(masks.scale)
            inputs[f"{batch}.weight"] = weight.clone()
            inputs[f"{batch}.bias"] = bias.clone()
    return interpret(inputs, folder)


class TestKernel:
    """In Triton's interpreter. It has no bfloat16: that one is left to tests/gpu."""

    @pytest.mark.parametrize("name", CASES)
    def test_equals_the_formula(self, interpreted, name):
        expected = formula(*CASES[name].drawn())
        assert interpreted[name].shape == expected.shape
        assert (interpreted[name] - expected).norm() <= 1e-6 * expected.norm()

    @pytest.mark.parametrize("name", ALONE_OF)
    def test_a_face_alone_gets_what_it_gets_in_a_batch(self, interpreted, name):
        for index, product in enumerate(interpreted[name]):
            assert torch.equal(interpreted[f"{name}_{index}"][0], product)


@pytest.mark.usefixtures("nothing_compiled")
class TestCompiled:
    """With the tiles of a head of many outputs, of few, and of float32."""

    @pytest.mark.parametrize("element", ["fp16", "bf16"])
    def test_a_wide_head_takes_a_hopper_s_tensor_cores(self, element):
        ptx = self.masked_product("HALF_TILES", element).asm["ptx"]
        kind = element.replace("fp", "f")
        assert f"wgmma.mma_async.sync.aligned.m64n128k16.f32.{kind}" in ptx

    @pytest.mark.parametrize("capability", [80, 86])
    @pytest.mark.parametrize("tiles", ["HALF_TILES", "NARROW_HALF_TILES"])
    def test_tensor_cores_are_taken_from_ampere_on(self, tiles, capability):
        ptx = self.masked_product(tiles, "fp16", capability=capability).asm["ptx"]
        assert "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32" in ptx

    @pytest.mark.parametrize("capability", SHARED_BYTES)
    def test_float32_fits_everywhere_and_is_no_tf32(self, capability):
        ptx = self.masked_product("FLOAT_TILES", "fp32", capability=capability).asm["ptx"]
        assert "tf32" not in ptx

    @staticmethod
    def masked_product(tiles_name, element, **options):
        from serfiq_core.recognition import masked_product_triton as kernel

        tiles = getattr(kernel, tiles_name)
        pointers = {
            "units_ptr": "i32",
            "words_ptr": "i32",
            "weight_ptr": element,
            "bias_ptr": "fp32",
            "outputs_ptr": "fp32",
        }
        constants = {
            "PER_UNIT": 1 if element == "fp32" else 2,
            "PASSES": tiles.passes,
            "OUTPUTS": tiles.outputs,
            "FEATURES": tiles.features,
        }
        launch = {"num_warps": tiles.warps, "num_stages": tiles.stages}
        return compiled(
            kernel._masked_product, pointers, constants, launch, others=["scale"], **options
        )
