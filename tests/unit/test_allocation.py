"""Freed memory is kept: a block of megabytes is not faulted in anew each time."""

import subprocess
import sys

import pytest

from serfiq_core.allocation import keep_freed_memory

BLOCKS = """
import resource, sys
from ctypes import CDLL, c_void_p, c_size_t, memset
from serfiq_core.allocation import keep_freed_memory

if sys.argv[1] == "kept":
    assert keep_freed_memory()
library = CDLL(None)
library.malloc.restype, library.malloc.argtypes = c_void_p, [c_size_t]
library.free.argtypes = [c_void_p]

def faults(size, times):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        block = library.malloc(size)
        memset(block, 1, size)
        library.free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

# glibc learns from the first block that was freed, and gives up the second one all the same.
print(faults(31 * 2**20, 1), faults(31 * 2**20, 20))
"""


def page_faults(which: str) -> tuple[int, int]:
    done = subprocess.run(
        [sys.executable, "-c", BLOCKS, which], capture_output=True, text=True, check=True
    )
    first, later = map(int, done.stdout.split())
    return first, later


@pytest.mark.skipif(not keep_freed_memory(), reason="the C library has no mallopt")
def test_a_block_is_faulted_in_once() -> None:
    first, later = page_faults("kept")
    assert first > 1000
    assert later < first / 2
