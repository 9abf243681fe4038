"""What an evaluation leaves for programs: `edc.csv`, `summary.json`, `scores.parquet`.

No file has an embedding or an image in it. This file computes nothing.
"""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

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
    """All figures as JSON has them: null is what is not defined, "never" what is never reached."""
    return {
        "about": dict(about),
        "photographs": evaluation.photographs,
        "subjects": evaluation.subjects,
        "mated_pairs": evaluation.mated_pairs,
        "non_mated_pairs": evaluation.non_mated_pairs,
        "points": _json(evaluation.points),
        "warnings": list(evaluation.warnings),
        "refused": [{"fmr": fmr, "why": why} for fmr, why in evaluation.refused.items()],
        "methods": [_method(figures) for figures in evaluation.figures],
        "spearman": _json(evaluation.spearman),
        "cohorts": _json(evaluation.cohorts),
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
            {"discard": discard, **_json(fnmr)}
            for discard, fnmr in zip(DISCARDS, figures.fnmr, strict=True)
        ],
        "partial_areas": _json(figures.areas),
        "halving_discard": _json(figures.halving),
    }


def _json(value: Any) -> Any:
    """As JSON has it: a dataclass is an object, nan is null, and infinity the word "never"."""
    if is_dataclass(value) and not isinstance(value, type):
        return _json(asdict(value))
    if isinstance(value, Mapping):
        return {key: _json(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_json(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else "never"
    return value
