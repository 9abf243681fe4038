import io
import stat
import warnings
import zipfile
from pathlib import Path

import pytest

from serfiq_core.errors import ArchiveError
from serfiq_core.packs.archive import extract
from tests.small_packs import zipped

LIMIT = 1_000_000


def take(archive: bytes, folder: Path, names: tuple[str, ...] = ("a.onnx",)) -> Path:
    """Extract into a fresh folder; archives reach out of it to find `folder` changed."""
    path = folder / "archive.zip"
    path.write_bytes(archive)
    target = folder / "target"
    target.mkdir()
    extract(path, names, target, limit_bytes=LIMIT)
    return target


def test_the_files_wanted_come_from_any_depth_and_no_other(tmp_path: Path) -> None:
    archive = zipped({"pack/deep/a.onnx": b"a", "pack/b.onnx": b"b", "pack/c.onnx": b"c"})
    target = take(archive, tmp_path, ("a.onnx", "b.onnx"))
    assert {path.name: path.read_bytes() for path in target.iterdir()} == {
        "a.onnx": b"a",
        "b.onnx": b"b",
    }


@pytest.mark.parametrize(
    "name",
    ["../a.onnx", "pack/../../evil", "/etc/evil", "..\\evil", "C:\\evil", "C:evil", "a\0b/evil"],
)
def test_an_archive_that_reaches_out_is_refused_whole(tmp_path: Path, name: str) -> None:
    with pytest.raises(ArchiveError, match="reaches outside"):
        take(
            zipped({"pack/a.onnx": b"a", name.replace("\0", "!"): b"evil"}).replace(
                name.replace("\0", "!").encode(), name.encode()
            ),
            tmp_path,
        )
    assert not list((tmp_path / "target").iterdir())
    assert {path.name for path in tmp_path.iterdir()} == {"archive.zip", "target"}


def special(name: str, *, mode: int = 0, compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        entry = zipfile.ZipInfo(name)
        entry.external_attr = mode << 16
        archive.writestr(entry, b"/etc/passwd", compress_type=compression)
    return buffer.getvalue()


def test_links_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="symbolic link"):
        take(special("a.onnx", mode=stat.S_IFLNK | 0o777), tmp_path)


def test_rare_packings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="a way that is not taken"):
        take(special("a.onnx", compression=zipfile.ZIP_LZMA), tmp_path)


def test_encrypted_files_are_refused(tmp_path: Path) -> None:
    plain = special("a.onnx")
    directory = plain.index(b"PK\x01\x02")
    flags = directory + 8  # of the central directory's entry, APPNOTE 4.3.12
    with pytest.raises(ArchiveError, match="encrypted"):
        take(plain[:flags] + b"\x01\x00" + plain[flags + 2 :], tmp_path)


def test_the_same_name_twice_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        archive.writestr("a.onnx", b"first")
        archive.writestr("a.onnx", b"second")
    with pytest.raises(ArchiveError, match="twice"):
        take(buffer.getvalue(), tmp_path)


def test_a_file_wanted_must_be_there_once(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=r"a\.onnx 2 times"):
        take(zipped({"x/a.onnx": b"1", "y/a.onnx": b"2"}), tmp_path)


def test_a_file_wanted_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=r"a\.onnx 0 times"):
        take(zipped({"b.onnx": b"1"}), tmp_path)


def test_a_bomb_is_refused_before_it_unpacks(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="would unpack to"):
        take(zipped({"a.onnx": bytes(LIMIT), "b.onnx": b"1"}), tmp_path)
    assert not list((tmp_path / "target").iterdir())


def test_a_bomb_that_lies_about_its_size_is_cut_off(tmp_path: Path) -> None:
    bomb = zipped({"a.onnx": bytes(10 * LIMIT)})
    size = bomb.index(b"PK\x01\x02") + 24  # uncompressed size in the central directory
    lying = bomb[:size] + (10).to_bytes(4, "little") + bomb[size + 4 :]
    with pytest.raises(ArchiveError, match="broken"):
        take(lying, tmp_path)
    assert sum(path.stat().st_size for path in (tmp_path / "target").iterdir()) <= 10


@pytest.mark.parametrize("damage", ["cut", "empty", "html", "bits"])
def test_what_is_no_sound_archive_is_refused(tmp_path: Path, damage: str) -> None:
    sound = zipped({"a.onnx": bytes(range(256)) * 40})
    middle = 30 + len("a.onnx") + 20  # in the compressed bytes
    damaged = {
        "cut": sound[:-30],
        "empty": b"",
        "html": b"<html>not found</html>",
        "bits": sound[:middle] + b"\xff\xff\xff\xff" + sound[middle + 4 :],
    }
    with pytest.raises(ArchiveError, match="broken"):
        take(damaged[damage], tmp_path)
