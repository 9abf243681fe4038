"""Imports point one way: the order of rooms of CONTRIBUTING.md, held by reading every import."""

import ast
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

LAYERS = [
    ["app.cli"],
    ["app.commands"],
    ["app.main"],
    ["app.routes", "app.early_refusal", "app.middleware", "app.server"],
    ["app.dependencies"],
    ["app.engine", "app.openapi"],
    ["app.batch_body", "app.batch_schemas", "app.device"],
    [
        "app.model_schemas",
        "app.schemas",
        "app.record_comparison",
        "app.error_responses",
        "app.metrics",
        "app.logs",
        "app.request_body",
        "app.cores",
        "app.languages",
    ],
    ["app.json_strings"],
    ["app.decision_record", "app.settings", "app.request_errors", "app.hints"],
    ["serfiq_core.training"],
    ["serfiq_core.preparation_worker"],
    [
        "serfiq_core.loading",
        "serfiq_core.repeating",
        "serfiq_core.importing",
        "serfiq_core.calibrating",
        "serfiq_core.checking",
        "serfiq_core.known_faces",
        "serfiq_core.evaluating",
        "serfiq_core.testing",
    ],
    [
        "serfiq_core.pipeline",
        "serfiq_core.comparison",
        "serfiq_core.same_person",
        "serfiq_core.preparation",
        "serfiq_core.preparation_workers",
        "serfiq_core.photographs",
        "serfiq_core.batching",
        "serfiq_core.batch_size",
        "serfiq_core.admission",
        "serfiq_core.work",
    ],
    ["serfiq_core.components"],
    [
        "serfiq_core.decode",
        "serfiq_core.detection",
        "serfiq_core.align",
        "serfiq_core.recognition",
        "serfiq_core.packs",
        "serfiq_core.calibration",
        "serfiq_core.score",
        "serfiq_core.gradient_map",
        "serfiq_core.instability_map",
        "serfiq_core.overlay",
        "serfiq_core.fusion",
        "serfiq_core.score_specification",
        "serfiq_core.decide",
        "serfiq_core.evaluation",
        "serfiq_core.degradations",
        "serfiq_core.suitability",
        "serfiq_core.preparation_messages",
    ],
    ["serfiq_core.profiles", "serfiq_core.distances"],
    ["serfiq_core.fused", "serfiq_core.recorded", "serfiq_core.closed_form_triton"],
    [
        "serfiq_core.allocation",
        "serfiq_core.correlation",
        "serfiq_core.drain_rate",
        "serfiq_core.image_header",
        "serfiq_core.product",
        "serfiq_core.tables",
        "serfiq_core.objections",
        "serfiq_core.toml_lines",
        "serfiq_core.out_of_memory",
        "serfiq_core.distances_triton",
    ],
    ["serfiq_core.types"],
    ["serfiq_core.errors"],
]
"""Highest first. A module may import from lower layers and its own room, never from a sibling."""

ROOMS = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}
SOURCES = sorted(
    path
    for package in ("app", "serfiq_core")
    for path in (REPOSITORY / package).rglob("*.py")
    # The packages themselves have no room: their __init__ imports nothing of ours.
    if path.name != "__init__.py" or path.parent.parent != REPOSITORY
)


def module_name(path: Path) -> str:
    parts = path.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str | None:
    """The longest room name that the module lies in."""
    matches = [room for room in ROOMS if module == room or module.startswith(room + ".")]
    return max(matches, key=len, default=None)


def imports_of(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.split(".")[0] in ("app", "serfiq_core")}


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_imports_point_one_way(path):
    here = room_of(module_name(path))
    assert here is not None, "this module has no place in the order of layers: give it one"
    for name in imports_of(path):
        there = room_of(name)
        assert there is not None, f"{name} has no place in the order of layers"
        assert there == here or ROOMS[there] > ROOMS[here], f"{here} must not import {there}"


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_the_core_knows_no_http(path):
    if not module_name(path).startswith("serfiq_core"):
        return
    tree = ast.parse(path.read_text(encoding="utf-8"))
    tops = {
        (node.module or "" if isinstance(node, ast.ImportFrom) else node.names[0].name).split(".")[
            0
        ]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert not tops & {"fastapi", "starlette", "pydantic", "prometheus_client", "uvicorn"}


WRITERS = {"files", "plots", "report"}
"""What writes an evaluation down, with the packages of the extra `evaluate`."""


@pytest.mark.parametrize(
    "path",
    [path for path in SOURCES if path.parent.name == "evaluation" and path.stem not in WRITERS],
    ids=module_name,
)
def test_an_evaluation_is_computed_with_numpy_only(path):
    tops = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            tops |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            tops.add((node.module or "").split(".")[0])
    assert tops <= {*sys.stdlib_module_names, "numpy", "serfiq_core"}
