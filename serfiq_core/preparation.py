"""From the bytes of a capture to the aligned face that the recogniser will see.

Composes decoding, detection and alignment; it knows no recogniser, so that it may run in another
process than the one that owns the device.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

from serfiq_core.align import align, check_aligned
from serfiq_core.decode import decode
from serfiq_core.types import Detector, PreparedCapture, Stage


class Preparation:
    """Decodes, detects and aligns. Implements `Preparer`; safe to call from several threads.

    Args:
        detector: finds faces in captures that do not come aligned.
    """

    def __init__(self, detector: Detector) -> None:
        self._detector = detector

    def prepare(self, data: bytes, *, aligned: bool = False) -> PreparedCapture:
        """As `Preparer.prepare`."""
        seconds: dict[Stage, float] = {}
        with _timed("decode", seconds):
            sample = decode(data)
        if aligned:
            return PreparedCapture(None, None, check_aligned(sample), seconds)
        with _timed("detect", seconds):
            faces = self._detector.detect(sample)
        if not faces:
            return PreparedCapture(0, None, None, seconds)
        with _timed("align", seconds):
            largest = align(sample.pixels, faces[0].landmarks_px)
        return PreparedCapture(len(faces), faces[0], largest, seconds)


@contextmanager
def _timed(stage: Stage, seconds: dict[Stage, float]) -> Iterator[None]:
    started = perf_counter()
    yield
    seconds[stage] = perf_counter() - started
