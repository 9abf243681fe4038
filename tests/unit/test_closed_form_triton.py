"""The fused closed form against the plain one, in Triton's interpreter and by a compiler."""

import sys
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from serfiq_core.recognition.head import AffineHead
from serfiq_core.scoring.closed_form import ClosedForm, _trace_probes
from tests.compiled_kernels import SHARED_BYTES, compiled
from tests.interpreter import interpret


@dataclass(frozen=True)
class Case:
    """Sizes that tiles of 64 images, 64 features and 64 (or 32) outputs cut."""

    images: int
    features: int
    outputs: int
    weight: torch.dtype
    given: torch.dtype = torch.float32
    scale: float = 1.0
    rate: float = 0.4
    bias: bool = True

    def head(self):
        torch.manual_seed(self.features)
        head = AffineHead(nn.Linear(self.features, self.outputs, self.bias), self.features)
        return head.to(torch.device("cpu"), self.weight)

    def drawn(self):
        generator = torch.Generator().manual_seed(self.images)
        features = torch.randn(self.images, self.features, generator=generator)
        return (self.scale * features).to(self.given)

    def expected(self):
        return ClosedForm(self.head(), self.rate)(self.drawn()).mean_distance

    def cumulants(self):
        plain = ClosedForm(self.head(), self.rate)
        return plain.a, plain.kappa_3, plain.kappa_4

    def probe_power(self):
        return ClosedForm(self.head(), self.rate)._probe_power

    def parameters(self):
        """Of `fused_mean_distances`, by name."""
        head, features = self.head(), self.drawn()
        through_head = head.multiply_transposed(_trace_probes(self.outputs).to(head.bias))
        first, second = torch.triu_indices(len(through_head), len(through_head), offset=1)
        products = through_head[first] * through_head[second] / self.probe_power()
        return {
            "features": features,
            "weight": head.matrix,
            "bias": head.bias,
            "squared_column_norms": head.squared_column_norms,
            "probe_products": products.to(head.precision),
            "probe_power": torch.tensor(self.probe_power(), dtype=torch.float64),
            "cumulants": torch.tensor(self.cumulants(), dtype=torch.float64),
        }


HALF, FLOAT = torch.float16, torch.float32
CASES = {
    "one_face": Case(1, 31, 5, HALF),
    "odd_batch": Case(3, 161, 70, HALF),
    "half_features": Case(3, 161, 70, HALF, given=HALF),
    "two_tiles_each_way": Case(70, 130, 67, HALF),
    "whole_tiles": Case(64, 192, 64, HALF),
    "two_outputs": Case(3, 40, 2, HALF),
    "float32_one_face": Case(1, 31, 5, FLOAT),
    "float32_odd_batch": Case(3, 161, 70, FLOAT),
    "float32_two_tiles_each_way": Case(70, 130, 67, FLOAT),
    "float32_two_outputs": Case(3, 40, 2, FLOAT),
    "little_dropout": Case(3, 161, 70, FLOAT, rate=0.05),
    "much_dropout": Case(3, 161, 70, FLOAT, rate=0.9),
    "small_features": Case(3, 161, 70, FLOAT, scale=1e-6),
    "small_half_features": Case(3, 161, 70, HALF, given=HALF, scale=1e-4, bias=False),
    "squares_that_float16_does_not_hold": Case(3, 161, 70, HALF, given=HALF, scale=1e4),
    "rows_of_two_steps": Case(1, 8200, 3, HALF),
}
AT_REST = {
    "zero_features": Case(3, 161, 70, HALF, scale=0),
    "zero_embedding": Case(3, 161, 70, HALF, scale=0, bias=False),
    "no_dropout": Case(3, 161, 70, HALF, rate=0),
}
FURTHEST = {
    "one_feature": Case(3, 1, 4, FLOAT, rate=0.97, bias=False),
    "half_one_feature": Case(3, 1, 4, HALF, rate=0.97, bias=False),
}
STRANGE = {
    "infinite_features": Case(3, 161, 70, HALF, scale=float("inf")),
    "no_number": Case(3, 161, 70, FLOAT, scale=float("nan")),
}
ALONE_OF = "odd_batch", "half_features", "float32_odd_batch"


