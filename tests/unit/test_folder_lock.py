"""One at a time in a folder."""

from pathlib import Path

import pytest

from serfiq_core.folder_lock import alone_with


def test_who_does_not_wait_is_refused_while_another_is_there(tmp_path: Path) -> None:
    with alone_with(tmp_path), pytest.raises(BlockingIOError), alone_with(tmp_path, wait=False):
        pass
    with alone_with(tmp_path, wait=False):
        pass


def test_others_are_let_in_when_one_fails(tmp_path: Path) -> None:
    with pytest.raises(KeyError), alone_with(tmp_path):
        raise KeyError
    with alone_with(tmp_path, wait=False):
        assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), alone_with(tmp_path / "none"):
        pass
