"""What an evaluation leaves for programs: `edc.csv`, `summary.json`, `scores.parquet`.

No file has an embedding or an image in it. This file computes nothing.
"""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from serfiq_core.evaluation.bootstrap import Interval
from serfiq_core.evaluation.edc import Values
from serfiq_core.evaluation.figures import Evaluation
from serfiq_core.evaluation.gate import Gate
from serfiq_core.evaluation.method_figures import DISCARDS, MethodFigures
from serfiq_core.evaluation.subjects import Photograph


def write_edc(path: Path, evaluation: Evaluation) -> None:
    """Every step of every curve: `method,fmr,quality_threshold,discarded,fnmr`."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["method", "fmr", "quality_threshold", "discarded", "fnmr"])
        for figures in evaluation.figures:
            curve = figures.curve
            steps = zip(curve.quality_threshold, curve.discarded, curve.fnmr, strict=True)
            writer.writerows([figures.method, figures.fmr, *map(float, step)] for step in steps)


def write_scores(
    path: Path, photographs: Sequence[Photograph], methods: Mapping[str, Values]
) -> None:
    """One row for each photograph compared: path, subject, cohort, and its score by each method."""
    columns: dict[str, Any] = {
        "path": [photograph.name for photograph in photographs],
        "subject": [photograph.subject for photograph in photographs],
        "cohort": pyarrow.array([photograph.cohort for photograph in photographs], "string"),
    }
    with path.open("wb") as stream:  # pyarrow would take a colon in the path for that of a URI
        pyarrow.parquet.write_table(pyarrow.table({**columns, **methods}), stream)


def summary(
    evaluation: Evaluation,
    about: Mapping[str, Any],
    left_out: Mapping[str, str],
    gates: Sequence[Gate],
) -> dict[str, Any]:
    """All figures as JSON has them: null is what is not defined, or never reached."""
    return {
        "about": dict(about),
        "photographs": evaluation.photographs,
        "subjects": evaluation.subjects,
        "mated_pairs": evaluation.mated_pairs,
        "non_mated_pairs": evaluation.non_mated_pairs,
        "points": [
            {
                "fmr": point.fmr,
                "comparison_threshold": point.comparison_threshold,
                "fmr_reached": point.fmr_reached,
                "fnmr": _interval(point.fnmr),
            }
            for point in evaluation.points
        ],
        "warnings": list(evaluation.warnings),
        "refused": [{"fmr": fmr, "why": why} for fmr, why in evaluation.refused.items()],
        "methods": [_method(figures) for figures in evaluation.figures],
        "spearman": {name: _number(value) for name, value in evaluation.spearman.items()},
        "cohorts": [
            {
                "cohort": rates.cohort,
                "fmr": rates.fmr,
                "photographs": rates.photographs,
                "left_out": rates.left_out,
                "mated_pairs": rates.mated_pairs,
                "non_mated_pairs": rates.non_mated_pairs,
                "fnmr_in_cohort": _interval(rates.fnmr_in_cohort),
                "fmr_in_cohort": _interval(rates.fmr_in_cohort),
                "discard": _interval(rates.discard),
            }
            for rates in evaluation.cohorts
        ],
        "left_out": [{"path": name, "why": why} for name, why in left_out.items()],
        "gates": [
            {"fail_if": gate.condition, "fmr": gate.fmr, "true": gate.true, "why": gate.why}
            for gate in gates
        ],
    }


def write_summary(path: Path, document: Mapping[str, Any]) -> None:
    """As JSON that any parser takes: no NaN, no Infinity."""
    text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def _method(figures: MethodFigures) -> dict[str, Any]:
    return {
        "method": figures.method,
        "fmr": figures.fmr,
        "steps": len(figures.curve.discarded),
        "fnmr_at_discard": [
            {"discard": discard, **_interval(fnmr)}
            for discard, fnmr in zip(DISCARDS, figures.fnmr, strict=True)
        ],
        "partial_areas": [
            {
                "limit": area.limit,
                "area": _interval(area.area),
                "relative": _interval(area.relative),
                "difference": _interval(area.difference),
            }
            for area in figures.areas
        ],
        "halving_discard": _interval(figures.halving),
    }


def _interval(found: Interval) -> dict[str, float | None]:
    return {"value": _number(found.value), "low": _number(found.low), "high": _number(found.high)}


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
