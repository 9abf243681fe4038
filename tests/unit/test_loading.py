"""What is made of a pack: which faces its detector looks for, and by what it decides."""

import dataclasses

import pytest
import torch
from torch import nn

from serfiq_core import loading as module
from serfiq_core.decisions.profiles import (
    ComponentLimits,
    Limit,
    read_profiles,
    smallest_inter_eye_distance_px,
)
from serfiq_core.errors import ConfigurationError
from serfiq_core.loading import load_detector, load_for_inference, load_pipeline
from serfiq_core.packs.registry import embedded_pack
from serfiq_core.recognition.head import AffineHead
from serfiq_core.recognition.inference import for_inference
from serfiq_core.recognition.recogniser import Preprocessing, Recogniser
from tests.lax_profile import with_a_lax_profile
from tests.photographs import astronaut, enlarged, sample

ENROLMENT = read_profiles()["enrolment"]
SMALL = sample(enlarged(astronaut(), 0.23))
"""Some 10 pixels between the eyes."""


def wanted_px(*profiles):
    return smallest_inter_eye_distance_px(profiles)


@pytest.fixture(scope="module")
def pack():
    return embedded_pack()


def test_without_profiles_small_faces_are_looked_for(pack):
    assert len(load_detector(pack).detect(SMALL)) == 1


def test_faces_far_too_small_for_every_profile_are_not(pack):
    assert load_detector(pack, wanted_px(ENROLMENT)).detect(SMALL) == []


def test_the_least_demanding_profile_decides(pack):
    limits = ComponentLimits("InterEyeDistance", "native_value", (Limit("reject", "below", 16),))
    lenient = dataclasses.replace(ENROLMENT, name="lenient", components=(limits,))
    assert len(load_detector(pack, wanted_px(ENROLMENT, lenient)).detect(SMALL)) == 1


def test_a_shadow_profile_that_does_not_exist_is_refused_and_the_known_are_named(pack):
    with pytest.raises(ConfigurationError, match=r"no profile gala .* shadow; there are enrolment"):
        load_pipeline(pack, device="cpu", shadow_profile="gala")


def test_no_face_is_looked_for_on_behalf_of_a_profile_in_the_shadow(pack, tmp_path, caplog):
    path = with_a_lax_profile(tmp_path)

    def load(shadow):
        return load_pipeline(pack, device="cpu", profiles_path=path, shadow_profile=shadow)

    without = load_pipeline(pack, device="cpu").info.detector
    assert load("identification").info.detector != without
    assert not caplog.records
    assert load("lax").info.detector == without
    assert f"lax takes smaller faces than are looked for ({without})" in caplog.text


def test_profiles_that_are_wrong_are_refused_with_their_line(pack, tmp_path):
    path = tmp_path / "profiles.toml"
    path.write_text("[desk]\nversion = 3\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"profiles\.toml, line 1: profile desk: lacks"):
        load_pipeline(pack, device="cpu", profiles_path=path)


class Amplifier(nn.Module):
    """Its first activations are up to 255 times `gain`; its features up to 255 again."""

    def __init__(self, gain):
        super().__init__()
        self.gain = gain

    def forward(self, pixels):
        return (pixels.flatten(1)[:, ::6000] * self.gain) / self.gain


class TestAutoOnAGpu:
    """The GPU is a CPU here, which computes float16 too when it is made to."""

    @pytest.fixture(autouse=True)
    def _on_the_cpu(self, monkeypatch):
        def on_the_cpu(recogniser, _device, precision):
            return for_inference(recogniser, torch.device("cpu"), precision)

        monkeypatch.setattr(module, "for_inference", on_the_cpu)

    @staticmethod
    def load(monkeypatch, gain, choice="auto", bfloat16=True):
        def amplifier(_pack):
            preprocessing = Preprocessing("rgb", (0, 0, 0), (1, 1, 1))
            return Recogniser(
                Amplifier(gain), AffineHead(nn.Linear(7, 3), 7), preprocessing, dropout_rate=0.4
            )

        monkeypatch.setattr(module, "load_recogniser", amplifier)
        monkeypatch.setattr(module, "has_bfloat16", lambda _device: bfloat16)
        recogniser, precision = load_for_inference(embedded_pack(), torch.device("cuda"), choice)
        assert recogniser.precision == getattr(torch, precision)
        return precision

    def test_is_float16_where_the_network_has_numbers_in_it(self, monkeypatch, caplog):
        assert self.load(monkeypatch, gain=1) == "float16"
        assert not caplog.records

    @pytest.mark.parametrize(("bfloat16", "wider"), [(True, "bfloat16"), (False, "float32")])
    def test_is_wider_where_activations_pass_float16_and_says_so(
        self, monkeypatch, caplog, bfloat16, wider
    ):
        assert self.load(monkeypatch, gain=1e4, bfloat16=bfloat16) == wider
        assert f"compact gives no numbers in float16: it computes in {wider}" in caplog.text

    def test_float16_that_is_asked_for_stays(self, monkeypatch):
        assert self.load(monkeypatch, gain=1e4, choice="float16") == "float16"
