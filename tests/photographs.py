"""Photographs of faces for the tests of detection: one that is always there, and groups of many."""

from collections.abc import Sequence

import cv2
import numpy as np
import skimage.data
from PIL import Image

from serfiq_core.types import Face, Pixels, Sample

TILE_SIDE_PX = 250


def astronaut() -> Pixels:
    """512×512, one face, public domain; both eyes between x 190 and 260, y 90 and 115."""
    return np.asarray(skimage.data.astronaut())


def portrait_tiles(count: int) -> list[Pixels]:
    """`count` square portraits of the astronaut, mirrored and shifted, none like another."""
    source = astronaut()
    tiles = []
    for index in range(count):
        left, top = 80 + 5 * (index % 5), 5 * (index // 5)
        tile = source[top : top + TILE_SIDE_PX, left : left + TILE_SIDE_PX]
        tiles.append(tile[:, ::-1] if index % 2 else tile)
    return tiles


def photograph(path: object) -> Pixels:
    """The file's pixels."""
    with Image.open(str(path)) as image:
        return np.asarray(image.convert("RGB"))


def group(tiles: Sequence[Pixels], columns: int) -> Pixels:
    """One photograph of all tiles, row by row."""
    rows = [np.hstack(tiles[start : start + columns]) for start in range(0, len(tiles), columns)]
    return np.vstack(rows)


def tiles_with_a_face(faces: Sequence[Face], columns: int) -> set[int]:
    """Which tiles of a group have the middle of a face in them."""
    found = set()
    for face in faces:
        left, top, right, bottom = face.box_px
        column = (left + right) / 2 / TILE_SIDE_PX
        row = (top + bottom) / 2 / TILE_SIDE_PX
        found.add(int(row) * columns + int(column))
    return found


def enlarged(pixels: Pixels, factor: float) -> Pixels:
    """As a camera with more pixels might have seen it."""
    bigger = cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    return np.asarray(bigger, np.uint8)


def sample(pixels: Pixels) -> Sample:
    """As it comes out of decoding."""
    return Sample(pixels)
