"""Freed memory is kept for the next batch, where the C library allows.

The maps of a network are megabytes each. glibc gives blocks of that size back to the system when
they are freed, and the next batch's are new pages, each of which the system clears first and faults
in: half of the time of a MobileFaceNet, measured in batches of 64 on a CPU (docs/benchmarks.md).
"""

import ctypes

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Of `mallopt(3)`."""

NEVER = 2**31 - 1


def keep_freed_memory() -> bool:
    """From now on blocks of every size come from the heap, and the heap does not shrink.

    Returns whether the C library knows how; only glibc does.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(M_MMAP_MAX, 0) and mallopt(M_TRIM_THRESHOLD, NEVER))
