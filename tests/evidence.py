"""Made-up evidence: subjects whose photographs scatter the more, the lower their quality score."""

import numpy as np

from serfiq_core.evaluation.discarding import Evidence


def made_up(subjects: int, each: int, *, scatter: float = 0.02, seed: int = 0) -> Evidence:
    """`each` photographs of every subject; the best are `scatter` from their subject per value."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(subjects, 32)) / np.sqrt(32)
    labels = np.repeat(np.arange(subjects), each)
    quality_scores = rng.uniform(0, 100, len(labels)).round(1)
    spread = scatter * (1 + (100 - quality_scores) / 10)
    places = centres[labels] + spread[:, None] * rng.normal(size=(len(labels), 32))
    places /= np.linalg.norm(places, axis=1, keepdims=True)
    return Evidence(places.astype(np.float32), labels, quality_scores)
