"""How FIT_RATE was chosen, for docs/figures/training.sh: training_rates.py DATA PACKS.

Training subjects of LFW only, halved by the hash of their names: a head is fitted on one half and
evaluated on the other, both ways round. The face nearest the middle is the subject's. Closed form.
"""

import hashlib
import sys
from pathlib import Path

import numpy as np
import torch
from common import halves_of_lfw

from serfiq_core.evaluation.edc import edc, fnmr_at_discard, pair_minima, rank, relative_area
from serfiq_core.evaluation.error_rates import (
    all_non_mated,
    comparison_threshold,
    mated_pairs,
    similarities,
)
from serfiq_core.evaluation.subjects import subject_labels
from serfiq_core.loading import load_preparation, load_recogniser
from serfiq_core.packs.registry import find_pack
from serfiq_core.recognition.head import AffineHead
from serfiq_core.scoring.closed_form import ClosedForm
from serfiq_core.training.faces import face_batches
from serfiq_core.training.head_fit import HeadFit

RATES = (None, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4)
FMRS = (1e-3, 1e-4)
SCORED_AT = 0.4  # of the closed form, whose ranking hardly depends on it


def figures(head: AffineHead, original: AffineHead, features, labels) -> list[float]:
    """Mean cosine, then for each FMR: FNMR, FNMR at 30 % discard, relative area to 50 %."""
    outputs, before = (torch.nn.functional.normalize(h.embed(features)) for h in (head, original))
    quality = ClosedForm(head, SCORED_AT)(features).raw_score.numpy()
    embeddings, mated = outputs.numpy(), mated_pairs(labels)
    non_mated = all_non_mated(embeddings, labels, max(FMRS))
    ranking, similar = rank(pair_minima(quality, mated)), similarities(embeddings, mated)
    row = [float((outputs * before).sum(1).mean())]
    for fmr in FMRS:
        curve = edc(ranking, similar < comparison_threshold(non_mated, fmr))
        row += [curve.fnmr[0], float(fnmr_at_discard(curve, 0.3)), relative_area(curve, 0.5)]
    return row


def crossed(rate, head: AffineHead, features, labels, second) -> np.ndarray:
    rows = []
    for fitted_on, evaluated in ((~second, second), (second, ~second)):
        fit = HeadFit(head)
        fit.add(features[torch.from_numpy(fitted_on)])
        adapted = head if rate is None else fit.solve(rate)
        there = torch.from_numpy(evaluated)
        rows.append(figures(adapted, head, features[there], labels[evaluated]))
    return np.mean(rows, axis=0)


def main(data: Path, packs: Path) -> None:
    pack = find_pack("values", packs)
    recogniser, preparation = load_recogniser(pack), load_preparation(pack, choice="central")
    learnt_from, _ = halves_of_lfw(data)
    shown, features = [], []
    for batch, faces in face_batches(learnt_from, preparation, workers=1):
        shown += batch
        features.append(recogniser.features(torch.from_numpy(np.stack(faces))))
    second = np.array([hashlib.md5(p.subject.encode()).digest()[0] % 2 == 1 for p in shown])
    for rate in RATES:
        row = crossed(rate, recogniser.head, torch.cat(features), subject_labels(shown), second)
        print(rate, " ".join(f"{value:.5f}" for value in row), flush=True)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
