"""Mean distances by torch against plain loops, and the kernel against torch."""

import sys
from functools import partial

import pytest
import torch

from serfiq_core.scoring import distances as module
from serfiq_core.scoring.distances import distance_row_means, distance_row_means_torch
from tests.compiled_kernels import HOPPER, SHARED_BYTES, compiled
from tests.interpreter import interpret

CLOSE = module.SPLIT_ERROR / (2 * module.DISTANCE_ERROR)

POINTERS = {
    "outputs_ptr": "fp32",
    "high_ptr": "fp16",
    "low_ptr": "fp16",
    "inverse_lengths_ptr": "fp32",
    "squares_ptr": "fp32",
}
"""Of both kernels."""


def scattered(images, passes, size, scatter=1.0):
    """`images × passes × size`: about one point for each image."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(images, 1, size, generator=generator)
    return centres + scatter * torch.randn(images, passes, size, generator=generator)


def with_twins():
    """Widely scattered, but for two that are one, two that nearly are, and one of no length."""
    outputs = scattered(1, 70, 48)
    outputs[0, 3] = outputs[0, 68]
    outputs[0, 9] = outputs[0, 8] + 1e-5 * outputs[0, 10]
    outputs[0, 20] = 0
    return outputs


def with_no_number():
    """The first of two faces was answered with what is no number, once."""
    outputs = scattered(2, 5, 7)
    outputs[0, 2, 3] = float("nan")
    return outputs


CASES = {
    "three_passes": scattered(2, 3, 5),
    "more_rows_than_a_tile": scattered(1, 67, 48),
    "more_columns_than_a_tile": scattered(2, 130, 40, scatter=0.1),
    "hardly_any_scatter": scattered(1, 20, 128, scatter=1e-4),
    "none_at_all": scattered(2, 5, 7, scatter=0),
    "twins": with_twins(),
    "no_number": with_no_number(),
}


@pytest.fixture(scope="module")
def interpreted(tmp_path_factory):
    batches = dict(CASES)
    batches["alone"] = CASES["more_columns_than_a_tile"][1:].clone()
    inputs = {f"{name}.outputs": outputs for name, outputs in batches.items()}
    inputs |= {f"{name}.close": torch.tensor(CLOSE) for name in batches}
    return interpret(inputs, tmp_path_factory.mktemp("kernel"))


@pytest.mark.parametrize("name", CASES)
def test_torch_says_what_plain_distances_say(name):
    units = torch.nn.functional.normalize(CASES[name].double(), dim=2)
    apart = (units[:, :, None] - units[:, None]).norm(dim=3)
    expected = apart.sum(2) / (apart.shape[1] - 1)
    found = distance_row_means_torch(CASES[name])
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-6, equal_nan=True)


@pytest.mark.parametrize("name", CASES)
def test_the_kernel_says_what_torch_says(interpreted, name):
    expected = distance_row_means_torch(CASES[name])
    torch.testing.assert_close(
        interpreted[name], expected, rtol=0, atol=module.DISTANCE_ERROR, equal_nan=True
    )


def test_a_face_alone_gets_what_it_gets_in_a_batch(interpreted):
    assert torch.equal(interpreted["alone"][0], interpreted["more_columns_than_a_tile"][1])


class TestChoice:
    """On a GPU the kernel; whatever keeps it from running, torch takes its place."""

    CPU = torch.device("cpu")

    @pytest.fixture(autouse=True)
    def _forget(self):
        module._fused_row_means.cache_clear()
        yield
        module._fused_row_means.cache_clear()

    @pytest.mark.parametrize("factor", [1, 1.001])
    def test_a_kernel_is_held_against_torch(self, monkeypatch, caplog, factor):
        def fused_row_means(outputs, close):
            assert close == CLOSE
            return factor * distance_row_means_torch(outputs)

        stand_in = type(sys)("distances_triton")
        stand_in.fused_row_means = fused_row_means
        monkeypatch.setitem(sys.modules, "serfiq_core.scoring.distances_triton", stand_in)
        found = module._fused_row_means(self.CPU, 48)
        if factor == 1:
            assert isinstance(found, partial)
            assert found.func is fused_row_means
        else:
            assert found is None
            assert "no fused distances on cpu: wrong numbers" in caplog.text

    def test_a_kernel_is_tried_on_embeddings_of_the_size_in_use(self, monkeypatch):
        tried = []

        def fused_row_means(outputs, close):
            tried.append(outputs.shape[2])
            return distance_row_means_torch(outputs)

        stand_in = type(sys)("distances_triton")
        stand_in.fused_row_means = fused_row_means
        monkeypatch.setitem(sys.modules, "serfiq_core.scoring.distances_triton", stand_in)
        for size in (512, 128, 512):
            module._fused_row_means(self.CPU, size)
        assert tried == [512, 128]

    def test_a_cpu_gets_torch(self):
        outputs = scattered(2, 4, 6)
        assert torch.equal(distance_row_means(outputs), distance_row_means_torch(outputs))


@pytest.mark.usefixtures("nothing_compiled")
class TestCompiled:
    """At m = 100 and E = 512."""

    @pytest.mark.parametrize("capability", SHARED_BYTES)
    def test_units_fit_everywhere(self, capability):
        from serfiq_core.scoring import distances_triton as kernel

        compiled(
            kernel._centred_units,
            POINTERS,
            {"ROWS": kernel.UNIT_ROWS, "WHOLE": 512, "NUMBERS": kernel.UNIT_NUMBERS},
            {"num_warps": kernel.UNIT_WARPS},
            capability=capability,
        )

    @pytest.mark.parametrize("capability", SHARED_BYTES)
    def test_distances_take_tensor_cores(self, capability):
        from serfiq_core.scoring import distances_triton as kernel

        tiles = kernel.GRAM_TILES
        found = compiled(
            kernel._row_means,
            POINTERS | {"means_ptr": "fp64"},
            {
                "ROWS": tiles.rows,
                "COLUMNS": tiles.columns,
                "NUMBERS": tiles.numbers,
                "PARTS": 512 // kernel.UNIT_NUMBERS,
            },
            {"num_warps": tiles.warps, "num_stages": tiles.stages},
            others=["close_squared"],
            capability=capability,
        )
        product = "wgmma.mma_async" if capability == HOPPER else "mma.sync.aligned.m16n8k16"
        assert product in found.asm["ptx"]