@pytest.fixture(scope="module")
def interpreted(tmp_path_factory):
    """What the kernels give for every case, and for some faces sent alone."""
    batches = {}
    for name, case in (CASES | AT_REST | FURTHEST | STRANGE).items():
        batches[name] = case.parameters()
        if name in ALONE_OF:
            for face in range(case.images):
                alone = batches[name]["features"][face : face + 1]
                batches[f"{name}_{face}"] = batches[name] | {"features": alone}
    inputs = {
        f"{name}.{parameter}": tensor.clone()
        for name, parameters in batches.items()
        for parameter, tensor in parameters.items()
    }
    return interpret(inputs, tmp_path_factory.mktemp("kernel"))


class TestInterpreted:
    """The interpreter has no bfloat16."""

    @pytest.mark.parametrize("name", CASES)
    def test_equals_the_plain_closed_form(self, interpreted, name):
        expected = CASES[name].expected()
        assert interpreted[name].dtype == torch.float64
        # torch rounds products to 16 bits where the kernel keeps float32.
        tolerance = 1e-6 if CASES[name].weight == FLOAT else 2e-4
        torch.testing.assert_close(interpreted[name], expected, rtol=tolerance, atol=0)

    @pytest.mark.parametrize("name", AT_REST)
    def test_is_zero_where_nothing_scatters(self, interpreted, name):
        assert torch.equal(interpreted[name], torch.zeros(3, dtype=torch.float64))

    @pytest.mark.parametrize("name", FURTHEST)
    def test_no_mean_distance_is_beyond_the_root_of_2(self, interpreted, name):
        """Not even by what float32 would round it to."""
        expected = torch.full((3,), 2, dtype=torch.float64).sqrt()
        assert torch.equal(FURTHEST[name].expected(), expected)
        assert torch.equal(interpreted[name], expected)

    @pytest.mark.parametrize("name", STRANGE)
    def test_is_as_strange_as_the_plain_closed_form(self, interpreted, name):
        expected = STRANGE[name].expected()
        assert torch.equal(interpreted[name].isnan(), expected.isnan())
        assert torch.equal(interpreted[name].nan_to_num(), expected.nan_to_num())

    @pytest.mark.parametrize("name", ALONE_OF)
    def test_a_face_alone_gets_what_it_gets_in_a_batch(self, interpreted, name):
        for face, distance in enumerate(interpreted[name]):
            assert interpreted[f"{name}_{face}"].tolist() == [float(distance)]


class TestChoice:
    """On a GPU the kernels; whatever keeps them from running, torch takes their place."""

    @pytest.mark.parametrize("factor", [1, 1.01])
    def test_kernels_are_held_against_the_plain_closed_form(self, monkeypatch, caplog, factor):
        case = CASES["float32_odd_batch"]
        plain = ClosedForm(case.head(), case.rate)
        products = case.parameters()["probe_products"]

        def fused_mean_distances(features, **parameters):
            assert torch.equal(parameters["probe_products"], products)
            assert parameters["cumulants"] == case.cumulants()
            assert parameters["probe_power"] == case.probe_power()
            return factor * plain.mean_distances(features)

        stand_in = type(sys)("closed_form_triton")
        stand_in.fused_mean_distances = fused_mean_distances
        monkeypatch.setitem(sys.modules, "serfiq_core.scoring.closed_form_triton", stand_in)
        found = plain._fused_distances(products)
        assert (found is None) == (factor != 1)
        assert ("no fused closed form on cpu: wrong numbers" in caplog.text) == (factor != 1)

    def test_a_head_that_is_no_one_matrix_has_none(self):
        chain = nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.Linear(6, 5))
        head = AffineHead(chain, 96, (6, 4, 4))
        assert head.weight is None
        assert ClosedForm(head, 0.4)._fused_distances(torch.ones(3, 96)) is None


