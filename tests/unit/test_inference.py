"""Precision and device: what is chosen, and that it does not change what a score means."""

from unittest.mock import MagicMock

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from serfiq_core.errors import ConfigurationError
from serfiq_core.loading import load_pipeline
from serfiq_core.packs.registry import embedded_pack
from serfiq_core.recognition.inference import choose_precision, for_inference
from tests.faces import lfw_crops

CPU, GPU = torch.device("cpu"), torch.device("cuda")


def test_auto_is_what_the_device_is_good_at(monkeypatch):
    assert choose_precision("auto", GPU) == "float16"
    for flags, expected in (({"avx512_bf16": True}, "bfloat16"), ({"avx2": True}, "float32")):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda flags=flags: flags, raising=False)
        assert choose_precision("auto", CPU) == expected


def test_what_is_asked_for_is_taken_where_it_can_be():
    assert choose_precision("float32", CPU) == "float32"
    assert choose_precision("bfloat16", CPU) == "bfloat16"
    assert choose_precision("bfloat16", GPU) == "bfloat16"
    with pytest.raises(ConfigurationError, match="float16 is for GPUs"):
        choose_precision("float16", CPU)


@pytest.fixture
def _tf32_asked_for():
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = True
    yield
    matmul.allow_tf32, cudnn.allow_tf32 = before


@pytest.mark.usefixtures("_tf32_asked_for")
@pytest.mark.parametrize("precision", ["float16", "float32"])
def test_no_product_on_a_gpu_is_in_tf32_and_no_convolution_in_float32(precision):
    for_inference(MagicMock(), GPU, precision)
    assert not torch.backends.cuda.matmul.allow_tf32
    assert torch.backends.cudnn.allow_tf32 == (precision == "float16")


def test_a_precision_does_not_buy_speed_with_meaning(shared_data):
    faces = list(lfw_crops(shared_data, 120))
    pack = embedded_pack()
    exact, fast = (
        load_pipeline(pack, device="cpu", precision=precision).score(faces)
        for precision in ("float32", "bfloat16")
    )
    for left, right in ((s.sampled, f.sampled) for s, f in zip(exact, fast, strict=True)):
        assert left.raw_score == pytest.approx(right.raw_score, abs=5e-3)
    for estimator in ("sampled", "closed_form"):
        ranks = [[getattr(s, estimator).raw_score for s in scores] for scores in (exact, fast)]
        assert spearmanr(*ranks).statistic >= 0.999
    cosines = [np.dot(s.embedding, f.embedding) for s, f in zip(exact, fast, strict=True)]
    assert min(cosines) >= 0.9995


def test_the_precision_in_use_is_said():
    pack = embedded_pack()
    assert load_pipeline(pack, device="cpu", precision="bfloat16").info.precision == "bfloat16"
    assert load_pipeline(pack, device="cpu", precision="float32").info.precision == "float32"
