"""The faces that an import is tried with."""

from collections.abc import Sequence

import skimage.data

from serfiq_core.align import align
from serfiq_core.decode import decode
from serfiq_core.detection.mtcnn import MtcnnDetector
from serfiq_core.errors import CaptureError, PackError
from serfiq_core.types import AlignedFace, Sample


def reference_faces(photographs: Sequence[bytes] = ()) -> list[AlignedFace]:
    """The largest face of each photograph, aligned; of scikit-image's portrait when none is given.

    Raises:
        PackError: a photograph cannot be decoded, or shows no face; says which, counted from 1.
    """
    detector = MtcnnDetector()
    if not photographs:
        portrait = Sample(skimage.data.astronaut())
        return [_largest_face(portrait, detector, "scikit-image's portrait")]
    faces = []
    for number, data in enumerate(photographs, 1):
        try:
            sample = decode(data)
        except CaptureError as error:
            raise PackError(f"reference photograph {number}: {error}") from error
        faces.append(_largest_face(sample, detector, f"reference photograph {number}"))
    return faces


def _largest_face(sample: Sample, detector: MtcnnDetector, called: str) -> AlignedFace:
    found = detector.detect(sample)
    if not found:
        raise PackError(f"{called} shows no face")
    return align(sample.pixels, found[0].landmarks_px)
