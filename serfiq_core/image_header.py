"""What the beginning of an image file says of itself: its type and its dimensions.

Nothing is decoded, and the time taken is bounded whatever the bytes are: this may run on an event
loop. The dimensions are what the file announces, before EXIF turns it.
"""

import struct

from serfiq_core.errors import UndecodableImageError, UnsupportedImageTypeError

HEAD_BYTES = 128 * 1024
"""Enough of a file for its dimensions: in a JPEG they follow the EXIF segment, 64 KiB at most, and
a colour profile, a few KiB but for printers."""

BMP_HEADER_SIZES = frozenset((12, 40, 52, 56, 64, 108, 124))
"""In its seven versions. `BM` alone would let in any text that begins so."""

MAXIMUM_JPEG_SEGMENTS = 256
"""Cameras write about ten segments before the frame header; tens of thousands of empty ones would
fit into `HEAD_BYTES`."""

FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""SOF0 to SOF15, which carry the dimensions; between them lie DHT, JPG and DAC (ITU-T T.81,
table B.1)."""

Size = tuple[int, int]
"""Width and height, pixels."""


def format_of(head: bytes) -> str:
    """Pillow's name of the type whose signature these bytes begin with.

    Raises:
        UnsupportedImageTypeError: they begin with none that is taken.
    """
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "WEBP"
    if head.startswith(b"BM") and int.from_bytes(head[14:18], "little") in BMP_HEADER_SIZES:
        return "BMP"
    raise UnsupportedImageTypeError(
        "the bytes are empty" if not head else "the bytes are not a JPEG, PNG, WebP or BMP image"
    )


def dimensions(head: bytes) -> Size | None:
    """Width and height; None when these bytes of a JPEG do not reach as far as they stand.

    Raises:
        UnsupportedImageTypeError: of no type that is taken.
        UndecodableImageError: there is no sound header where it must be.
    """
    match format_of(head):
        case "JPEG":
            return _jpeg_dimensions(head)
        case "PNG":
            return _png_dimensions(head)
        case "WEBP":
            return _webp_dimensions(head)
        case _:
            return _bmp_dimensions(head)


def _webp_dimensions(head: bytes) -> Size:
    """Of the canvas, RFC 9649 sections 2.5 to 2.7."""
    kind, header = head[12:16], head[20:30]
    if len(header) == 10:
        if kind == b"VP8X":
            width, height = header[4:7], header[7:10]
            return 1 + int.from_bytes(width, "little"), 1 + int.from_bytes(height, "little")
        if kind == b"VP8L":
            packed = int.from_bytes(header[1:5], "little")
            return 1 + (packed & 0x3FFF), 1 + (packed >> 14 & 0x3FFF)
        if kind == b"VP8 ":
            packed_sides: Size = struct.unpack_from("<HH", header, 6)
            return packed_sides[0] & 0x3FFF, packed_sides[1] & 0x3FFF
    raise _no_header("WEBP")


def _png_dimensions(head: bytes) -> Size:
    if len(head) < 24 or head[12:16] != b"IHDR":  # by the standard the first chunk
        raise _no_header("PNG")
    size: Size = struct.unpack_from(">II", head, 16)
    return size


def _bmp_dimensions(head: bytes) -> Size:
    if len(head) < 26:
        raise _no_header("BMP")
    oldest = int.from_bytes(head[14:18], "little") == min(BMP_HEADER_SIZES)
    width, height = struct.unpack_from("<HH" if oldest else "<ii", head, 18)
    return abs(width), abs(height)  # a negative height says that rows come from the top


def _no_header(image_format: str) -> UndecodableImageError:
    return UndecodableImageError(
        f"the {image_format} file is damaged or ends early: no image header"
    )


def _jpeg_dimensions(head: bytes) -> Size | None:
    """From the frame header, which other segments precede (ITU-T T.81, annex B)."""
    position = 2
    for _ in range(MAXIMUM_JPEG_SEGMENTS):
        if len(head) < position + 9 or head[position] != 0xFF:
            return None
        marker = head[position + 1]
        if marker in FRAME_MARKERS:
            height, width = struct.unpack_from(">HH", head, position + 5)
            return width, height
        # 0xff may be repeated in front of a marker; every other segment says how long it is.
        length = int.from_bytes(head[position + 2 : position + 4], "big")
        position += 1 if marker == 0xFF else 2 + length
    return None
