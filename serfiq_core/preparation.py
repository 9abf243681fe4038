"""From the bytes of a capture to the aligned face that the recogniser will see.

Composes decoding, detection and alignment; it knows no recogniser, so that it may run in another
process than the one that owns the device.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

from serfiq_core.align import align, check_aligned, enlargement
from serfiq_core.decode import decode
from serfiq_core.types import Detector, PreparedCapture, Stage


class Preparation:
    """Decodes, detects and aligns. Implements `Preparer`; safe to call from several threads.

    A large JPEG is decoded no larger than the detector looks at it, and once more in full when its
    face needs pixels that were left out.

    Args:
        detector: finds faces in captures that do not come aligned.
    """

    def __init__(self, detector: Detector) -> None:
        self._detector = detector

    def prepare(self, data: bytes, *, aligned: bool = False) -> PreparedCapture:
        """As `Preparer.prepare`."""
        seconds: dict[Stage, float] = {}
        with _timed("decode", seconds):
            sample = decode(
                data, longer_side_px=None if aligned else self._detector.working_side_px
            )
        if aligned:
            return PreparedCapture(None, None, check_aligned(sample), seconds)
        with _timed("detect", seconds):
            faces = self._detector.detect(sample)
        if not faces:
            return PreparedCapture(0, None, None, seconds)
        largest = faces[0].scaled(sample.reduction)
        if sample.reduction * enlargement(largest.landmarks_px) > 1:
            with _timed("decode", seconds):
                sample = decode(data)
        with _timed("align", seconds):
            face = align(sample.pixels, largest.landmarks_px, sample.reduction)
        return PreparedCapture(len(faces), largest, face, seconds)


@contextmanager
def _timed(stage: Stage, seconds: dict[Stage, float]) -> Iterator[None]:
    started = perf_counter()
    yield
    seconds[stage] = seconds.get(stage, 0.0) + perf_counter() - started
