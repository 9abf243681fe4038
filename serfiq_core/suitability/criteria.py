"""Does the score of a recogniser fall when faces get worse, and by more than its own noise?

From the scores of clean and degraded faces to figures, and from figures to a verdict with reasons.
This file knows numbers only: no pixels, no recogniser, no packs. docs/suitability.md says what was
measured to choose the limits.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from serfiq_core.correlation import spearman
from serfiq_core.types import (
    DegradationKind,
    MeanRho,
    SuitabilityFigures,
    SuitabilityVerdict,
)

FEWEST_FACES = 30
"""For a verdict. Where the six pictures of a face are ranked by chance, the within-face ρ has a
standard deviation of 1/√5, and the interval of its mean over 30 faces is ± 0.16: narrower than from
0 to the limits below. The widest seen, 0.76, makes it ± 0.27."""

SEEN_RHO = -0.5
"""A kind is seen when ρ is surely below. There, of two severities of one face the worse has the
lower score in some two cases of three (for normal scores, `1/2 + asin(2 sin(π |ρ| / 6)) / π`)."""

BACKWARDS_RHO = 0.2
"""A kind is ranked backwards when the mean ρ is above, and surely above 0: more than 56 in 100 such
pairs then stand the wrong way. Without the margin enough faces would call blindness backwards."""

DROWNED_RATIO = 1.0
"""Of the standard error to the spread: at 1 the score says as much of the masks as of the face."""

NOISY_RATIO = 0.5
"""At 0.5 a quarter of the variance of the scores is noise."""

AGREEMENT = 0.9
"""Least rank correlation of the two estimators. Two draws of 100 passes agree with 0.95 where they
serve well (docs/method.md); far below, one of the two estimates something else."""

FACE_RESAMPLES = 2000
"""Of the bootstrap: the 95 % bounds then repeat within a few hundredths of the interval's width."""

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Ladders:
    """Scores of `N` faces, clean and degraded.

    `clean`: `N`. `degraded`: by kind, `N × S`, the severities rising from 1.
    """

    clean: Numbers
    degraded: Mapping[DegradationKind, Numbers]


def mean_rhos(ladders: Ladders) -> dict[DegradationKind, MeanRho]:
    """For each kind, how surely the score ranks its severities the right way."""
    return {
        kind: _mean_with_interval(within_face_rho(np.column_stack([ladders.clean, scores])))
        for kind, scores in ladders.degraded.items()
    }


def within_face_rho(scores: Numbers) -> Numbers:
    """Spearman's ρ of severity with score: `N × (1 + S)`, severity rising from 0 → `N`.

    Where all scores of a face are the same, and nothing is ranked, 0.
    """
    severities = range(scores.shape[1])
    return np.nan_to_num([spearman(severities, of_face) for of_face in scores])


def figures(sampled: Ladders, standard_errors: Numbers, closed_form: Ladders) -> SuitabilityFigures:
    """What a verdict is given on.

    Args:
        sampled: scores of two faces or more.
        standard_errors: `N`, of the clean faces' sampled scores.
        closed_form: of the same faces.
    """
    return SuitabilityFigures(
        faces=len(sampled.clean),
        spread=_three_digits(sampled.clean.std(ddof=1)),
        standard_error=_three_digits(np.median(standard_errors)),
        agreement=_agreement(sampled.clean, closed_form.clean),
        sampled=mean_rhos(sampled),
        closed_form=mean_rhos(closed_form),
    )


def judge(measured: SuitabilityFigures) -> tuple[SuitabilityVerdict, tuple[str, ...]]:
    """The verdict, and why it is not `suitable`. Both estimators must pass: either may decide."""
    grave, light = list(_grave(measured)), list(_light(measured))
    verdict: SuitabilityVerdict = "unsuitable" if grave else "weak" if light else "suitable"
    return verdict, (*grave, *light)


def _grave(measured: SuitabilityFigures) -> Iterator[str]:
    for estimator, kind, rho in _all_rhos(measured):
        if is_backwards(rho):
            yield f"{estimator}: ranks {kind} backwards, ρ {rho.mean:+.2f}"
    if measured.standard_error >= DROWNED_RATIO * measured.spread:
        yield (
            f"sampled: the standard error, {measured.standard_error:.3g}, drowns the spread of "
            f"clean faces, {measured.spread:.3g}"
        )


def _light(measured: SuitabilityFigures) -> Iterator[str]:
    for estimator, kind, rho in _all_rhos(measured):
        if rho.high > SEEN_RHO and not is_backwards(rho):
            yield f"{estimator}: hardly sees {kind}, ρ {rho.mean:+.2f}"
    spread = measured.spread
    if NOISY_RATIO * spread < measured.standard_error < DROWNED_RATIO * spread:
        yield (
            f"sampled: the standard error is {measured.standard_error / spread:.2f} of the spread "
            "of clean faces"
        )
    if measured.agreement < AGREEMENT:
        yield f"the two estimators rank clean faces differently, ρ {measured.agreement:.2f}"


def is_backwards(rho: MeanRho) -> bool:
    """Whether a kind is ranked backwards."""
    return rho.mean > BACKWARDS_RHO and rho.low > 0


def _all_rhos(measured: SuitabilityFigures) -> Iterator[tuple[str, str, MeanRho]]:
    """Estimator, kind in words, figure."""
    for estimator, rhos in (("sampled", measured.sampled), ("closed form", measured.closed_form)):
        for kind, rho in rhos.items():
            yield estimator, kind.replace("_", "-"), rho


def _mean_with_interval(values: Numbers) -> MeanRho:
    """The bootstrap over faces, percentiles; the same for the same values."""
    draws = np.random.default_rng(0).integers(0, len(values), (FACE_RESAMPLES, len(values)))
    low, high = np.percentile(values[draws].mean(1), (2.5, 97.5))
    return MeanRho(_rounded(values.mean()), _rounded(low), _rounded(high))


def _agreement(first: Numbers, second: Numbers) -> float:
    """Of two rankings of the same faces; 0 where one of them ranks nothing."""
    rho = spearman(first, second)
    return 0.0 if np.isnan(rho) else _rounded(rho)


def _rounded(rho: float | np.floating) -> float:
    """To three decimals: far finer than any interval here."""
    return round(float(rho), 3)


def _three_digits(value: np.floating) -> float:
    return float(f"{value:.3g}")
