"""Making images smaller without aliasing."""

import cv2
import numpy as np

from serfiq_core.types import Pixels


def averaged(pixels: Pixels, block: int) -> Pixels:
    """Each `block × block` pixels become their mean; what is left at the right and bottom goes.

    Many times faster than an arbitrary factor: 5 ms instead of 76 for 12 megapixels.
    """
    if block == 1:
        return pixels
    columns, rows = pixels.shape[1] // block, pixels.shape[0] // block
    whole = pixels[: rows * block, : columns * block]
    return resized(whole, (columns, rows))


def resized(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """To `size`, width and height: averaged where it shrinks, interpolated where it grows."""
    method = cv2.INTER_AREA if size[0] < pixels.shape[1] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, size, interpolation=method), np.uint8)


def halved(pixels: Pixels) -> list[Pixels]:
    """The image, its half, the half of that, and so on down to the last with a pixel."""
    halves = [pixels]
    while min(halves[-1].shape[:2]) > 1:
        halves.append(averaged(halves[-1], 2))
    return halves
