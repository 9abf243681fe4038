"""How much memory a process and its children hold, read from Linux's /proc.

Resident pages are counted in each process that maps them: what a tree shares counts several times.
"""

import os
import statistics
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Self

PROC = Path("/proc")

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

INTERVAL_SECONDS = 0.5
"""Between two looks. One reads a line per process of the machine: a millisecond or two."""

PARENT, RESIDENT_PAGES = 1, 21
"""Where the two stand in /proc/PID/stat (see proc(5)), counted from behind the command's name,
which may hold blanks and brackets of its own."""


class _Process(NamedTuple):
    parent: int
    resident_bytes: int


def resident_bytes_of_tree(root: int) -> int:
    """Resident bytes of a process, its children, and theirs; 0 when it is gone."""
    processes = _all_processes()
    tree, latest = set[int](), {root} & processes.keys()
    while latest:
        tree |= latest
        latest = {pid for pid, process in processes.items() if process.parent in latest}
    return sum(processes[pid].resident_bytes for pid in tree)


class MemorySampler:
    """Looks at a process tree in regular intervals, from its entry to its exit."""

    def __init__(self, root: int, interval_seconds: float = INTERVAL_SECONDS) -> None:
        self._root = root
        self._interval_seconds = interval_seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.samples: list[int] = []
        """Resident bytes, in the order of time."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        self.samples.append(resident_bytes_of_tree(self._root))
        while not self._ended.wait(self._interval_seconds):
            self.samples.append(resident_bytes_of_tree(self._root))


def growth(samples: Sequence[int]) -> float:
    """The median of the last quarter over the median of the second.

    The first quarter is left out: buffers and pools take their size in it. One sample at least in
    each quarter, so four in all.
    """
    quarter = len(samples) // 4
    settled, last = samples[quarter : 2 * quarter], samples[-quarter:]
    return statistics.median(last) / statistics.median(settled)


def _all_processes() -> dict[int, _Process]:
    processes = {}
    for entry in PROC.iterdir():
        if entry.name.isdecimal():
            try:
                line = (entry / "stat").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue  # ended since the listing
            fields = line.rpartition(")")[2].split()
            pages = int(fields[RESIDENT_PAGES])
            processes[int(entry.name)] = _Process(int(fields[PARENT]), pages * PAGE_BYTES)
    return processes
