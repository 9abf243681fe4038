"""All pairs of 13,000 photographs are compared within 4 GiB; in a process of its own, since a peak
is remembered for as long as a process lives."""

import subprocess
import sys

from tests.conftest import REPOSITORY

GIB = 1024**3

EVALUATE_AS_MANY_AS_LFW_HAS = """
import resource, sys
import numpy as np
from serfiq_core.evaluation.comparisons import Comparisons
from serfiq_core.evaluation.error_rates import all_non_mated, mated_pairs, similarities
from serfiq_core.evaluation.figures import evaluate

rng = np.random.default_rng(0)
# 13,233 photographs of 5,749 subjects, 530 of one of them: the whole of LFW.
others = rng.integers(1, 5749, 13_233 - 5749 - 529)
subjects = np.sort(np.concatenate([np.arange(5749), np.zeros(529, int), others]))
embeddings = rng.standard_normal((5749, 512), np.float32)[subjects]
embeddings += rng.standard_normal(embeddings.shape, np.float32)
embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
mated = mated_pairs(subjects)
comparisons = Comparisons(
    subjects=subjects,
    cohorts=[""] * len(subjects),
    mated=mated,
    mated_similarities=similarities(embeddings, mated),
    non_mated=all_non_mated(embeddings, subjects, 1e-2),
)
scores = {"sampled": rng.random(len(subjects)), "random": rng.random(len(subjects))}
result = evaluate(comparisons, scores, [1e-2, 1e-3, 1e-4], resamples=20)
peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(result.photographs, result.non_mated_pairs, len(result.points), peak_kib * 1024)
"""


def test_all_pairs_of_thirteen_thousand_photographs_fit_into_four_gibibytes():
    command = [sys.executable, "-c", EVALUATE_AS_MANY_AS_LFW_HAS]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    photographs, non_mated, operating_points, peak_bytes = map(int, done.stdout.split())
    assert photographs == 13_233
    assert non_mated > 87_000_000
    assert operating_points == 3
    assert peak_bytes < 4 * GIB
