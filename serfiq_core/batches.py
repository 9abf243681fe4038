"""Many photographs and faces, so many at a time. This file knows nothing of either."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

BATCH = 32
"""Faces scored at once."""

CHUNK = 256
"""Photographs prepared at a time, so that no worker waits for the recogniser. Of a measuring that
is stored as it goes, no more than this is lost to Ctrl-C."""

Item = TypeVar("Item")


def batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """`items` in their order, `size` at a time. Python has it from 3.12 on."""
    left = iter(items)
    while batch := list(islice(left, size)):
        yield batch
