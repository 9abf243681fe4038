"""Photographs as aligned faces, a batch at a time: what a recogniser is fitted on.

This file knows no recogniser. It keeps no more than `CHUNK` photographs at a time.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from serfiq_core.batches import BATCH, CHUNK, batched
from serfiq_core.evaluation.subjects import Photograph
from serfiq_core.preparation.photographs import Skipped, capture_with_face, skip_silently
from serfiq_core.types import AlignedFace, Preparer

FaceBatch = tuple[list[Photograph], list[AlignedFace]]


def face_batches(
    photographs: Sequence[Photograph],
    preparer: Preparer,
    *,
    workers: int,
    skipped: Skipped = skip_silently,
    advance: Callable[[int], None] = lambda _count: None,
) -> Iterator[FaceBatch]:
    """The largest face of each photograph that has one, with the photograph.

    Args:
        photographs: to read, in this order.
        preparer: safe from so many threads as there are `workers`.
        workers: photographs prepared at a time.
        skipped: told each photograph that gives no face, and why.
        advance: called with the number of photographs finished since the last call.

    Raises:
        PreparationFailedError: a photograph could not be prepared, for no reason that lies in it.
    """
    with ThreadPoolExecutor(workers) as pool:
        for chunk in batched(photographs, CHUNK):
            answers = pool.map(lambda each: capture_with_face(each.path, preparer), chunk)
            found: list[tuple[Photograph, AlignedFace]] = []
            for photograph, answer in zip(chunk, answers, strict=True):
                if isinstance(answer, str):
                    skipped(photograph.name, answer)
                else:
                    found.append((photograph, answer[1]))
            for batch in batched(found, BATCH):
                yield [photograph for photograph, _ in batch], [face for _, face in batch]
            advance(len(chunk))
