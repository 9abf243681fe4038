"""A file is the new one or the old one, and never a part of it."""

import os
import stat
import threading
from pathlib import Path

import pytest

from serfiq_core.whole_files import (
    UNFINISHED,
    appearing_together,
    appearing_whole,
    remove_unfinished,
)
from tests.little_room import little_room


def test_a_file_takes_the_place_of_an_earlier_one_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text("earlier")
    with appearing_whole(path) as unfinished:
        unfinished.write_text("new")
        assert path.read_text() == "earlier"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_what_is_not_completed_leaves_the_earlier_one(
    tmp_path: Path, error: type[BaseException]
) -> None:
    path = tmp_path / "scores.csv"
    path.write_text("earlier")

    def fail() -> None:
        with appearing_whole(path) as unfinished:
            unfinished.write_text("ne")
            raise error

    with pytest.raises(error):
        fail()
    assert path.read_text() == "earlier"
    assert list(tmp_path.iterdir()) == [path]


def test_where_there_is_no_room_the_earlier_one_stays(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text("earlier")
    with (
        pytest.raises(OSError, match="too large"),
        little_room(),
        appearing_whole(path) as unfinished,
    ):
        unfinished.write_text("new" * 1000)
    assert path.read_text() == "earlier"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_as_others_are_and_a_private_one_is_for_its_owner(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.touch()
    for private in (False, True):
        path = tmp_path / "file"
        with appearing_whole(path, private=private) as unfinished:
            assert unfinished.parent.stat().st_mode & 0o077 == 0
            unfinished.write_text("new")
        expected = 0o600 if private else stat.S_IMODE(plain.stat().st_mode)
        assert stat.S_IMODE(path.stat().st_mode) == expected


def test_the_mode_of_an_earlier_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    path.chmod(0o640)
    with appearing_whole(path) as unfinished:
        unfinished.write_text("new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_what_a_process_left_that_was_killed_can_be_removed(tmp_path: Path) -> None:
    (tmp_path / "kept").touch()
    (tmp_path / f"{UNFINISHED}a1b2").mkdir()
    (tmp_path / f"{UNFINISHED}a1b2" / "file").write_text("half of it")
    remove_unfinished(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    target, link = tmp_path / "elsewhere" / "target", tmp_path / "link"
    target.write_text("earlier")
    link.symlink_to(target)
    with appearing_whole(link) as unfinished:
        unfinished.write_text("new")
    assert link.is_symlink()
    assert target.read_text() == "new"


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    heard: list[str] = []
    reader = threading.Thread(target=lambda: heard.append(pipe.read_text()))
    reader.start()
    with appearing_whole(pipe) as unfinished:
        unfinished.write_text("new")
    reader.join(10)
    assert heard == ["new"]
    assert pipe.is_fifo()


def test_several_appear_together(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("earlier")
    with appearing_together(tmp_path) as unfinished:
        (unfinished / "a").write_text("new")
        (unfinished / "b").write_text("new")
        assert (tmp_path / "a").read_text() == "earlier"
        assert not (tmp_path / "b").exists()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a": "new", "b": "new"}


def test_standard_output_that_is_a_pipe_is_written_to() -> None:
    """Its link leads to no file that there is."""
    reading, writing = os.pipe()
    with appearing_whole(Path(f"/dev/fd/{writing}")) as unfinished:
        unfinished.write_text("new")
    os.close(writing)
    with os.fdopen(reading) as stream:
        assert stream.read() == "new"
