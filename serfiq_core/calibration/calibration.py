"""`calibration.toml`: the monotone map from `raw_score` to `quality_score`, 0 to 100.

    schema_version = 1
    id = "desk-1"                     names it in every decision record
    map = "percentile"                or "authors"
    recogniser_sha256 = "<64 hexadecimal digits>"
    dropout_rate = 0.4
    reference = "2,000 enrolments"    the photographs, in words; percentile only
    knots = [0.72, …]                 scores at evenly spaced percentiles; percentile only

The map is defined on the score of infinitely many passes, `2σ(−D)` of the mean distance `D`, so
that one calibration serves every estimator, every `m` and both conventions. It belongs to one
recogniser at one dropout rate, which the file names. This file knows numbers only: no images, no
networks, no packs.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

import numpy as np
import tomli_w

from serfiq_core.errors import ConfigurationError
from serfiq_core.toml.table import Table, read_toml

SCHEMA_VERSION = 1
"""Of `calibration.toml`; another one is refused, for its keys may mean something else."""

PERCENTILES = 101
"""Knots of a percentile map: one for each whole percentile, 0 to 100."""

AUTHORS_SLOPE = 130.0
AUTHORS_CENTRE = 0.88
"""`alpha` and `r` of the authors' published code, chosen by them for their own ArcFace network."""

MapName = Literal["percentile", "authors"]


@dataclass(frozen=True, slots=True)
class PercentileMap:
    """`quality_score` is the percentile of a score among those of reference photographs.

    `reference`: the photographs, in words. `knots`: the scores at evenly spaced percentiles from 0
    to 100, in [0, 1], never falling.
    """

    reference: str
    knots: tuple[float, ...]

    @property
    def description(self) -> str:
        """The map in words."""
        return f"percentiles of {self.reference}"

    def quality_score(self, raw_score: float) -> float:
        """Per cent of the reference photographs that score below `2σ(−D)`: 0 to 100; NaN of NaN."""
        if math.isnan(raw_score):
            return math.nan
        # Left: of equal knots none lies below a face that scores the same.
        below = bisect_left(self.knots, raw_score)
        if below in (0, len(self.knots)):
            return 100.0 if below else 0.0
        low, high = self.knots[below - 1 : below + 1]
        steps = below - 1 + (raw_score - low) / (high - low)
        return float(100 * steps / (len(self.knots) - 1))


@dataclass(frozen=True, slots=True)
class AuthorsMap:
    """`100 σ(130 (q − 0.88))`, which the authors' published code ends with.

    Their `q` is `2/(1 + e^D)` with the mean over pairs `D`: the `2σ(−D)` that every map here is
    defined on. Source: `get_score` of github.com/pterhoer/FaceImageQuality.
    """

    @property
    def description(self) -> str:
        """The map in words."""
        return f"the authors' 100 σ({AUTHORS_SLOPE:g} (q − {AUTHORS_CENTRE:g}))"

    def quality_score(self, raw_score: float) -> float:
        """0 to 100."""
        return 100 / (1 + math.exp(-AUTHORS_SLOPE * (raw_score - AUTHORS_CENTRE)))


@dataclass(frozen=True, slots=True)
class Calibration:
    """A map, and what it was made for: one recogniser at one dropout rate."""

    id: str
    recogniser_sha256: str
    dropout_rate: float
    map: PercentileMap | AuthorsMap

    @property
    def map_name(self) -> MapName:
        """As `calibration.toml` calls the map."""
        return "percentile" if isinstance(self.map, PercentileMap) else "authors"

    def quality_score(self, raw_score: float) -> float:
        """The map's value at `2σ(−D)`: 0 to 100."""
        return self.map.quality_score(raw_score)


def percentiles(reference: str, raw_scores: Sequence[float]) -> PercentileMap:
    """The percentile map of reference photographs' scores.

    Raises:
        ConfigurationError: fewer scores than percentiles, one that is no number, or all the same.
    """
    scores = np.asarray(raw_scores, dtype=np.float64)
    if len(scores) < PERCENTILES or not np.isfinite(scores).all():
        raise ConfigurationError(
            f"a percentile map needs at least {PERCENTILES} finite scores, not {len(scores)}"
        )
    knots = np.percentile(scores, np.linspace(0, 100, PERCENTILES)).round(6)
    if knots[0] == knots[-1]:
        raise ConfigurationError(f"all {len(scores)} photographs score {knots[0]}: no percentiles")
    return PercentileMap(reference, tuple(knots.tolist()))


def write_calibration(calibration: Calibration, path: Path) -> None:
    """Write `calibration.toml`, which `read_calibration` reads back to an equal one."""
    table: dict[str, object] = {
        "schema_version": SCHEMA_VERSION,
        "id": calibration.id,
        "map": calibration.map_name,
        "recogniser_sha256": calibration.recogniser_sha256,
        "dropout_rate": calibration.dropout_rate,
    }
    if isinstance(calibration.map, PercentileMap):
        table["reference"] = calibration.map.reference
        table["knots"] = list(calibration.map.knots)
    path.write_text(tomli_w.dumps(table), encoding="utf-8")


def read_calibration(path: Path, recogniser_sha256: str, dropout_rate: float) -> Calibration:
    """Read a calibration strictly, and make sure that it was made for this recogniser.

    Raises:
        ConfigurationError: it cannot be read; a key is missing, unknown or of another type; the
            map is not monotone; it is of another schema version; or it belongs to another
            recogniser or another dropout rate. Names the file and the key.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: cannot be read: {error}") from error
    values = read_toml(text, str(path), ConfigurationError)
    table = Table(values, str(path), ConfigurationError)
    _check_schema(table)
    name = cast(MapName, table.choice("map", get_args(MapName)))
    calibration = Calibration(
        id=table.text("id"),
        recogniser_sha256=_checksum(table, recogniser_sha256),
        dropout_rate=_dropout_rate(table, dropout_rate),
        map=AuthorsMap() if name == "authors" else _percentile_map(table),
    )
    table.finish()
    return calibration


def _check_schema(table: Table) -> None:
    if (version := table.number("schema_version")) != SCHEMA_VERSION:
        raise table.problem("schema_version", f"must be {SCHEMA_VERSION}, not {version:g}")


def _checksum(table: Table, expected: str) -> str:
    key = "recogniser_sha256"
    if (found := table.sha256(key)) != expected:
        complaint = f"is {found}, and the pack's is {expected}: it was made for another pack"
        raise table.problem(key, complaint)
    return found


def _dropout_rate(table: Table, expected: float) -> float:
    key = "dropout_rate"
    if (found := table.number(key)) != expected:
        raise table.problem(key, f"is {found}, and the pack's is {expected}")
    return found


def _percentile_map(table: Table) -> PercentileMap:
    reference, knots = table.text("reference"), table.numbers("knots")
    if len(knots) < 2 or not 0 <= min(knots) <= max(knots) <= 1:
        raise table.problem("knots", "must be at least two scores, each from 0 to 1")
    for index in np.flatnonzero(np.diff(knots) < 0).tolist():
        complaint = f"must never fall, and fall from {knots[index]} to {knots[index + 1]}"
        raise table.problem("knots", complaint)
    if knots[0] == knots[-1]:
        raise table.problem("knots", f"must rise somewhere, and are all {knots[0]}")
    return PercentileMap(reference, knots)
