"""What a reduced precision does to embeddings and scores, on real faces."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch.nn.functional import cosine_similarity

from benchmarks.measure import Figure, measured
from benchmarks.photographs import LFW, read_photographs
from benchmarks.recognisers import compact_recogniser, mobilefacenet_recogniser
from serfiq_core.correlation import spearman
from serfiq_core.loading import load_detector
from serfiq_core.packs.registry import embedded_pack
from serfiq_core.preparation.prepare import Preparation
from serfiq_core.recognition.recogniser import Recogniser
from serfiq_core.scoring.closed_form import ClosedForm
from serfiq_core.scoring.score import PAPER_PASSES, Sampled, mask_bank
from serfiq_core.types import Precision

FACES = 500
AT_ONCE = 16

RECOGNISERS: dict[str, Callable[[Precision, str], Recogniser]] = {
    "compact": compact_recogniser,
    "mobilefacenet": mobilefacenet_recogniser,
}


@torch.no_grad()
def precision_figures(precision: Precision, device: str = "cpu") -> list[Figure]:
    """Rank correlation of the scores, and cosine of the embeddings, with float32.

    The cosine is the mean over faces; `low` and `high` are the worst and the best face.
    """
    faces = _aligned_faces()
    figures = []
    for name, recogniser in RECOGNISERS.items():
        exact = _assess(recogniser("float32", device), faces)
        fast = _assess(recogniser(precision, device), faces)
        for kind in ("sampled", "closed"):
            rho = spearman(exact[kind].numpy(), fast[kind].numpy())
            label = f"precision_spearman_{kind}_{name}"
            figures.append(measured(label, device, [rho], at_least=0.999))
        cosines = cosine_similarity(exact["embeddings"], fast["embeddings"])
        label = f"precision_cosine_{name}"
        mean = measured(label, device, [float(cosines.mean())], at_least=0.9995)
        figures.append(replace(mean, low=float(cosines.min()), high=float(cosines.max())))
    return figures


def _aligned_faces() -> torch.Tensor:
    """`FACES × 112 × 112 × 3`, from LFW, by the embedded pack's detector."""
    preparation = Preparation(load_detector(embedded_pack()))
    prepared = (preparation.prepare(photograph) for photograph in read_photographs(LFW, 2 * FACES))
    found = [capture.aligned for capture in prepared if capture.aligned is not None]
    return torch.from_numpy(np.stack(found[:FACES]))


def _assess(recogniser: Recogniser, faces: torch.Tensor) -> dict[str, torch.Tensor]:
    head = recogniser.head
    masks = mask_bank(PAPER_PASSES, head.feature_count, recogniser.dropout_rate, 0)
    sampled, closed_form = Sampled(head, masks), ClosedForm(head, recogniser.dropout_rate)
    features = torch.cat([recogniser.features(part) for part in torch.split(faces, AT_ONCE)])
    return {
        "sampled": sampled(features).raw_score,
        "closed": closed_form(features).raw_score,
        "embeddings": head.embed(features).cpu(),
    }
