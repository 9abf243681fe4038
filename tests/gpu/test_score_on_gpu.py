"""The embedded pack on a GPU says what it says on a CPU."""

import io

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

from serfiq_core.loading import load_pipeline
from serfiq_core.packs.registry import embedded_pack

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.fixture(scope="module")
def pipelines():
    """On a CPU in float32, and on a GPU in the precision it chooses."""
    pack = embedded_pack()
    return [
        load_pipeline(pack, device="cpu", precision="float32"),
        load_pipeline(pack, device="cuda"),
    ]


@pytest.fixture(scope="module")
def portrait():
    file = io.BytesIO()
    Image.fromarray(skimage.data.astronaut()).save(file, "PNG")
    return file.getvalue()


def test_a_gpu_gives_the_scores_of_a_cpu(pipelines, portrait):
    on_cpu, on_gpu = (pipeline.assess([portrait])[0].scores for pipeline in pipelines)
    assert on_cpu is not None
    assert on_gpu is not None
    assert on_gpu.sampled.raw_score == pytest.approx(on_cpu.sampled.raw_score, abs=1e-4)
    assert on_gpu.closed_form.raw_score == pytest.approx(on_cpu.closed_form.raw_score, abs=1e-4)
    assert float(np.dot(on_gpu.embedding, on_cpu.embedding)) > 0.9999


def test_a_gpu_gives_the_gradient_map_of_a_cpu(pipelines, portrait):
    aligned = pipelines[0].prepare(portrait).aligned
    on_cpu, on_gpu = (pipeline.gradient_map(aligned) for pipeline in pipelines)
    assert on_cpu is not None
    assert on_gpu is not None
    assert np.corrcoef(on_cpu.ravel(), on_gpu.ravel())[0, 1] > 0.99
