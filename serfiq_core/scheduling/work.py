"""How much work a capture will be, known from the beginning of its file.

The unit is what it takes to prepare a capture of up to `UNIT_PIXELS`. Above that decoding grows
with the pixels, and detection soon stops to grow, since a detector looks at a large photograph at a
reduced size. Scoring is left out: a batch shares it.

Measured with `Preparation.prepare` and the detector of the embedded pack, one thread, medians of
seven, over the 640×480 JPEG (27 ms of a core, nearly all of it detection):

    |      | 250×250 | 640×480 | 1632×1224 | 4000×3000 |
    | JPEG |     0.4 |     1.0 |       1.6 | 2.1, or 4.6 when a small face has it decoded in full |
    | WebP |     0.4 |     1.1 |       2.2 |       7.7 |
    | PNG  |     0.5 |     1.2 |       3.2 |      11.5 |
    | BMP  |     0.3 |     1.0 |       1.4 |       3.4 |
"""

from serfiq_core.decode import MAXIMUM_PIXELS
from serfiq_core.errors import CaptureError
from serfiq_core.image_header import dimensions, format_of

LEAST_WORK = 1.0
"""Of any capture, in units. What is refused for its header costs less, and is gone at once."""

GRADIENT_WORK = 2.5
"""Of a gradient map, which no batch shares: 66 ms of a core with a MobileFaceNet, measured where a
unit takes 27."""

UNIT_PIXELS = 300_000
"""About 640×480, the least that cameras at desks deliver."""

WORK_PER_MEGAPIXEL = {"JPEG": 0.3, "WEBP": 0.6, "PNG": 0.9, "BMP": 0.2}
"""Above the first unit, by type: lines through the last column of the table, the dearer JPEG."""


def work_of(head: bytes | None) -> float:
    """Units of work, at least `LEAST_WORK`.

    An image that hides how large it is counts as the dearest that it may be: a lossless WebP of 40
    megapixels can have 38 bytes.

    Args:
        head: the first `HEAD_BYTES` of the image, or all of them; None when it was not found
            where it should be.
    """
    if head is None:
        return max(_work(image_format, MAXIMUM_PIXELS) for image_format in WORK_PER_MEGAPIXEL)
    try:
        image_format, size = format_of(head), dimensions(head)
    except CaptureError:
        return LEAST_WORK
    pixels = MAXIMUM_PIXELS if size is None else size[0] * size[1]
    return LEAST_WORK if pixels > MAXIMUM_PIXELS else _work(image_format, pixels)


def _work(image_format: str, pixels: int) -> float:
    return LEAST_WORK + WORK_PER_MEGAPIXEL[image_format] * max(0, pixels - UNIT_PIXELS) / 1e6
