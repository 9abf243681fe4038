"""Photographs on disk as prepared captures.

One without a face is named and left out. That a worker died or was too slow says nothing of the
photograph: it is tried again, and then ends the run, so that none is left out for it.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from serfiq_core.errors import CaptureError, EngineError, PreparationFailedError
from serfiq_core.types import AlignedFace, PreparedCapture, Preparer

Skipped = Callable[[str, str], None]
"""Called with the name of each photograph that gives no face, and why it does not."""


def skip_silently(_name: str, _why: str) -> None:
    """What `Skipped` is where nobody wants to know."""


def prepare_or_again(path: Path, data: bytes, preparer: Preparer) -> PreparedCapture:
    """Prepare `data`, the content of `path`; once more where a worker died or was too slow.

    Raises:
        CaptureError: the photograph cannot be decoded.
        PreparationFailedError: it could not be prepared, for no reason that lies in it.
    """
    try:
        return preparer.prepare(data)
    except EngineError:
        pass
    try:
        return preparer.prepare(data)
    except EngineError as error:
        message = f"{path} could not be prepared in two attempts: {error}"
        raise PreparationFailedError(message) from error


def capture_with_face(path: Path, preparer: Preparer) -> tuple[PreparedCapture, AlignedFace] | str:
    """The capture and its largest face, or why there is none.

    Raises:
        PreparationFailedError: as for `prepare_or_again`.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    try:
        capture = prepare_or_again(path, data, preparer)
    except CaptureError as error:
        return str(error)
    return "no face was found" if capture.aligned is None else (capture, capture.aligned)


def captures_with_face(
    preparer: Preparer, paths: Iterable[Path], skipped: Skipped = skip_silently
) -> Iterator[tuple[Path, PreparedCapture, AlignedFace]]:
    """Those that show a face, one after the other.

    Raises:
        PreparationFailedError: as for `prepare_or_again`.
    """
    for path in paths:
        found = capture_with_face(path, preparer)
        if isinstance(found, str):
            skipped(str(path), found)
        else:
            yield path, *found
