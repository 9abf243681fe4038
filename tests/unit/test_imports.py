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
    ["app.metrics_port"],
    ["app.routes", "app.early_refusal", "app.middleware", "app.server", "app.connection_close"],
    ["app.dependencies"],
    ["app.engine", "app.openapi"],
    ["app.jobs"],
    ["app.batch_schemas", "app.device"],
    [
        "app.model_schemas",
        "app.schemas",
        "app.record_comparison",
        "app.error_responses",
        "app.metrics",
        "app.logs",
        "app.request_body",
        "app.capture_body",
        "app.batch_body",
        "app.cores",
        "app.idle_connections",
        "app.languages",
    ],
    [
        "app.example_answer",
        "app.form",
        "app.json_strings",
        "app.loading",
        "app.problems",
        "app.invalid_requests",
    ],
    ["app.decision_record", "app.settings", "app.request_errors", "app.hints"],
    ["app.open_list", "app.usable_cores"],
    ["serfiq_core.training"],
    ["serfiq_core.preparation.worker"],
    [
        "serfiq_core.loading",
        "serfiq_core.repeating",
        "serfiq_core.importing",
        "serfiq_core.calibrating",
        "serfiq_core.checking",
        "serfiq_core.known_faces",
        "serfiq_core.measuring",
        "serfiq_core.evaluating",
        "serfiq_core.testing",
    ],
    [
        "serfiq_core.pipeline",
        "serfiq_core.preparation",
        "serfiq_core.one_subject",
        "serfiq_core.scheduling",
    ],
    ["serfiq_core.components"],
    [
        "serfiq_core.decode",
        "serfiq_core.detection",
        "serfiq_core.align",
        "serfiq_core.recognition",
        "serfiq_core.scoring",
        "serfiq_core.maps",
        "serfiq_core.packs",
        "serfiq_core.calibration",
        "serfiq_core.suitability",
        "serfiq_core.decisions",
        "serfiq_core.evaluation",
    ],
    ["serfiq_core.gpu"],
    [
        "serfiq_core.allocation",
        "serfiq_core.batches",
        "serfiq_core.correlation",
        "serfiq_core.folder_lock",
        "serfiq_core.image_header",
        "serfiq_core.image_parts",
        "serfiq_core.product",
        "serfiq_core.resizing",
        "serfiq_core.toml",
        "serfiq_core.whole_files",
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


def test_the_order_is_the_one_that_newcomers_read():
    text = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8").split("```")[1]
    written = [[room.strip() for room in layer.split("|")] for layer in text.split("→")]
    assert written == [[room.removeprefix("serfiq_core.") for room in layer] for layer in LAYERS]


def packages_imported_by(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module or "")
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize(
    "path",
    [path for path in SOURCES if path.is_relative_to(REPOSITORY / "serfiq_core")],
    ids=module_name,
)
def test_the_core_knows_no_http(path):
    http = {"fastapi", "starlette", "pydantic", "prometheus_client", "uvicorn"}
    assert not packages_imported_by(path) & http


WRITERS = {"files", "plots", "report"}
"""What writes an evaluation down, with the packages of the extra `evaluate`."""


@pytest.mark.parametrize(
    "path",
    [path for path in SOURCES if path.parent.name == "evaluation" and path.stem not in WRITERS],
    ids=module_name,
)
def test_an_evaluation_is_computed_with_numpy_only(path):
    assert packages_imported_by(path) <= {*sys.stdlib_module_names, "numpy", "serfiq_core"}
