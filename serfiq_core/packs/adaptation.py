"""`[adaptation]` of `pack.toml`: what a re-fitted head was made from, and what it changed.

    [adaptation]
    of = "mobilefacenet"              the pack whose head was re-fitted
    of_recogniser = "<SHA-256>"       recogniser_checksum of that pack
    fit_rate = 0.2                    the dropout rate that the head was fitted under
    fitted_on = 6868                  photographs
    held_out = 2525                   others, that every figure below is of
    mean_cosine = 0.994               of embeddings before and after
    least_cosine = 0.965

    [[adaptation.edc]]                none where the subjects were not known
    fmr = 0.001
    estimator = "sampled"             or closed_form
    discarded = [0.0, 0.05]           shares of the mated pairs
    before = [0.0191, 0.0152]         FNMR, each recogniser at its own comparison threshold
    after = [0.0193, 0.0141]

This file knows names and numbers only; `serfiq_core/training/adapt_head.py` measures them.
"""

from dataclasses import dataclass
from typing import cast, get_args

from serfiq_core.toml.table import Table
from serfiq_core.types import Estimator


@dataclass(frozen=True, slots=True)
class EdcChange:
    """FNMR of the held-out photographs with shares of the mated pairs discarded."""

    fmr: float
    estimator: Estimator
    discarded: tuple[float, ...]
    before: tuple[float, ...]
    after: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Adaptation:
    """How an adapted head came to be. Figures are of photographs that it was not fitted on."""

    of: str
    of_recogniser: str
    fit_rate: float
    fitted_on: int
    held_out: int
    mean_cosine: float
    least_cosine: float
    edc: tuple[EdcChange, ...]


def read_adaptation(table: Table) -> Adaptation:
    """Read `[adaptation]`.

    Raises:
        ManifestError: a key is missing, unknown or of another type.
    """
    adaptation = Adaptation(
        of=table.text("of"),
        of_recogniser=table.sha256("of_recogniser"),
        fit_rate=table.number("fit_rate"),
        fitted_on=table.count("fitted_on"),
        held_out=table.count("held_out"),
        mean_cosine=table.number("mean_cosine"),
        least_cosine=table.number("least_cosine"),
        edc=tuple(_change(change) for change in table.tables("edc")),
    )
    table.finish()
    return adaptation


def _change(table: Table) -> EdcChange:
    change = EdcChange(
        fmr=table.number("fmr"),
        estimator=cast(Estimator, table.choice("estimator", get_args(Estimator))),
        discarded=table.numbers("discarded"),
        before=table.numbers("before"),
        after=table.numbers("after"),
    )
    table.finish()
    if not len(change.discarded) == len(change.before) == len(change.after):
        raise table.problem("discarded", "must be as long as before and after")
    return change
