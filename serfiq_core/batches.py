"""Many photographs or faces, a batch at a time. This file knows nothing of either."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

BATCH = 32
"""Faces scored at once."""

CHUNK = 256
"""Photographs prepared at a time, so that no worker waits for the recogniser. Where measurements
are stored as they are made, an interruption loses no more than these."""

Item = TypeVar("Item")


def batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """`items` in their order, `size` at a time. Python has it from 3.12 on."""
    left = iter(items)
    while batch := list(islice(left, size)):
        yield batch
