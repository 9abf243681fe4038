"""Half precision ranks faces as float32 does, and a batch stays within its memory."""

import pytest
import torch
from scipy.stats import spearmanr
from torch import nn

from benchmarks.gpu import Bench, peak_memory
from serfiq_core.loading import load_recogniser
from serfiq_core.packs.registry import embedded_pack
from serfiq_core.recognition.inference import for_inference
from serfiq_core.scoring.closed_form import ClosedForm
from serfiq_core.scoring.score import PAPER_PASSES, Sampled, mask_bank

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def random_faces(count):
    """`count × 112 × 112 × 3` uint8: coarse and fine blots, each face of its own contrast."""
    generator = torch.Generator().manual_seed(0)

    def blots(side):
        small = torch.randn(count, 3, side, side, generator=generator)
        return nn.functional.interpolate(small, size=(112, 112), mode="bicubic")

    contrast, detail = torch.rand(2, count, 1, 1, 1, generator=generator)
    pixels = 127.5 + 50 * contrast * (blots(7) + detail * blots(28))
    return pixels.clamp(0, 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def scores(precision):
    """Sampled and closed-form scores of the embedded pack, and its embeddings."""
    pack = load_recogniser(embedded_pack())
    recogniser = for_inference(pack, torch.device("cuda"), precision)
    head, rate = recogniser.head, recogniser.dropout_rate
    aligned = random_faces(500).to("cuda")
    features = recogniser.features(aligned)
    sampled = Sampled(head, mask_bank(PAPER_PASSES, head.feature_count, rate, seed=0))
    embeddings = nn.functional.normalize(head.embed(features)).cpu()
    return sampled(features).raw_score, ClosedForm(head, rate)(features).raw_score, embeddings


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_half_precision_ranks_faces_as_float32_does(precision):
    half, full = scores(precision), scores("float32")
    assert spearmanr(half[0], full[0]).statistic >= 0.999
    assert spearmanr(half[1], full[1]).statistic >= 0.999
    assert nn.functional.cosine_similarity(half[2], full[2]).mean() >= 0.9995


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_a_batch_of_64_stays_under_2_gib(precision):
    with torch.no_grad():
        (figure,) = peak_memory("peak_memory_bytes", Bench(50, precision))
    assert figure.met, f"{figure.value / 1024**2:.0f} MiB"
