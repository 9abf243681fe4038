"""From the bytes of a capture to the aligned face that the recogniser will see.

Composes decoding, detection, alignment and the components; it knows no recogniser, so that it may
run in another process than the one that owns the device.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import hypot
from time import perf_counter

from serfiq_core.align import align, check_aligned, enlargement
from serfiq_core.components.capture import (
    components_of,
    components_of_aligned,
    components_without_face,
)
from serfiq_core.decode import decode
from serfiq_core.types import Detector, Face, FaceChoice, PreparedCapture, Sample, Stage


class Preparation:
    """Decodes, detects, aligns and computes components. Implements `Preparer`.

    Safe to call from several threads.

    A large JPEG is decoded no larger than the detector looks at it, and once more in full when its
    face needs pixels that were left out.

    Args:
        detector: finds faces in captures that do not come aligned.
        choice: which of several faces is the capture's.
    """

    def __init__(self, detector: Detector, choice: FaceChoice = "largest") -> None:
        self._detector = detector
        self._choice = choice

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
        if self._choice == "central":
            faces = central_first(faces, sample)
        in_file = [found.scaled(sample.reduction) for found in faces]
        if sample.reduction * enlargement(in_file[0].landmarks_px) > 1:
            with _timed("decode", seconds):
                sample = decode(data)
        with _timed("align", seconds):
            face = align(sample.pixels, in_file[0].landmarks_px, sample.reduction)
        with _timed("components", seconds):
            components = components_of(sample, in_file, face)
        return PreparedCapture(len(faces), in_file[0], face, seconds, components)


def central_first(faces: Sequence[Face], sample: Sample) -> list[Face]:
    """The same faces, the one whose box lies nearest the middle of the sample put first."""
    height, width = sample.pixels.shape[:2]

    def from_middle(face: Face) -> float:
        left, top, right, bottom = face.box_px
        return hypot((left + right - width) / 2, (top + bottom - height) / 2)

    central = min(faces, key=from_middle)
    return [central, *(face for face in faces if face is not central)]


@contextmanager
def _timed(stage: Stage, seconds: dict[Stage, float]) -> Iterator[None]:
    started = perf_counter()
    yield
    seconds[stage] = seconds.get(stage, 0.0) + perf_counter() - started
