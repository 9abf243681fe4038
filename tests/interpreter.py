"""Triton's interpreter, which computes with NumPy: see `interpreted_kernels.py`."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.conftest import REPOSITORY


def interpret(inputs: dict[str, torch.Tensor], folder: Path) -> dict[str, torch.Tensor]:
    """What `interpreted_kernels.py` makes of them, in a process of its own."""
    if importlib.util.find_spec("triton") is None:
        pytest.skip("needs triton, which torch's CPU builds do not bring")
    save_file(inputs, folder / "inputs")
    files = [str(folder / name) for name in ("inputs", "outputs")]
    command = [sys.executable, "-m", "tests.interpreted_kernels", *files]
    subprocess.run(command, cwd=REPOSITORY, check=True)
    return load_file(folder / "outputs")
