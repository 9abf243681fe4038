"""One process at a time in a folder.

The system lets go of the lock of one that has died, when all that it forked have died too.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def alone_with(folder: Path, *, wait: bool = True) -> Iterator[None]:
    """Keep all others out who ask for the same.

    Args:
        folder: to be alone with; nothing is written into it.
        wait: until others are done.

    Raises:
        BlockingIOError: somebody else is there, and `wait` is false.
        OSError: the folder is missing, or its file system has no locks.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        # Processes that were forked meanwhile hold it too.
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)
