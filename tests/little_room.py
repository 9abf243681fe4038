"""A file system that is full, as far as this process can tell."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager

MOST_BYTES = 100


@contextmanager
def little_room() -> Iterator[None]:
    """Every file ends after `MOST_BYTES`, whoever writes it: Python, torch or safetensors."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MOST_BYTES, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
