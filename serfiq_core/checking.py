"""Checking a pack: faces are degraded step by step, and the scores are held against the severities.

This file composes pipeline, degradations, suitability and packs; what the figures mean is in
`criteria.py`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from serfiq_core.errors import ConfigurationError, PackError
from serfiq_core.packs.manifest import recogniser_checksum
from serfiq_core.packs.pack import Pack
from serfiq_core.pipeline import Pipeline
from serfiq_core.preparation.photographs import Skipped, captures_with_face, skip_silently
from serfiq_core.suitability.criteria import FEWEST_FACES, Ladders, figures, judge
from serfiq_core.suitability.degradations import KINDS, SEVERITIES, degrade
from serfiq_core.types import AlignedFace, FaceScores, Suitability

MOST_FACES = 100
"""Each face is scored 31 times. With a hundred the widest interval of a mean ρ is ± 0.15; whole
archives would take hours to change nothing."""


@dataclass(frozen=True, slots=True)
class Climb:
    """What both estimators say of faces, clean and degraded. `standard_errors`: of the clean."""

    sampled: Ladders
    standard_errors: npt.NDArray[np.float64]
    closed_form: Ladders


def drawn(photographs: Sequence[Path]) -> list[Path]:
    """All photographs: `MOST_FACES` that are drawn, in their order, then the others; repeatable."""
    count = min(len(photographs), MOST_FACES)
    generator = np.random.default_rng(0)
    first = set(generator.choice(len(photographs), count, replace=False).tolist())
    others = [index for index in range(len(photographs)) if index not in first]
    order = [*sorted(first), *generator.permutation(others).astype(int)]
    return [photographs[index] for index in order]


def aligned_faces(
    pipeline: Pipeline, photographs: Iterable[Path], skipped: Skipped = skip_silently
) -> list[AlignedFace]:
    """The largest face of each of the first `MOST_FACES` photographs that show one.

    `skipped` is told those that give none, and why.
    """
    found = captures_with_face(pipeline, photographs, skipped)
    return [face for _, _, face in islice(found, MOST_FACES)]


def climb(pipeline: Pipeline, faces: Sequence[AlignedFace]) -> Climb:
    """Score each face clean and in every kind and severity.

    Raises:
        PackError: the recogniser answers a face with nothing, or with no numbers.
    """
    answers = [pipeline.score(_ladder(face, seed)) for seed, face in enumerate(faces)]
    if not all(_scatters(each) for ladder in answers for each in ladder):
        raise PackError(f"{pipeline.info.pack} answers some faces with nothing")
    sampled = np.array([[each.sampled.raw_score for each in ladder] for ladder in answers])
    errors = np.array([ladder[0].sampled.standard_error for ladder in answers], np.float64)
    closed_form = np.array([[each.closed_form.raw_score for each in ladder] for ladder in answers])
    if not np.isfinite([sampled, closed_form]).all():
        raise PackError(f"{pipeline.info.pack} answers some faces with no numbers")
    return Climb(_ladders(sampled), errors, _ladders(closed_form))


def verdict_on(pack: Pack, pipeline: Pipeline, climbed: Climb) -> Suitability:
    """What the scores say of a pack.

    Args:
        pack: whose recogniser gave the scores.
        pipeline: that it gave them in.
        climbed: of `FEWEST_FACES` faces at least.

    Raises:
        ConfigurationError: of fewer.
    """
    if (count := len(climbed.standard_errors)) < FEWEST_FACES:
        raise ConfigurationError(f"a verdict needs {FEWEST_FACES} faces, not {count}")
    measured = figures(climbed.sampled, climbed.standard_errors, climbed.closed_form)
    verdict, reasons = judge(measured)
    return Suitability(
        verdict=verdict,
        reasons=reasons,
        recogniser_checksum=recogniser_checksum(pack.manifest),
        dropout_rate=pipeline.info.dropout_rate,
        passes=pipeline.info.passes,
        measured=measured,
    )


def _ladder(face: AlignedFace, seed: int) -> list[AlignedFace]:
    """The face itself, then kind by kind from the mildest severity to the worst."""
    worse = [degrade(face, kind, severity, seed) for kind in KINDS for severity in SEVERITIES]
    return [face, *worse]


def _ladders(scores: npt.NDArray[np.float64]) -> Ladders:
    """From the order of `_ladder`, `N × 31`."""
    by_kind = np.split(scores[:, 1:], len(KINDS), axis=1)
    return Ladders(scores[:, 0], dict(zip(KINDS, by_kind, strict=True)))


def _scatters(scores: FaceScores) -> bool:
    """What the service would not assess has no place in a ranking, where it would be the best."""
    return scores.sampled.scatters and scores.closed_form.scatters
