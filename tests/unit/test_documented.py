"""Documentation that cannot drift: every setting, metric, problem code and reason is described."""

import json
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import yaml

from app.batch_schemas import BatchAnswer, CaptureAnswer
from app.decision_record import DecisionRecord
from app.example_answer import EXAMPLE_ANSWER, EXAMPLE_QUERY
from app.metrics import Metrics
from app.problems import all_kinds
from app.routes import health
from app.schemas import Extra, QualityAnswer, QualityQuery, ReasonAnswer
from app.settings import Settings
from serfiq_core.align import ARCFACE_TEMPLATE_PX, align
from serfiq_core.components.capture import components_of
from serfiq_core.decisions.objections import OBJECTIONS
from serfiq_core.decisions.profiles import read_profiles
from serfiq_core.one_subject.comparison import NoBest
from serfiq_core.packs.manifest import parse_manifest
from serfiq_core.preparation.workers import START_SECONDS, STARTS
from serfiq_core.types import ComponentName, Face, ReasonCode, ReasonKind, Stage
from tests.conftest import REPOSITORY
from tests.photographs import astronaut, sample


def page(name: str) -> str:
    return Path(REPOSITORY, "docs", name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_has_a_row(name):
    row = f"| `SERFIQ_{name.upper()}` |"
    assert page("operations.md").count(row) == 1


def test_no_other_setting_is_named():
    known = {f"SERFIQ_{name.upper()}" for name in Settings.model_fields}
    words = page("operations.md").replace("`", " ").replace("=", " ").split()
    assert {word for word in words if word.startswith("SERFIQ_")} == known


def documented_default(value: object) -> str:
    match value:
        case None | ():
            return "none"
        case bool():
            return f"`{str(value).lower()}`"
        case int() if value >= 2**20:
            return f"{value // 2**20} MiB"
        case int() | float():
            return f"`{value:g}`"
    return f"`{value}`"


FOUND_OUT = {"packs_dir", "profiles_path", "max_batch_size", "prepare_workers"}
"""Defaults that depend on the machine, or lie in a file: in words there."""


@pytest.mark.parametrize("name", sorted(Settings.model_fields.keys() - FOUND_OUT))
def test_the_defaults_are_the_documented_ones(name):
    start = f"| `SERFIQ_{name.upper()}` |"
    [row] = [line for line in page("operations.md").splitlines() if line.startswith(start)]
    assert row.split("|")[2].strip() == documented_default(Settings.model_fields[name].default)


@pytest.mark.parametrize("family", [family.name for family in Metrics().registry.collect()])
def test_every_metric_is_named(family):
    assert f"`{family}" in page("operations.md")


@pytest.mark.parametrize("stage", get_args(Stage))
def test_every_stage_is_named(stage):
    assert f"`{stage}`" in page("operations.md")


@pytest.mark.parametrize("kind", sorted({(kind.status, kind.code) for kind in all_kinds()}))
def test_every_problem_code_has_a_row_with_its_status(kind):
    status, code = kind
    assert f"| {status} | `{code}` |" in page("api.md")


@pytest.mark.parametrize("code", get_args(ReasonCode))
def test_every_reason_has_a_row(code):
    assert f"| `{code}` |" in page("api.md")


@pytest.mark.parametrize("kind", get_args(ReasonKind))
def test_every_kind_of_reason_is_named(kind):
    assert f"`{kind}`" in page("api.md")


@pytest.mark.parametrize(
    "field",
    sorted(
        {
            name
            for model in (QualityQuery, QualityAnswer, ReasonAnswer, BatchAnswer, CaptureAnswer)
            for name in model.model_fields
        }
    ),
)
def test_every_parameter_and_field_of_an_answer_is_named(field):
    assert f"`{field}`" in page("api.md")


def test_the_answer_of_the_page_is_the_example_with_a_shorter_record():
    assert f"localhost:8000/quality?{EXAMPLE_QUERY}'" in page("api.md")
    answer = json.loads(page("api.md").split("```json\n")[1].partition("```")[0])
    record, whole = answer.pop("decision_record"), dict(EXAMPLE_ANSWER)
    assert record.pop("…") == "…"
    assert record.items() <= whole.pop("decision_record").items()
    assert answer == whole


@pytest.mark.parametrize("why", get_args(NoBest))
def test_every_cause_of_no_best_is_named(why):
    assert f"`{why}`" in page("api.md")
    assert f"| `{why}` |" in page("best-of-several.md")


@pytest.mark.parametrize("extra", get_args(Extra))
def test_every_extra_is_named(extra):
    assert f"`{extra}`" in page("api.md")


@pytest.mark.parametrize("field", DecisionRecord.model_fields)
def test_every_field_of_the_record_is_named(field):
    assert f"`{field}`" in page("explaining.md")


@pytest.mark.parametrize("component", OBJECTIONS)
def test_what_can_be_limited_has_a_row_with_its_reasons(component):
    """As `objections.py` has it, column by column."""
    objections = OBJECTIONS[component]
    codes = (objections.below, objections.above, objections.low_value)
    cells = " | ".join(f"`{code}`" if code else "–" for code in codes)
    assert f"| {component} | {cells} |" in page("decisions.md")


def test_every_component_has_the_unit_of_its_row():
    image = sample(astronaut())
    landmarks = ARCFACE_TEMPLATE_PX + np.float32(160)
    face = Face((160.0, 160.0, 272.0, 272.0), 0.99, landmarks)
    answered = components_of(image, [face], align(image.pixels, landmarks))
    assert {each.name for each in answered} == set(get_args(ComponentName))
    _, table, *_ = page("components.md").split("## ")
    rows = [line.split(" | ") for line in table.splitlines() if line.startswith("| `")]
    units = {row[0].strip("|` "): row[2] for row in rows}
    assert {each.name: each.unit for each in answered} == {
        each.name: units[each.name] for each in answered
    }


def kubernetes_objects() -> dict[str, Any]:
    """Those of the page, by kind."""
    _, block, *_ = page("operations.md").split("```yaml\n")
    return {each["kind"]: each for each in yaml.safe_load_all(block.partition("```")[0])}


def test_the_deployment_of_the_page_fits_the_settings_and_the_routes():
    pod = kubernetes_objects()["Deployment"]["spec"]["template"]["spec"]
    [container] = pod["containers"]
    _, pause = container["lifecycle"]["preStop"]["exec"]["command"]
    settings = Settings.model_fields
    needed = int(pause) + settings["shutdown_grace_seconds"].default
    assert pod["terminationGracePeriodSeconds"] > needed
    assert pod["enableServiceLinks"] is False
    port = settings["port"].default
    assert container["ports"] == [{"containerPort": port}]
    routes = {route.path for route in health.router.routes}
    probes = [container[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")]
    assert {probe["path"] for probe in probes} == routes
    assert {probe["port"] for probe in probes} == {port}
    starting = container["startupProbe"]
    assert starting["periodSeconds"] * starting["failureThreshold"] > STARTS * START_SECONDS


def test_the_other_objects_of_the_page_are_about_its_pods():
    objects = kubernetes_objects()
    labels = objects["Deployment"]["spec"]["template"]["metadata"]["labels"]
    service, budget = objects["Service"]["spec"], objects["PodDisruptionBudget"]["spec"]
    assert service["selector"] == budget["selector"]["matchLabels"] == labels
    assert service["ports"] == [{"port": Settings.model_fields["port"].default}]


def test_the_pod_of_the_page_is_restricted():
    """As the Pod Security Standard of that name asks, but for the image's user: a number, there."""
    [container] = kubernetes_objects()["Deployment"]["spec"]["template"]["spec"]["containers"]
    asked = {
        "runAsNonRoot": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert asked.items() <= container["securityContext"].items()


def test_the_manifest_of_the_page_can_be_read():
    _, block, *_ = page("packs.md").split("```toml\n")
    manifest = parse_manifest(block.partition("```")[0], "pack.toml")
    assert manifest.name == "ours"


def test_the_profiles_of_the_page_can_be_used(tmp_path):
    _, *blocks = page("decisions.md").split("```toml\n")
    for block in blocks:
        path = tmp_path / "profiles.toml"
        path.write_text(block.partition("```")[0], encoding="utf-8")
        assert read_profiles(path)
