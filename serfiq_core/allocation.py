"""Freed memory is kept for the next batch, where the C library allows.

The maps of a network are megabytes each. glibc gives blocks of that size back to the system when
they are freed, and the next batch's are new pages, which the system clears and faults in one by
one. It costs up to half of the time that a MobileFaceNet takes for a batch (docs/tried.md).
"""

import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Of `mallopt(3)`."""

LARGEST_KEPT_BYTES = 32 * 2**20
"""Of one block, and the most that glibc takes here. Larger ones, such as a photograph of eight
megapixels and more, go back to the system at once."""

KEPT_BYTES = 512 * 2**20
"""At the top of the heap; whatever is free beyond that goes back to the system."""


def keep_freed_memory() -> bool:
    """Keep what is freed from now on. Returns whether the C library knows how; only glibc does."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(
        mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT_BYTES) and mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
    )
