"""An adapted head on disk: `matrix` `E × C` and `bias` `E`, safetensors.

It takes the place of the matrix and the bias that a recogniser's own file leads to; how they were
found is no business of this file (`serfiq_core/training/adapt_head.py`).
"""

from pathlib import Path

import safetensors
import safetensors.torch

from serfiq_core.errors import WeightsError
from serfiq_core.recognition.head import AffineHead
from serfiq_core.recognition.weights import read_state_dict

NAMES = frozenset({"matrix", "bias"})


def read_adapted_head(path: Path, head: AffineHead) -> AffineHead:
    """`head` with the matrix and the bias of a file.

    Raises:
        WeightsError: the file is missing or damaged, or its head does not fit.
    """
    state = read_state_dict(path)
    if state.keys() != NAMES:
        raise WeightsError(f"{path.name} must hold matrix and bias, not {', '.join(sorted(state))}")
    return head.refitted(state["matrix"], state["bias"])


def write_adapted_head(head: AffineHead, path: Path) -> None:
    """Write what `read_adapted_head` reads back.

    Raises:
        WeightsError: the file cannot be written.
    """
    tensors = {"matrix": head.matrix, "bias": head.bias}
    kept = {name: tensor.float().cpu().contiguous() for name, tensor in tensors.items()}
    try:
        path.write_bytes(safetensors.torch.save(kept))
    except OSError as error:
        raise WeightsError(f"{path.name} cannot be written: {error}") from error
