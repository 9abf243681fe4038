"""`serfiq explain`: the sample portrait, scored, and explained from the line that was printed."""

import dataclasses
import io
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from app import cli as command_line
from serfiq_core.decisions.profiles import EMBEDDED_PROFILES
from serfiq_core.packs import registry
from tests.lax_profile import with_a_lax_profile


@pytest.fixture(autouse=True)
def _own_packs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERFIQ_PACKS_DIR", str(tmp_path / "packs"))
    monkeypatch.setenv("SERFIQ_DEVICE", "cpu")


def run(*arguments: str | Path, given: str | None = None) -> Result:
    return CliRunner().invoke(command_line.cli, [str(each) for each in arguments], input=given)


@dataclasses.dataclass(frozen=True)
class Scored:
    photograph: Path
    line: str

    @property
    def record(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.line)["decision_record"]
        return found


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Scored:
    photograph = tmp_path_factory.mktemp("portrait") / "portrait.jpg"
    assert run("sample", photograph).exit_code == 0
    result = run("score", "--json", photograph)
    assert json.loads(result.stdout)["raw_score"] > 0, result.output
    return Scored(photograph, result.stdout)


@pytest.fixture
def explain(scored: Scored, tmp_path: Path):
    """Explains the record with changes; gives the outcome of the command with --json."""

    def explained(image: Path | None = None, **changes: Any) -> tuple[Result, dict[str, Any]]:
        path = tmp_path / "record.json"
        path.write_text(json.dumps({**scored.record, **changes}))
        result = run("explain", path, "--image", image or scored.photograph, "--json")
        assert result.exit_code in (0, 1), result.output
        return result, json.loads(result.stdout)

    return explained


def differing(document: dict[str, Any]) -> dict[str, set[str]]:
    """Topic → fields that are not exact."""
    found: dict[str, set[str]] = {}
    for finding in document["findings"]:
        if finding["agreement"] != "exact":
            found.setdefault(finding["topic"], set()).add(finding["field"])
    return found


def test_the_line_of_score_is_explained_from_standard_input(scored: Scored) -> None:
    result = run("explain", "-", "--image", scored.photograph, given=scored.line)
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0].startswith("decision of 20")
    assert all(line.endswith("the same") for line in lines[1:-1])
    assert lines[-1] == "agrees, bit for bit"


def test_json_says_the_same(explain) -> None:
    result, document = explain()
    assert result.exit_code == 0
    assert (document["agreement"], document["same_machine"]) == ("exact", True)
    assert differing(document) == {}
    [score] = [each for each in document["findings"] if each["field"] == "raw_score"]
    assert score["recorded"] == score["repeated"]


def test_another_photograph_is_told(explain, scored: Scored, tmp_path: Path) -> None:
    other = tmp_path / "other.jpg"
    with Image.open(scored.photograph) as image:
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(other, quality=80)
    result, document = explain(other)
    assert result.exit_code == 1
    found = differing(document)
    assert found["photograph"] == {"image_sha256"}
    assert "raw_score" in found["outcome"]
    assert found.keys() == {"photograph", "outcome"}


def test_the_last_line_says_in_what_they_disagree(scored: Scored, tmp_path: Path) -> None:
    path, record = tmp_path / "record.json", scored.record
    for changes, last in (
        ({"calibration": "x", "faces_found": 3}, "disagrees: calibration, outcome"),
        (
            {"raw_score": 0.5},
            "disagrees in the outcome alone (expected here: agreement bit for bit)",
        ),
    ):
        path.write_text(json.dumps({**record, **changes}))
        result = run("explain", path, "--image", scored.photograph)
        assert result.exit_code == 1
        assert result.output.splitlines()[-1] == last


def test_the_same_pixels_in_another_file_agree_in_all_but_the_photograph(
    explain, scored: Scored, tmp_path: Path
) -> None:
    other = tmp_path / "other.jpg"
    content = scored.photograph.read_bytes()
    other.write_bytes(content[:2] + b"\xff\xfe\x00\x07hello" + content[2:])  # a JPEG comment
    result, document = explain(other)
    assert result.exit_code == 1
    assert differing(document) == {"photograph": {"image_sha256"}}


@pytest.mark.parametrize(
    ("topic", "changes"),
    [
        ("pack", {"pack_checksum": "0" * 64}),
        ("calibration", {"calibration": "another"}),
        ("profile", {"profile_version": "0"}),
        ("outcome", {"raw_score": 0.5}),
    ],
)
def test_what_is_decisive_and_differs_is_told_apart(explain, topic, changes) -> None:
    result, document = explain(**changes)
    assert result.exit_code == 1
    assert differing(document) == {topic: set(changes)}
    assert document["agreement"] == "none"


@pytest.mark.parametrize(
    ("topic", "changes"),
    [
        ("software", {"software_version": "0.0.1"}),
        ("software", {"libraries": {"torch": "1.0"}}),
        ("device", {"device_name": "NVIDIA H100", "device": "cuda"}),
        ("detector", {"detector": "mtcnn minimum_face_px=20.00"}),
    ],
)
def test_other_circumstances_are_told_and_may_agree(explain, topic, changes) -> None:
    result, document = explain(**changes)
    assert result.exit_code == 0
    assert differing(document) == {topic: set(changes)}
    assert (document["agreement"], document["same_machine"]) == ("exact", False)


def test_a_score_a_little_apart_agrees_to_the_tolerance_and_says_so(
    scored: Scored, tmp_path: Path
) -> None:
    path = tmp_path / "record.json"
    near = {"raw_score": scored.record["raw_score"] + 5e-5, "device_name": "x86_64 SSE9"}
    path.write_text(json.dumps({**scored.record, **near}))
    result = run("explain", path, "--image", scored.photograph)
    assert result.exit_code == 0, result.output
    assert 'device_name: recorded "x86_64 SSE9", here' in result.output
    assert "raw_score: recorded" in result.output
    assert result.output.splitlines()[-1] == "agrees, to 0.0001 (expected here: to 0.0001)"


