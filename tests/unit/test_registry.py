from pathlib import Path

import pytest

from serfiq_core.errors import ConfigurationError, ManifestError, PackError, PackNotFoundError
from serfiq_core.packs.registry import (
    EMBEDDED_FOLDER,
    default_packs_dir,
    find_pack,
    pack_folders,
    staged_pack,
)
from tests.small_packs import small_manifest, write_small_pack


def test_embedded_and_installed_packs_are_found_by_name(tmp_path: Path) -> None:
    write_small_pack(tmp_path)
    assert pack_folders(tmp_path) == {
        "compact": EMBEDDED_FOLDER / "compact",
        "small": tmp_path / "small",
    }
    assert find_pack("small", tmp_path).manifest == small_manifest()
    assert find_pack("compact", tmp_path / "absent").manifest.name == "compact"


def test_a_missing_pack_is_answered_with_those_there_are(tmp_path: Path) -> None:
    write_small_pack(tmp_path)
    with pytest.raises(PackNotFoundError, match=r"'big'.*compact, small.*packs pull") as caught:
        find_pack("big", tmp_path)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("name", ["../small", "", ".", "..", "/"])
def test_a_name_reaches_no_other_folder(tmp_path: Path, name: str) -> None:
    write_small_pack(tmp_path)
    with pytest.raises(PackNotFoundError):
        find_pack(name, tmp_path / "packs")


def test_an_embedded_pack_cannot_be_shadowed(tmp_path: Path) -> None:
    write_small_pack(tmp_path, "compact")
    assert find_pack("compact", tmp_path).folder == EMBEDDED_FOLDER / "compact"


def test_a_broken_pack_is_found_and_complained_of(tmp_path: Path) -> None:
    folder = write_small_pack(tmp_path)
    (folder / "pack.toml").write_text("name = 'small'")
    assert "small" in pack_folders(tmp_path)
    with pytest.raises(ManifestError, match="files is missing"):
        find_pack("small", tmp_path)


def test_a_pack_appears_when_its_block_ends_and_not_before(tmp_path: Path) -> None:
    packs_dir = tmp_path / "not" / "yet" / "there"
    with staged_pack("small", packs_dir) as folder:
        (folder / "pack.toml").write_text("name = 'small'")
        assert "small" not in pack_folders(packs_dir)
    assert [path.name for path in packs_dir.iterdir()] == ["small"]
    assert (packs_dir / "small" / "pack.toml").read_text() == "name = 'small'"


class Interruption(BaseException):
    """Like KeyboardInterrupt, which pytest would take for its own."""


@pytest.mark.parametrize("failure", [PackError, Interruption])
def test_nothing_stays_of_a_pack_that_failed(tmp_path: Path, failure: type[BaseException]) -> None:
    def fail_halfway() -> None:
        with staged_pack("small", tmp_path) as folder:
            (folder / "recogniser.onnx").write_bytes(b"half")
            raise failure

    with pytest.raises(failure):
        fail_halfway()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["small", "compact", "../x", ".hidden", ""])
def test_names_that_are_taken_or_no_names_are_refused(tmp_path: Path, name: str) -> None:
    write_small_pack(tmp_path)
    with pytest.raises(PackError), staged_pack(name, tmp_path):
        pytest.fail("the block must not run")


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    in_the_way = tmp_path / "packs"
    in_the_way.write_text("a file")
    with (
        pytest.raises(PackError, match="cannot be written") as caught,
        staged_pack("x", in_the_way),
    ):
        pytest.fail("the block must not run")
    assert str(in_the_way) in str(caught.value)


def test_packs_lie_in_the_data_folder_of_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert default_packs_dir() == tmp_path / ".local" / "share" / "serfiq" / "packs"
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    assert default_packs_dir() == tmp_path / ".local" / "share" / "serfiq" / "packs"
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert default_packs_dir() == tmp_path / "data" / "serfiq" / "packs"


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError

    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    with pytest.raises(ConfigurationError, match="SERFIQ_PACKS_DIR"):
        default_packs_dir()
