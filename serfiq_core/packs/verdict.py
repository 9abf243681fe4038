"""`[verdict]` of `pack.toml`: what `serfiq packs check` found, read strictly and written back.

    [verdict]
    verdict = "weak"                  suitable, weak or unsuitable
    reasons = ["…"]                   empty when suitable
    recogniser_checksum = "<SHA-256>" of [recogniser] and its file: the verdict is of no other
    dropout_rate = 0.4
    passes = 100

    [verdict.measured]
    faces = 60
    spread = 0.0177
    standard_error = 0.00132
    agreement = 0.993                 of the two estimators

    [verdict.measured.sampled]        and closed_form
    blur = [-0.83, -0.89, -0.77]      mean ρ and its 95 % interval; so for all six degradations

This file knows names and numbers only; what they mean is in `serfiq_core/suitability/criteria.py`.
"""

from dataclasses import asdict, astuple
from typing import cast, get_args

from serfiq_core.toml.table import Table
from serfiq_core.types import (
    DegradationKind,
    Estimator,
    MeanRho,
    Suitability,
    SuitabilityFigures,
    SuitabilityVerdict,
)


def read_verdict(table: Table) -> Suitability:
    """Read `[verdict]`.

    Raises:
        ManifestError: a key is missing, unknown or of another type.
    """
    verdict = Suitability(
        verdict=cast(SuitabilityVerdict, table.choice("verdict", get_args(SuitabilityVerdict))),
        reasons=table.texts("reasons"),
        recogniser_checksum=table.sha256("recogniser_checksum"),
        dropout_rate=table.number("dropout_rate"),
        passes=table.count("passes"),
        measured=_figures(table.table("measured")),
    )
    table.finish()
    return verdict


def verdict_table(verdict: Suitability) -> dict[str, object]:
    """`[verdict]`, which `read_verdict` reads back to an equal one."""
    table = asdict(verdict)
    for estimator in get_args(Estimator):
        rhos = getattr(verdict.measured, estimator)
        table["measured"][estimator] = {kind: astuple(rho) for kind, rho in rhos.items()}
    return table


def _figures(table: Table) -> SuitabilityFigures:
    figures = SuitabilityFigures(
        faces=table.count("faces"),
        spread=table.number("spread"),
        standard_error=table.number("standard_error"),
        agreement=table.number("agreement"),
        sampled=_rhos(table.table("sampled")),
        closed_form=_rhos(table.table("closed_form")),
    )
    table.finish()
    return figures


def _rhos(table: Table) -> dict[DegradationKind, MeanRho]:
    kinds: tuple[DegradationKind, ...] = get_args(DegradationKind)
    rhos = {kind: MeanRho(*table.three_numbers(kind)) for kind in kinds}
    table.finish()
    return rhos
