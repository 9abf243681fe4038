"""What the device says of itself after an error: in a process of its own, which is lost with it."""

import subprocess
import sys

import pytest
import torch

from tests.conftest import REPOSITORY

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

ASK = """
import torch
from serfiq_core.gpu.cuda_graph import record
from serfiq_core.gpu.lost import is_lost

def beyond_all_memory():
    torch.empty(1 << 50, device="cuda")

def beyond_all_memory_once_recorded():
    if torch.cuda.is_current_stream_capturing():
        beyond_all_memory()

row = torch.zeros(4, device="cuda")
try:
    {fault}
except RuntimeError:
    print(is_lost(), is_lost())
"""


@pytest.mark.parametrize(
    ("fault", "lost"),
    [
        ("row[torch.tensor([4], device='cuda')].cpu()", True),  # an assertion in a kernel
        ("beyond_all_memory()", False),
        ("record(beyond_all_memory_once_recorded)", False),
        ("record(lambda: row.sum().item())", False),  # waits for the device
    ],
)
def test_only_what_ends_the_context_loses_the_device(fault, lost):
    command = [sys.executable, "-c", ASK.format(fault=fault)]
    asked = subprocess.run(command, cwd=REPOSITORY, check=False, capture_output=True, text=True)
    assert asked.stdout.split() == [str(lost)] * 2
