"""Photographs on disk as prepared captures. One without a face is told of, and stops nothing."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from serfiq_core.errors import CaptureError, EngineError
from serfiq_core.types import AlignedFace, PreparedCapture, Preparer

Skipped = Callable[[Path, str], None]
"""Told each file that gives no face, and why."""


def skip_silently(_path: Path, _why: str) -> None:
    """What `Skipped` is where nobody wants to know."""


def capture_with_face(path: Path, preparer: Preparer) -> tuple[PreparedCapture, AlignedFace] | str:
    """The capture and its largest face, or why there is none."""
    try:
        capture = preparer.prepare(path.read_bytes())
    except (CaptureError, EngineError) as error:
        return str(error)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return "no face was found" if capture.aligned is None else (capture, capture.aligned)


def captures_with_face(
    preparer: Preparer, paths: Iterable[Path], skipped: Skipped = skip_silently
) -> Iterator[tuple[Path, PreparedCapture, AlignedFace]]:
    """Those that show a face, one after the other."""
    for path in paths:
        found = capture_with_face(path, preparer)
        if isinstance(found, str):
            skipped(path, found)
        else:
            yield path, *found
