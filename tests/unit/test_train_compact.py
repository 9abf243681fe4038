"""`serfiq train compact`: what is refused before any work, and what it tells while it learns."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import Result
from typer.testing import CliRunner

from app.cli import cli
from app.commands import train_compact
from app.commands.train_compact import LOSS_STEPS, _learning, _recipe
from serfiq_core.errors import EvaluationError, PackError, PackNotFoundError, TrainingError
from serfiq_core.evaluation.subjects import Photograph
from serfiq_core.folder_lock import alone_with
from serfiq_core.packs.pack import read_pack
from serfiq_core.recognition import inference
from serfiq_core.training import compact_pack
from serfiq_core.training.distil import Progress
from serfiq_core.training.recipe import Recipe
from serfiq_core.types import PrecisionChoice
from serfiq_core.whole_files import UNFINISHED
from tests.small_packs import write_small_pack


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    for subject in "ag":
        (tmp_path / "photographs" / subject).mkdir(parents=True)
        (tmp_path / "photographs" / subject / "0.jpg").write_bytes(b"")
    return tmp_path / "photographs"


def run(photographs: Path, *options: str | Path, teacher: str = "compact") -> Result:
    folder = photographs.parent
    given = ["--teacher", teacher, "--folder", folder / "work", "--packs-dir", folder / "packs"]
    arguments = ["train", "compact", photographs, "ours", *given, *options]
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def test_a_name_that_is_taken_is_refused_at_once(photographs: Path) -> None:
    (photographs.parent / "packs" / "ours").mkdir(parents=True)
    result = run(photographs)
    assert isinstance(result.exception, PackError)
    assert "ours" in str(result.exception)
    assert not (photographs.parent / "work").exists()


def test_a_teacher_that_is_not_installed_is_refused(photographs: Path) -> None:
    result = run(photographs, teacher="nobody")
    assert isinstance(result.exception, PackNotFoundError)
    assert "nobody" in str(result.exception)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "photographs").mkdir()
    result = run(tmp_path / "photographs")
    assert isinstance(result.exception, EvaluationError)
    assert "names no photograph" in str(result.exception)


def test_a_folder_that_cannot_be_made_is_refused(photographs: Path) -> None:
    (photographs.parent / "file").write_bytes(b"")
    result = run(photographs, "--folder", photographs.parent / "file" / "work")
    assert isinstance(result.exception, TrainingError)
    assert "work cannot be written to" in str(result.exception)


def test_a_verdict_makes_no_other_lesson(tmp_path: Path) -> None:
    """Nor does a calibration: the teacher is the same one."""
    photographs = [Photograph(Path(__file__), "a/1.jpg", "a")]
    pack = read_pack(write_small_pack(tmp_path))
    source = train_compact._source(pack, photographs, 0)
    checked = replace(pack, manifest=replace(pack.manifest, same_person_cosine=0.3))
    checked = replace(checked, checksum="0" * 64)
    assert train_compact._source(checked, photographs, 0) == source
    assert train_compact._source(pack, photographs, 1) != source
    entry = replace(pack.manifest.recogniser, mean=(1.0, 1.0, 1.0))
    fed_otherwise = replace(pack, manifest=replace(pack.manifest, recogniser=entry))
    assert train_compact._source(fed_otherwise, photographs, 0) != source


def test_photographs_without_a_face_are_named_and_too_few(photographs: Path) -> None:
    result = run(photographs)
    assert isinstance(result.exception, TrainingError)
    assert "0 faces are too few" in str(result.exception)
    assert "skipped a/0.jpg: " in result.output


def test_files_that_are_passed_over_are_told(photographs: Path) -> None:
    (photographs / "a" / "0.tif").write_bytes(b"")
    assert f"files passed over in {photographs}: 1 (first: a/0.tif)" in run(photographs).output


def test_what_comes_next_is_told_by_commands_that_run(
    photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack = read_pack(write_small_pack(photographs.parent))
    monkeypatch.setattr(train_compact, "_lesson", lambda *_: None)
    monkeypatch.setattr(compact_pack, "train_pack", lambda *_, **__: pack)
    result = run(photographs)
    assert result.exit_code == 0, result.output
    assert "`serfiq packs check ours --faces PHOTOGRAPHS`" in result.output
    assert "`serfiq calibrate PHOTOGRAPHS --pack ours`" in result.output


@pytest.mark.parametrize("options", [("--steps", "5"), ("--seed", "-1")])
def test_options_out_of_range_are_refused(photographs: Path, options: tuple[str, str]) -> None:
    result = run(photographs, *options)
    assert result.exit_code == 2
    assert options[0] in result.output


@pytest.mark.parametrize(("precision", "expected"), [("auto", True), ("float32", False)])
def test_convolutions_are_in_bfloat16_where_the_device_has_it_and_none_forbids_it(
    monkeypatch: pytest.MonkeyPatch, precision: PrecisionChoice, expected: bool
) -> None:
    monkeypatch.setattr(inference, "has_bfloat16", lambda _device: True)
    recipe = _recipe(precision, torch.device("cpu"), steps=100, seed=3)
    assert recipe == Recipe(steps=100, seed=3, bfloat16=expected)


def test_mean_losses_are_told_every_so_often(capsys: pytest.CaptureFixture[str]) -> None:
    with _learning(2 * LOSS_STEPS) as learnt:
        for step in range(1, 2 * LOSS_STEPS + 1):
            learnt(Progress(step, {"fit": 1.0 if step <= LOSS_STEPS else 0.5}))
    told = capsys.readouterr().err
    assert f"step {LOSS_STEPS}: fit 1.000" in told
    assert f"step {2 * LOSS_STEPS}: fit 0.500" in told


def test_a_folder_is_for_one_training_at_a_time(photographs: Path) -> None:
    work = photographs.parent / "work"
    work.mkdir()
    with alone_with(work):
        result = run(photographs)
    assert isinstance(result.exception, TrainingError)
    assert "another training is at work in" in str(result.exception)
    assert "faces are too few" in str(run(photographs).exception)


def test_what_a_training_left_that_was_killed_is_removed(photographs: Path) -> None:
    left = photographs.parent / "work" / f"{UNFINISHED}a1b2"
    left.mkdir(parents=True)
    run(photographs)
    assert not left.exists()
