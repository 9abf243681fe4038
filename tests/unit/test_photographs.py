"""Photographs on disk: what is told of and left out, what is tried again, and what ends a run."""

import errno
from pathlib import Path

import numpy as np
import pytest

from serfiq_core.errors import (
    DeadlineExceededError,
    PreparationFailedError,
    UndecodableImageError,
)
from serfiq_core.evaluation.subjects import Photograph
from serfiq_core.preparation.photographs import captures_with_face
from serfiq_core.training.faces import face_batches
from serfiq_core.types import PreparedCapture


class Dying:
    """Its workers die of photographs called `dies`, so often."""

    def __init__(self, times: int) -> None:
        self._left = times

    def prepare(self, data: bytes, *, aligned: bool = False) -> PreparedCapture:
        if data == b"dies" and self._left:
            self._left -= 1
            raise DeadlineExceededError("The capture took too long to prepare.")
        if data == b"broken":
            raise UndecodableImageError("the image ends early")
        return PreparedCapture(1, None, np.zeros((112, 112, 3), np.uint8))


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    for name in ("sound", "broken", "dies"):
        (tmp_path / name).write_bytes(name.encode())
    return [tmp_path / name for name in ("sound", "broken", "absent", "dies")]


def test_those_without_a_face_are_told_of_and_stop_nothing(paths: list[Path]) -> None:
    told: dict[str, str] = {}
    found = captures_with_face(Dying(times=0), paths, lambda name, why: told.update({name: why}))
    assert [path.name for path, _, _ in found] == ["sound", "dies"]
    assert told == {
        str(paths[1]): "the image ends early",
        str(paths[2]): "cannot be read: No such file or directory",
    }


def test_an_error_of_the_machine_is_none_of_the_photograph(paths: list[Path]) -> None:
    class Exhausted:
        def prepare(self, data: bytes, *, aligned: bool = False) -> PreparedCapture:
            raise OSError(errno.ENOMEM, "Cannot allocate memory")

    with pytest.raises(OSError, match="allocate"):
        list(captures_with_face(Exhausted(), paths))


def test_one_whose_worker_dies_once_is_tried_again(paths: list[Path]) -> None:
    found = captures_with_face(Dying(times=1), paths)
    assert [path.name for path, _, _ in found] == ["sound", "dies"]


def test_one_whose_workers_die_twice_ends_the_run(paths: list[Path]) -> None:
    with pytest.raises(PreparationFailedError, match=r"dies could not be prepared in two attempts"):
        list(captures_with_face(Dying(times=2), paths))


@pytest.mark.parametrize("times", [1, 2])
def test_a_training_loses_none_to_a_worker_that_dies(paths: list[Path], times: int) -> None:
    photographs = [Photograph(path, path.name, "a") for path in paths]
    batches = face_batches(photographs, Dying(times), workers=2)
    if times == 2:
        with pytest.raises(PreparationFailedError, match="two attempts: The capture took too long"):
            list(batches)
    else:
        assert [each.name for shown, _ in batches for each in shown] == ["sound", "dies"]
