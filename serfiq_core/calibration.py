"""`calibration.toml`: the monotone map from `raw_score` to `quality_score`, 0 to 100.

The map is defined on the score of infinitely many passes, `2σ(−D)` of the mean distance `D`, so
that one calibration serves every estimator, every `m` and both conventions. It belongs to one
recogniser at one dropout rate, which the file names.
"""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tomli_w

from serfiq_core.errors import ConfigurationError

PERCENTILES = 101
"""Knots of a percentile map: one for each whole percentile, 0 to 100."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """`quality_score` is the percentile of a score among those of reference photographs.

    `knots`: the scores at the percentiles 0, 1 … 100, never falling. `recogniser_sha256` and
    `dropout_rate`: what it was measured with. `reference`: the photographs, in words.
    """

    id: str
    recogniser_sha256: str
    dropout_rate: float
    reference: str
    knots: tuple[float, ...]

    def quality_score(self, raw_score: float) -> float:
        """Per cent of the reference photographs that score below `2σ(−D)`: 0 to 100."""
        return float(np.interp(raw_score, self.knots, np.linspace(0, 100, len(self.knots))))


def from_reference(
    identifier: str,
    recogniser_sha256: str,
    dropout_rate: float,
    reference: str,
    raw_scores: Sequence[float],
) -> Calibration:
    """The percentile map of reference photographs' scores.

    Raises:
        ConfigurationError: fewer scores than percentiles, or one that is no number.
    """
    scores = np.asarray(raw_scores, dtype=np.float64)
    if len(scores) < PERCENTILES or not np.isfinite(scores).all():
        raise ConfigurationError(
            f"a percentile map needs at least {PERCENTILES} finite scores, not {len(scores)}"
        )
    knots = np.percentile(scores, np.linspace(0, 100, PERCENTILES))
    return Calibration(
        identifier, recogniser_sha256, dropout_rate, reference, tuple(knots.tolist())
    )


def write_calibration(calibration: Calibration, path: Path) -> None:
    """Write `calibration.toml`."""
    table = {
        "id": calibration.id,
        "recogniser_sha256": calibration.recogniser_sha256,
        "dropout_rate": calibration.dropout_rate,
        "reference": calibration.reference,
        "knots": [round(knot, 6) for knot in calibration.knots],
    }
    path.write_text(tomli_w.dumps(table), encoding="utf-8")


def read_calibration(path: Path, recogniser_sha256: str, dropout_rate: float) -> Calibration:
    """Read a calibration and make sure that it was measured with this recogniser.

    Raises:
        ConfigurationError: it cannot be read, is not monotone, or belongs to another recogniser
            or another dropout rate.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        calibration = Calibration(
            id=str(table["id"]),
            recogniser_sha256=str(table["recogniser_sha256"]),
            dropout_rate=float(table["dropout_rate"]),
            reference=str(table["reference"]),
            knots=tuple(float(knot) for knot in table["knots"]),
        )
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ConfigurationError(f"{path} is no calibration: {error!r}") from error
    if len(calibration.knots) < 2 or not (np.diff(calibration.knots) >= 0).all():
        raise ConfigurationError(f"{path}: the knots must rise, and there must be two at least")
    if calibration.recogniser_sha256 != recogniser_sha256:
        raise ConfigurationError(f"{path} was measured with another recogniser")
    if calibration.dropout_rate != dropout_rate:
        raise ConfigurationError(
            f"{path} was measured at dropout rate {calibration.dropout_rate}, not {dropout_rate}"
        )
    return calibration
