"""From the bytes of a capture to the aligned face that the recogniser will see.

Composes decoding, detection, alignment and the components; it knows no recogniser, so that it may
run in another process than the one that owns the device.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

from serfiq_core.align import align, check_aligned, enlargement
from serfiq_core.components.capture import (
    components_of,
    components_of_aligned,
    components_without_face,
)
from serfiq_core.decode import decode
from serfiq_core.types import Detector, PreparedCapture, Stage


class Preparation:
    """Decodes, detects, aligns and computes components. Implements `Preparer`.

    Safe to call from several threads.

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
            face = check_aligned(sample)
            with _timed("components", seconds):
                components = components_of_aligned(face)
            return PreparedCapture(None, None, face, seconds, components)
        with _timed("detect", seconds):
            faces = self._detector.detect(sample)
        if not faces:
            return PreparedCapture(0, None, None, seconds, components_without_face())
        in_file = [found.scaled(sample.reduction) for found in faces]
        if sample.reduction * enlargement(in_file[0].landmarks_px) > 1:
            with _timed("decode", seconds):
                sample = decode(data)
        with _timed("align", seconds):
            face = align(sample.pixels, in_file[0].landmarks_px, sample.reduction)
        with _timed("components", seconds):
            components = components_of(sample, in_file, face)
        return PreparedCapture(len(faces), in_file[0], face, seconds, components)


@contextmanager
def _timed(stage: Stage, seconds: dict[Stage, float]) -> Iterator[None]:
    started = perf_counter()
    yield
    seconds[stage] = seconds.get(stage, 0.0) + perf_counter() - started
