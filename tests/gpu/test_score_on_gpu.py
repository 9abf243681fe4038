"""The embedded pack on a GPU says what it says on a CPU."""

import io

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

from serfiq_core.loading import load_pipeline
from serfiq_core.packs.registry import default_packs_dir, find_pack

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def test_a_gpu_gives_the_scores_of_a_cpu():
    file = io.BytesIO()
    Image.fromarray(skimage.data.astronaut()).save(file, "PNG")
    pack = find_pack("compact", default_packs_dir())
    on_cpu, on_gpu = (
        load_pipeline(pack, device=device).assess([file.getvalue()])[0].scores
        for device in ("cpu", "cuda")
    )
    assert on_cpu is not None
    assert on_gpu is not None
    assert on_gpu.sampled.raw_score == pytest.approx(on_cpu.sampled.raw_score, abs=1e-4)
    assert on_cpu.closed_form is not None
    assert on_gpu.closed_form is not None
    assert on_gpu.closed_form.raw_score == pytest.approx(on_cpu.closed_form.raw_score, abs=1e-4)
    assert float(np.dot(on_gpu.embedding, on_cpu.embedding)) > 0.9999
