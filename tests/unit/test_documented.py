"""Documentation that cannot drift: every setting, metric, problem code and reason is described."""

from pathlib import Path
from typing import get_args

import pytest

from app.decision_record import DecisionRecord
from app.error_responses import all_kinds
from app.metrics import Metrics
from app.schemas import Extra, QualityAnswer, QualityQuery
from app.settings import Settings
from serfiq_core.types import ReasonCode, Stage
from tests.conftest import REPOSITORY


def page(name: str) -> str:
    return Path(REPOSITORY, "docs", name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting(name):
    row = f"| `SERFIQ_{name.upper()}` |"
    assert page("operations.md").count(row) == 1


def test_no_setting_that_is_none():
    known = {f"SERFIQ_{name.upper()}" for name in Settings.model_fields}
    words = page("operations.md").replace("`", " ").replace("=", " ").split()
    assert {word for word in words if word.startswith("SERFIQ_")} == known


@pytest.mark.parametrize(
    "name", ["port", "pack", "passes", "max_queued_work", "request_timeout_seconds", "log_format"]
)
def test_the_defaults_are_the_documented_ones(name):
    start = f"| `SERFIQ_{name.upper()}` |"
    [row] = [line for line in page("operations.md").splitlines() if line.startswith(start)]
    default = Settings.model_fields[name].default
    text = f"{default:g}" if isinstance(default, float) else str(default)
    assert row.split("|")[2].strip() == f"`{text}`"


@pytest.mark.parametrize("family", [family.name for family in Metrics().registry.collect()])
def test_every_metric(family):
    assert f"`{family}" in page("operations.md")


@pytest.mark.parametrize("stage", get_args(Stage))
def test_every_stage(stage):
    assert f"`{stage}`" in page("operations.md")


@pytest.mark.parametrize("kind", sorted({(kind.status, kind.code) for kind in all_kinds()}))
def test_every_problem_code_with_its_status(kind):
    status, code = kind
    assert f"| {status} | `{code}` |" in page("api.md")


@pytest.mark.parametrize("code", get_args(ReasonCode))
def test_every_reason(code):
    assert f"| `{code}` |" in page("api.md")


@pytest.mark.parametrize("field", [*QualityQuery.model_fields, *QualityAnswer.model_fields])
def test_every_parameter_and_field(field):
    assert f"`{field}`" in page("api.md")


@pytest.mark.parametrize("extra", get_args(Extra))
def test_every_extra(extra):
    assert f"`{extra}`" in page("api.md")


@pytest.mark.parametrize("field", DecisionRecord.model_fields)
def test_every_field_of_the_record(field):
    assert f"`{field}`" in page("explaining.md")