def test_the_settings_are_those_of_the_record(explain, scored: Scored, monkeypatch) -> None:
    monkeypatch.setenv("SERFIQ_PASSES", "10")
    monkeypatch.setenv("SERFIQ_SEED", "7")
    monkeypatch.setenv("SERFIQ_ESTIMATOR", "closed_form")
    monkeypatch.setenv("SERFIQ_CONVENTION", "mean")
    monkeypatch.setenv("SERFIQ_SHADOW_PROFILE", "nowhere")
    result, document = explain()
    assert (result.exit_code, document["agreement"]) == (0, "exact")


def test_what_was_scored_by_other_settings_is_repeated_by_those(
    scored: Scored, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = {"passes": 10, "seed": 7, "convention": "mean"}
    with monkeypatch.context() as elsewhere:
        for name, value in others.items():
            elsewhere.setenv(f"SERFIQ_{name.upper()}", str(value))
        line = run("score", "--json", scored.photograph).stdout
    record = json.loads(line)["decision_record"]
    assert {name: record[name] for name in others} == others
    assert record["raw_score"] != scored.record["raw_score"]
    result = run("explain", "-", "--image", scored.photograph, given=line)
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[-1] == "agrees, bit for bit"


def test_a_profile_in_the_shadow_is_as_it_was(explain, tmp_path: Path, monkeypatch) -> None:
    """It takes faces of any size, and no part in which are looked for."""
    monkeypatch.setenv("SERFIQ_PROFILES_PATH", str(with_a_lax_profile(tmp_path)))
    assert differing(explain()[1])["detector"] == {"detector"}
    monkeypatch.setenv("SERFIQ_SHADOW_PROFILE", "lax")
    assert explain()[1]["agreement"] == "exact"


def test_a_gpu_s_float16_is_repeated_in_float32_and_told(explain) -> None:
    _, document = explain(precision="float16", device="cuda")
    assert differing(document)["device"] == {"precision", "device"}


def test_a_pack_that_has_changed_since_is_told(
    explain, scored: Scored, tmp_path: Path, monkeypatch
) -> None:
    shutil.copytree(registry.EMBEDDED_FOLDER / "compact", tmp_path / "packs" / "compact")
    manifest = tmp_path / "packs" / "compact" / "pack.toml"
    text = manifest.read_text()
    manifest.write_text(text.replace("dropout_rate = 0.4", "dropout_rate = 0.4 "))
    monkeypatch.setattr(registry, "EMBEDDED_FOLDER", tmp_path / "nothing")
    result, document = explain()
    assert result.exit_code == 1
    assert differing(document) == {"pack": {"pack_checksum"}}


def test_other_limits_under_the_same_version_show_in_the_outcome(
    explain, scored: Scored, tmp_path: Path, monkeypatch
) -> None:
    strict = tmp_path / "profiles.toml"
    text = EMBEDDED_PROFILES.read_text()
    strict.write_text(re.sub(r"^(accept_at|review_at) = .*$", r"\1 = 99.9", text, flags=re.M))
    monkeypatch.setenv("SERFIQ_PROFILES_PATH", str(strict))
    result, document = explain()
    assert result.exit_code == 1
    assert {"verdict", "reasons"} & differing(document)["outcome"]
    assert "profile" not in differing(document)


# --- what cannot be carried out


def explained_by_main(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str | Path
) -> tuple[object, str]:
    monkeypatch.setattr(sys, "argv", ["serfiq", "explain", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        command_line.main()
    return caught.value.code, capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "status", "complaint"),
    [
        ({"pack": "elsewhere"}, 2, "no pack named 'elsewhere'"),
        ({"profile": "gala"}, 2, "'gala', is not among those here: enrolment"),
        ({"record_version": 1}, 2, "of version 1"),
        ({"verdict": "maybe"}, 2, "damaged: verdict"),
        ({"passes": 2}, 2, "passes"),
        ({"aligned": True}, 3, "512×512"),
    ],
)
def test_what_cannot_be_repeated_says_why(
    scored: Scored, tmp_path: Path, capsys, monkeypatch, changes, status, complaint
) -> None:
    path = tmp_path / "record.json"
    path.write_text(json.dumps({**scored.record, **changes}))
    code, errors = explained_by_main(capsys, monkeypatch, path, "--image", scored.photograph)
    assert code == status
    assert complaint in " ".join(errors.split())


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"\xff\xfe\x00", b"\x00" * 100])
def test_a_damaged_file_is_said_to_be_one(
    scored: Scored, tmp_path: Path, capsys, monkeypatch, content
) -> None:
    path = tmp_path / "record.json"
    path.write_bytes(content)
    code, errors = explained_by_main(capsys, monkeypatch, path, "--image", scored.photograph)
    assert code == 2
    assert errors.startswith("serfiq: ")
    assert len(errors.splitlines()) == 1


def test_an_image_that_is_none_is_a_failure(
    scored: Scored, tmp_path: Path, capsys, monkeypatch
) -> None:
    path, image = tmp_path / "record.json", tmp_path / "photo.jpg"
    path.write_text(scored.line)
    image.write_bytes(io.BytesIO(b"<html>").getvalue())
    code, errors = explained_by_main(capsys, monkeypatch, path, "--image", image)
    assert code == 3
    assert "serfiq: " in errors


@pytest.mark.parametrize("arguments", [(), ("-",), ("absent.json", "--image", "absent.jpg")])
def test_a_wrong_call_is_status_2(arguments) -> None:
    assert run("explain", *arguments).exit_code == 2
