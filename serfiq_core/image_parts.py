"""How many parts an image file is made of.

Pillow walks over the chunks of a PNG, and over the segments of a JPEG in front of its first scan,
in Python: a file of nothing but empty ones takes seconds for each ten megabytes, however small its
image is. Here they are counted first, and no further than to the bound.
"""

import re

from serfiq_core.errors import UndecodableImageError

MAXIMUM_PNG_CHUNKS = 10_000
"""libpng writes one for each 8 KB of pixels: 1,300 in 10 MB."""

MAXIMUM_JPEG_STEPS = 1_000
"""Segments in front of the first scan, and bytes between them that belong to none. Cameras write
ten to twenty segments; a colour profile in pieces and a large XMP packet may take some hundred."""

START_OF_SCAN, END_OF_IMAGE = 0xDA, 0xD9

MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
"""The next one in a scan, where a zero or a restart number follows every other 0xff."""

MAXIMUM_JPEG_SCANS = 100
"""Progressive encoders write about ten per image. Each scan costs a walk over all pixels whatever
its length, so that 10 MiB of empty ones would keep a core busy for more than an hour."""

STANDALONE_MARKERS = frozenset((0x01, *range(0xD0, 0xDA)))
"""TEM, RST0 to RST7, SOI, EOI: no length follows (ITU-T T.81, table B.1)."""


def check_parts(data: bytes, image_format: str) -> None:
    """Refuse a file that is made of far more parts than any camera or program writes.

    Raises:
        UndecodableImageError: a PNG of more than `MAXIMUM_PNG_CHUNKS`, a JPEG of more than
            `MAXIMUM_JPEG_STEPS` or `MAXIMUM_JPEG_SCANS`.
    """
    if image_format == "PNG":
        _check_chunks(data)
    elif image_format == "JPEG":
        _check_segments(data)
        _check_scans(data)


def _check_chunks(data: bytes) -> None:
    position = 8
    for _ in range(MAXIMUM_PNG_CHUNKS):
        if position + 8 > len(data):
            return
        if data[position + 4 : position + 8] == b"IEND":  # data after IEND is not part of the image
            return
        position += 12 + int.from_bytes(data[position : position + 4], "big")
    raise UndecodableImageError(f"the PNG file has more than {MAXIMUM_PNG_CHUNKS} chunks")


def _check_segments(data: bytes) -> None:
    position = 2
    for _ in range(MAXIMUM_JPEG_STEPS):
        if position + 4 > len(data):
            return
        marker = data[position + 1]
        if data[position] != 0xFF or marker in (0x00, 0xFF):
            position += 1
        elif marker == START_OF_SCAN:
            return
        elif marker in STANDALONE_MARKERS:
            position += 2
        else:
            position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    raise UndecodableImageError(
        f"the JPEG file has more than {MAXIMUM_JPEG_STEPS} segments in front of its image"
    )


def _check_scans(data: bytes) -> None:
    """Up to the end of the image: telephones append a video to it."""
    position, scans = 2, 0
    for _ in range(MAXIMUM_JPEG_STEPS):
        found = MARKER.search(data, position)
        if found is None:
            return
        marker, position = data[found.end() - 1], found.end()
        # Before the first scan, EOI only ends a tables-only image; decoders continue after it.
        if marker == END_OF_IMAGE and scans:
            return
        scans += marker == START_OF_SCAN
        if scans > MAXIMUM_JPEG_SCANS:
            break
        if marker not in STANDALONE_MARKERS:
            position += int.from_bytes(data[position : position + 2], "big")
    raise UndecodableImageError(
        f"the JPEG file has more than {MAXIMUM_JPEG_SCANS} scans, or {MAXIMUM_JPEG_STEPS} segments"
    )
