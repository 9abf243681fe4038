import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image
from typer.testing import CliRunner, Result

from app import cli as command_line
from app.hints import hint
from app.settings import Settings
from serfiq_core.recognition.iresnet import IResNet
from serfiq_core.types import ComponentName
from tests.little_room import little_room
from tests.local_server import local_server
from tests.small_packs import published, small_recogniser, tiny_archive, write_small_pack


@pytest.fixture(autouse=True)
def _own_packs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERFIQ_PACKS_DIR", str(tmp_path / "packs"))
    monkeypatch.setenv("SERFIQ_DEVICE", "cpu")


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(command_line.cli, [str(argument) for argument in arguments])


def run_main(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str | Path
) -> tuple[int, str, str]:
    """Through `main`, as the installed command goes: status, stdout, stderr."""
    monkeypatch.setattr(sys, "argv", ["serfiq", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        command_line.main()
    output, errors = capsys.readouterr()
    status = caught.value.code
    assert isinstance(status, int)
    return status, output, errors


@pytest.fixture
def portrait(tmp_path: Path) -> Path:
    path = tmp_path / "portrait.jpg"
    assert run("sample", path).exit_code == 0
    return path


# --- sample


def test_sample_writes_the_portrait_and_says_whose_it_is(tmp_path: Path) -> None:
    path = tmp_path / "portrait.jpg"
    result = run("sample", path)
    assert result.exit_code == 0
    assert "public domain" in result.output
    assert "NASA" in result.output
    with Image.open(path) as image:
        assert image.format == "JPEG"
        difference = np.asarray(image).astype(float) - skimage.data.astronaut()
    assert np.abs(difference).mean() < 3


def test_sample_replaces_nothing_unless_told(tmp_path: Path) -> None:
    path = tmp_path / "portrait.jpg"
    path.write_bytes(b"precious")
    result = run("sample", path)
    assert result.exit_code == 2
    assert "--force" in result.output
    assert path.read_bytes() == b"precious"
    assert run("sample", path, "--force").exit_code == 0
    assert path.read_bytes().startswith(b"\xff\xd8")


def test_sample_leaves_no_part_of_a_portrait(tmp_path: Path) -> None:
    with little_room():
        result = run("sample", tmp_path / "portrait.jpg")
    assert result.exit_code == 2
    assert "cannot be written" in result.output
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["portrait.png", "absent/portrait.jpg", "."])
def test_sample_writes_jpeg_files_only_where_it_can(tmp_path: Path, name: str) -> None:
    assert run("sample", tmp_path / name).exit_code == 2
    assert not list(tmp_path.iterdir())


# --- score


@pytest.mark.parametrize(
    ("accept_at", "review_at", "verdict", "status"),
    [(0, 0, "accept", 0), (100, 0, "review", 0), (100, 100, "reject", 1)],
)
def test_score_shows_a_table_and_its_status_tells_what_is_rejected(
    portrait: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    accept_at: int, review_at: int, verdict: str, status: int,
) -> None:  # fmt: skip
    profiles = tmp_path / "profiles.toml"
    profiles.write_text(
        f'[ours]\nversion = "1"\naccept_at = {accept_at}\nreview_at = {review_at}\n'
        'multiple_faces = "reject"\n'
    )
    monkeypatch.setenv("SERFIQ_PROFILES_PATH", str(profiles))
    result = run("score", portrait)
    assert result.exit_code == status, result.output
    shown = "".join(result.output.split())
    for heading in ("file", "quality_score", "raw_score", "decision", "reasons"):
        assert heading in shown
    assert verdict in shown


def test_score_says_in_english_what_to_do_better(tmp_path: Path) -> None:
    blank = tmp_path / "blank.png"
    Image.new("RGB", (300, 300)).save(blank)
    result = run("score", blank)
    assert result.exit_code == 1
    words = "".join(character for character in result.output if character.isalnum())
    for word in hint("no_face", "en").split():
        assert word.strip(".,") in words
    [document] = map(json.loads, run("score", "--json", blank).stdout.splitlines())
    [reason] = document["decision"]["reasons"]
    assert reason["hint"] == hint("no_face", "en")


def test_score_decides_by_the_profile_that_is_named(portrait: Path) -> None:
    result = run("score", "--json", "--profile", "verification", portrait)
    assert json.loads(result.stdout)["decision"]["profile"] == "verification"
    result = run("score", "--profile", "gala", portrait)
    assert result.exit_code == 2
    assert "verification" in result.output


def test_score_json_has_a_document_per_line_and_scores_what_it_can(
    portrait: Path, tmp_path: Path
) -> None:
    broken, blank = tmp_path / "broken.jpg", tmp_path / "blank.png"
    broken.write_bytes(b"<html>")
    Image.new("RGB", (300, 300)).save(blank)
    result = run("score", "--json", broken, blank, portrait)
    assert result.exit_code == 1
    first, second, third = map(json.loads, result.stdout.splitlines())
    assert first == {
        "file": str(broken),
        "error": {"code": "unsupported_image_type", "detail": first["error"]["detail"]},
    }
    assert second["decision"]["verdict"] == "reject"
    assert [reason["code"] for reason in second["decision"]["reasons"]] == ["no_face"]
    assert third["file"] == str(portrait)
    assert 0 < third["raw_score"] < 1
    assert third["raw_score"] == third["sampled"]["raw_score"]
    assert third["decision_record"]["pack"] == "compact"
    assert "request_id" not in third
    assert "request_id" not in third["decision_record"]


def test_score_names_an_unreadable_file_whatever_it_is_called(tmp_path: Path) -> None:
    path = tmp_path / "[red]x.jpg"
    path.write_bytes(b"")
    result = run("score", path)
    assert result.exit_code == 1
    shown = "".join(
        character for character in result.output if character.isalnum() or character in "[]."
    )
    assert "[red]x.jpg" in shown
    assert "unreadable" in shown


def test_score_takes_the_estimator_and_aligned_faces(tmp_path: Path) -> None:
    from serfiq_core.importing.reference_faces import reference_faces

    path = tmp_path / "aligned.png"
    Image.fromarray(reference_faces()[0]).save(path)
    result = run("score", "--json", "--aligned", "--estimator", "closed_form", path)
    assert result.exit_code in (0, 1)
    answer = json.loads(result.stdout)
    assert answer["estimator"] == "closed_form"
    assert answer["raw_score"] == answer["closed_form"]["raw_score"]
    assert answer["faces_found"] is None


def test_score_tells_the_components_on_request(portrait: Path) -> None:
    plain, full = (run("score", "--json", *options, portrait) for options in ([], ["--components"]))
    assert "components" not in json.loads(plain.stdout)
    names = {component["name"] for component in json.loads(full.stdout)["components"]}
    assert names == set(get_args(ComponentName))


def test_score_refuses_a_photograph_called_aligned(portrait: Path) -> None:
    result = run("score", "--json", "--aligned", portrait)
    assert result.exit_code == 1
    assert json.loads(result.stdout)["error"]["code"] == "not_aligned"


@pytest.mark.parametrize(
    "arguments",
    [
        ("score",),
        ("score", "absent.jpg"),
        ("score", "."),
        ("score", "--estimator", "guess", __file__),
        ("score", "--speed", __file__),
        ("serve", "--port", "70000"),
        ("packs", "import", "absent.onnx", "--name", "x"),
        ("packs", "import", __file__),
        ("packs", "import", __file__, "--name", "x", "--mean", "1,2"),
        ("packs", "import", __file__, "--name", "x", "--std", "0"),
        ("packs", "import", __file__, "--name", "x", "--dropout-rate", "1"),
        ("nonsense",),
    ],
)
def test_wrong_calls_have_status_2(arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2


def test_a_wrong_setting_of_the_environment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERFIQ_PASSES", "many")
    result = run("score", __file__)
    assert result.exit_code == 2
    assert "SERFIQ_PASSES='many': " in result.output


def test_a_wrong_option_is_named_with_its_value() -> None:
    result = run("serve", "--port", "65536")
    assert result.exit_code == 2
    assert "port=65536: " in result.output


def test_a_wrong_key_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERFIQ_API_KEYS", "schlüssel")
    result = run("serve")
    assert result.exit_code == 2
    assert "SERFIQ_API_KEYS: " in result.output
    assert "schlüssel" not in result.output


def test_an_unknown_pack_is_one_line_on_stderr(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    status, output, errors = run_main(capsys, monkeypatch, "score", "--pack", "big", __file__)
    assert status == 2
    assert output == ""
    assert errors.startswith("serfiq: no pack named 'big'; there are: compact.")
    assert errors.count("\n") == 1


def test_a_damaged_pack_is_one_line_on_stderr_and_status_3(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (write_small_pack(tmp_path / "packs") / "recogniser.onnx").write_bytes(b"damaged")
    status, _, errors = run_main(capsys, monkeypatch, "score", "--pack", "small", __file__)
    assert status == 3
    assert "recogniser.onnx: SHA-256 should be" in errors
    assert errors.count("\n") == 1


# --- serve


def test_serve_hands_its_options_on_as_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[Settings] = []
    monkeypatch.setattr("app.main.serve", served.append)
    monkeypatch.setenv("SERFIQ_HOST", "0.0.0.0")
    monkeypatch.setenv("SERFIQ_PORT", "9000")
    assert run("serve", "--port", "9001", "--estimator", "closed_form").exit_code == 0
    [settings] = served
    assert (settings.host, settings.port) == ("0.0.0.0", 9001)
    assert settings.estimator == "closed_form"
    assert settings.pack == "compact"


# --- packs


def test_packs_list_shows_sound_and_broken_ones(tmp_path: Path) -> None:
    write_small_pack(tmp_path / "packs")
    broken = write_small_pack(tmp_path / "packs", "broken")
    (broken / "pack.toml").write_text("name = 'broken'")
    result = run("packs", "list")
    assert result.exit_code == 0
    assert "compact" in result.stdout
    assert "small" in result.stdout
    assert "broken cannot be used:" in result.stderr
    assert "files is missing" in result.stderr


def test_packs_show_prints_the_manifest_and_its_checksum(tmp_path: Path) -> None:
    from serfiq_core.packs.manifest import parse_manifest
    from tests.small_packs import sha256, small_manifest

    folder = write_small_pack(tmp_path / "packs")
    result = run("packs", "show", "small")
    assert result.exit_code == 0
    assert parse_manifest(result.stdout, "shown") == small_manifest()
    assert sha256((folder / "pack.toml").read_bytes()) in result.stdout


def test_packs_verify_finds_the_pack_that_was_changed(tmp_path: Path) -> None:
    write_small_pack(tmp_path / "packs")
    assert run("packs", "verify").exit_code == 0
    (tmp_path / "packs" / "small" / "recogniser.onnx").write_bytes(b"changed")
    result = run("packs", "verify")
    assert result.exit_code == 1
    assert "compact: all files match" in result.stdout
    assert "recogniser.onnx: SHA-256 should be" in result.stderr
    assert run("packs", "verify", "compact").exit_code == 0


def test_packs_import_makes_a_pack_that_is_listed(tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(small_recogniser())
    result = run("packs", "import", model, "--name", "mine", "--licence", "CC0-1.0")
    assert result.exit_code == 0, result.output
    assert "chosen from the reference faces" in result.stdout
    assert "pixels: rgb, less 127.5, over 127.5" in result.stdout
    assert "mine" in run("packs", "list").stdout
    assert 'licence = "CC0-1.0"' in run("packs", "show", "mine").stdout
    assert run("packs", "verify", "mine").exit_code == 0


def test_packs_import_refuses_by_name_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(small_recogniser(last_operator="Det"))
    arguments = ("packs", "import", model, "--name", "mine")
    status, _, errors = run_main(capsys, monkeypatch, *arguments)
    assert status == 3
    assert "Det" in errors
    assert "Traceback" not in errors
    assert not (tmp_path / "packs").exists()


def test_packs_pull_shows_the_licence_and_needs_its_acceptance(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tiny_archive()
    catalogue = {"tiny": published(archive)}
    # Default arguments are bound once: the catalogue has to be put into the function itself.
    monkeypatch.setitem(pull_defaults(), "catalogue", catalogue)
    with local_server() as server:
        server.files["/tiny.zip"] = archive
        pull = ("packs", "pull", "tiny", "--from", server.url)
        status, _, errors = run_main(capsys, monkeypatch, *pull)
        assert status == 2
        assert "non-commercial" in errors
        assert "--accept-licence" in errors
        assert server.asked_for == []
        result = run(*pull, "--accept-licence")
    assert result.exit_code == 0, result.output
    assert "non-commercial" in result.stderr
    assert "non-commercial" in run("packs", "show", "tiny").stdout


def pull_defaults() -> dict[str, object]:
    from serfiq_core.importing.insightface_archive import pull_pack

    defaults: dict[str, object] = pull_pack.__kwdefaults__
    return defaults


# --- the installed command


def test_a_state_dict_is_imported_when_its_network_is_told(tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = tmp_path / "backbone.pth"
    torch.save(IResNet(18).state_dict(), path)
    result = run("packs", "import", path, "--name", "mine")
    assert result.exit_code == 2
    assert "--network says of which network" in result.output
    result = run("packs", "import", path, "--name", "mine", "--network", "iresnet18", "--site", "x")
    assert result.exit_code == 2
    assert "only mobilefacenet has a choice" in " ".join(result.output.split())
    result = run("packs", "import", path, "--name", "mine", "--network", "iresnet18")
    assert result.exit_code == 0, result.output
    assert "dropout at the flattened map" in result.stdout
    assert "iresnet18" in run("packs", "list").stdout


def test_help_needs_no_heavy_imports() -> None:
    program = (
        "import sys; from app.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'fastapi', 'skimage', 'cv2', 'onnx'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, "--help"], capture_output=True, text=True, check=True
    )
    assert "Exit status" in result.stdout
    assert result.stdout.endswith("[]\n")


def test_the_help_says_what_an_option_is_when_it_is_left_out() -> None:
    """Markup would take brackets for its own, and drop them."""
    serve_help = " ".join(run("serve", "--help").stdout.split())
    assert "[env: SERFIQ_PACK; default: compact]" in serve_help
    adapting_help = " ".join(run("train", "adapt-head", "--help").stdout.split())
    assert "[default: 0.2]" in adapting_help


def test_the_version_is_that_of_the_package() -> None:
    assert run("--version").stdout == f"{version('serfiq')}\n"


def test_the_command_runs_as_a_process(portrait: Path) -> None:
    call = "from app.cli import main; main()"
    result = subprocess.run(
        [sys.executable, "-c", call, "score", "--json", portrait], capture_output=True, text=True
    )
    assert not result.stderr
    answer = json.loads(result.stdout)
    assert answer["faces_found"] == 1
    assert result.returncode == (answer["decision"]["verdict"] == "reject")
