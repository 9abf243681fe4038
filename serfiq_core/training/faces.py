"""Photographs as aligned faces, a batch at a time: what a recogniser is fitted on.

This file knows no recogniser. It keeps no more than `CHUNK` photographs at a time.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from serfiq_core.errors import CaptureError, EngineError
from serfiq_core.evaluation.subjects import Photograph
from serfiq_core.types import AlignedFace, Preparer

BATCH = 32
"""Faces given at once."""

CHUNK = 256
"""Photographs prepared at a time, so that no worker waits for the recogniser."""

Skipped = Callable[[Photograph, str], None]
FaceBatch = tuple[list[Photograph], list[AlignedFace]]


def face_batches(
    photographs: Sequence[Photograph],
    preparer: Preparer,
    *,
    workers: int,
    skipped: Skipped = lambda _photograph, _why: None,
    advance: Callable[[int], None] = lambda _count: None,
) -> Iterator[FaceBatch]:
    """The largest face of each photograph that has one, with the photograph.

    Args:
        photographs: to read, in this order.
        preparer: safe from so many threads as there are `workers`.
        workers: photographs prepared at a time.
        skipped: told each photograph that gives no face, and why.
        advance: told how many more photographs are done.
    """
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(photographs), CHUNK):
            chunk = photographs[start : start + CHUNK]
            faces = list(pool.map(lambda each: _face(each, preparer), chunk))
            found: list[tuple[Photograph, AlignedFace]] = []
            for photograph, face in zip(chunk, faces, strict=True):
                if isinstance(face, str):
                    skipped(photograph, face)
                else:
                    found.append((photograph, face))
            for first in range(0, len(found), BATCH):
                batch = found[first : first + BATCH]
                yield [photograph for photograph, _ in batch], [face for _, face in batch]
            advance(len(chunk))


def _face(photograph: Photograph, preparer: Preparer) -> AlignedFace | str:
    """A face, or why there is none."""
    try:
        aligned = preparer.prepare(photograph.path.read_bytes()).aligned
    except (CaptureError, EngineError) as error:
        return str(error)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return "no face was found" if aligned is None else aligned
