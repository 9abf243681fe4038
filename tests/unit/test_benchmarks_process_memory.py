"""Memory as /proc tells it, of processes whose size is known."""

import os
import subprocess
import sys

import pytest

from benchmarks.process_memory import MemorySampler, growth, resident_bytes_of_tree
from tests.http.service import wait_until

MIB = 1024 * 1024

HOLD = """
held = bytearray(int({size}))
held[::4096] = b"x" * len(held[::4096])
{then}
print("held", flush=True)
input()
"""

SPAWN = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {child!r}], stdout=subprocess.PIPE)
child.stdout.readline()
"""


@pytest.fixture
def holding():
    """Starts a process that holds this much memory, and a child that holds as much if asked."""
    started = []

    def start(size, child_size=None):
        child = HOLD.format(size=child_size, then="")
        then = "" if child_size is None else SPAWN.format(child=child)
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD.format(size=size, then=then)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        started.append(process)
        assert process.stdout.readline() == b"held\n"
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.communicate(b"\n")


def test_a_process_of_a_known_size(holding):
    small = resident_bytes_of_tree(holding(0).pid)
    large = resident_bytes_of_tree(holding(64 * MIB).pid)
    assert large - small == pytest.approx(64 * MIB, abs=4 * MIB)


def test_children_count(holding):
    alone = resident_bytes_of_tree(holding(0).pid)
    with_child = resident_bytes_of_tree(holding(0, child_size=32 * MIB).pid)
    assert with_child > alone + 32 * MIB


def test_a_name_with_blanks_and_brackets_is_read_like_any_other(holding, tmp_path):
    python = tmp_path / "py) 1 (2"
    python.symlink_to(sys.executable)
    process = subprocess.Popen(
        [python, "-c", "print('up', flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout.readline() == b"up\n"
    assert resident_bytes_of_tree(process.pid) > MIB
    process.communicate(b"\n")


def test_a_process_that_is_gone_holds_nothing(holding):
    process = holding(0)
    process.communicate(b"\n")
    assert resident_bytes_of_tree(process.pid) == 0


def test_the_sampler_looks_until_its_end():
    with MemorySampler(os.getpid(), interval_seconds=0.0) as memory:
        wait_until(lambda: len(memory.samples) >= 3)
    looks = len(memory.samples)
    assert min(memory.samples) > MIB
    assert len(memory.samples) == looks


def test_growth_compares_the_last_quarter_with_the_second():
    assert growth([1, 1, 100, 100, 900, 900, 150, 150]) == 1.5
    assert growth([90, 100, 100, 100]) == 1.0