@pytest.mark.usefixtures("nothing_compiled")
class TestCompiled:
    """At the sizes of an IResNet: F = 25,088, E = 512 and 496 probe products."""

    @pytest.mark.parametrize("element", ["fp16", "bf16"])
    @pytest.mark.parametrize("given", ["fp32", "weight's"])
    def test_the_sums_take_a_hopper_s_tensor_cores_and_wide_copies(self, element, given):
        found = self.feature_sums(element, given)
        product = f"wgmma.mma_async.sync.aligned.m64n64k16.f32.{element.replace('fp', 'f')}"
        assert product in found.asm["ptx"]
        assert "cp.async.cg.shared.global [ %r" in found.asm["ptx"]  # 16 bytes each
        assert "cp.async.ca" not in found.asm["ptx"]  # fewer
        # Three programs a multiprocessor, of whose 228 KiB each program costs 1 KiB more.
        assert 3 * (found.metadata.shared + 1024) <= 228 * 1024

    @pytest.mark.parametrize("capability", [80, 86])
    def test_the_sums_take_tensor_cores_from_ampere_on(self, capability):
        found = self.feature_sums("fp16", "fp32", capability=capability)
        assert "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32" in found.asm["ptx"]

    @pytest.mark.parametrize("capability", SHARED_BYTES)
    def test_the_sums_in_float32_fit_everywhere(self, capability):
        self.feature_sums("fp32", "fp32", capability=capability)

    @pytest.mark.parametrize("capability", SHARED_BYTES)
    def test_what_float16_is_to_hold_is_read_sixteen_bytes_at_a_time(self, capability):
        from serfiq_core.scoring import closed_form_triton as kernel

        found = compiled(
            kernel._rows_within,
            {"rows_ptr": "fp16", "within_ptr": "fp16", "powers_ptr": "fp32"},
            {"STEP": kernel.ROW_STEP, "SQUARED": True},
            {"num_warps": kernel.ROW_WARPS},
            capability=capability,
        )
        assert "ld.global.v4.b32" in found.asm["ptx"]
        assert "st.global.v4.b32" in found.asm["ptx"]

    @staticmethod
    def feature_sums(element, given, **options):
        from serfiq_core.scoring import closed_form_triton as kernel

        tiles = kernel.FLOAT_TILES if element == "fp32" else kernel.HALF_TILES
        pointers = {
            "features_ptr": "fp32" if given == "fp32" else element,
            "mean_ptr": element,
            "weight_ptr": element,
            "norms_ptr": "fp32",
            "partials_ptr": "fp32",
        }
        constants = {
            "IMAGES": tiles.images,
            "FEATURES": tiles.features,
            "OUTPUTS": tiles.outputs,
        }
        launch = {"num_warps": tiles.warps, "num_stages": tiles.stages}
        return compiled(kernel._feature_sums, pointers, constants, launch, **options)

    def test_the_distances_compile(self):
        from serfiq_core.scoring import closed_form_triton as kernel

        pointers = {
            "partials_ptr": "fp32",
            "forms_ptr": "fp32",
            "mean_ptr": "fp32",
            "feature_powers_ptr": "fp32",
            "mean_powers_ptr": "fp32",
            "distances_ptr": "fp64",
        }
        constants = dict(
            zip(("A", "KAPPA_3", "KAPPA_4"), CASES["one_face"].cumulants(), strict=True)
        )
        constants |= {"PROBE_POWER": 2.0**-16, "BLOCKS": 392, "PROBES": 496, "OUTPUTS": 512}
        options = {"num_warps": kernel.DISTANCE_WARPS}
        found = compiled(kernel._mean_distances, pointers, constants, options)
        assert "sqrt.rn.f64" in found.asm["ptx"]
        assert "div.rn.f64" in found.asm["ptx"]
        assert "0d3FF6A09E667F3BCD" in found.asm["ptx"]  # the root of 2 in float64
        for in_float32 in ("0f3FB504F3", "0d3FF6A09E60000000"):
            assert in_float32 not in found.asm["ptx"]
