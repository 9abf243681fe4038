"""In one environment every command that scores photographs loads what the service would load."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from app.cli import cli
from serfiq_core import loading
from serfiq_core.decisions.profiles import EMBEDDED_PROFILES
from serfiq_core.types import PipelineInfo
from tests.photographs import portrait_tiles
from tests.small_packs import write_small_pack

COMMANDS = pytest.mark.parametrize(
    "command",
    [
        ("score", "people/0/0.jpg"),
        ("calibrate", "people"),
        ("calibrate", "--manifest", "people.csv", "--target", "reject=0.5"),
        ("same-person", "people"),
    ],
    ids=["score", "calibrate", "calibrate to a target", "same-person"],
)


@pytest.fixture
def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[PipelineInfo]:
    """What each pipeline is that is loaded from now on, beside a pack and photographs."""
    monkeypatch.chdir(tmp_path)
    write_small_pack(tmp_path / "packs")
    monkeypatch.setenv("SERFIQ_PACK", "small")
    monkeypatch.setenv("SERFIQ_PACKS_DIR", str(tmp_path / "packs"))
    rows = ["path,subject\n"]
    for index, tile in enumerate(portrait_tiles(4)):
        path = tmp_path / "people" / str(index // 2) / f"{index % 2}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(tile).save(path)
        rows.append(f"{path},{index // 2}\n")
    for index in range(100):  # as many as it takes before anything is loaded
        path = tmp_path / f"{index}.jpg"
        path.write_bytes(b"no photograph")
        rows.append(f"{path},another {index}\n")
    (tmp_path / "people.csv").write_text("".join(rows), encoding="utf-8")

    infos: list[PipelineInfo] = []
    load_pipeline = loading.load_pipeline

    def load(*given: Any, **options: Any) -> Any:
        pipeline = load_pipeline(*given, **options)
        infos.append(pipeline.info)
        return pipeline

    monkeypatch.setattr(loading, "load_pipeline", load)
    return infos


@COMMANDS
# One of the two is not what `auto` is here.
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_precision_is_the_one_that_is_set(
    loaded: list[PipelineInfo],
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
    precision: str,
) -> None:
    monkeypatch.setenv("SERFIQ_PRECISION", precision)
    CliRunner().invoke(cli, command)
    assert [info.precision for info in loaded] == [precision]


@COMMANDS
def test_the_profiles_are_those_that_are_set(
    loaded: list[PipelineInfo], monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    text = EMBEDDED_PROFILES.read_text(encoding="utf-8").replace("[enrolment", "[desk")
    Path("profiles.toml").write_text(text, encoding="utf-8")
    monkeypatch.setenv("SERFIQ_PROFILES_PATH", "profiles.toml")
    CliRunner().invoke(cli, command)
    assert ["desk" in info.profiles for info in loaded] == [True]
