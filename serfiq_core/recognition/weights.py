"""State dicts from files, without ever unpickling what a user brings."""

import pickle
from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import nn

from serfiq_core.errors import WeightsError

StateDict = Mapping[str, torch.Tensor]

UNREADABLE = (
    OSError,
    RuntimeError,
    pickle.UnpicklingError,
    safetensors.SafetensorError,
    # What torch's restricted unpickler raises for bytes that are no pickle.
    EOFError,
    LookupError,
    ValueError,
    AttributeError,
)


def read_state_dict(path: Path) -> StateDict:
    """Read a state dict from `.safetensors`, or from a torch file holding tensors only.

    A dict nested under `state_dict` and names prefixed `module.`, as training scripts leave them,
    are understood.

    Raises:
        WeightsError: the file is missing, damaged, or holds more than tensors.
    """
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        raise WeightsError(
            f"{path.name} cannot be read as weights: {what_is_wrong(error)}"
        ) from error
    if isinstance(loaded, Mapping) and isinstance(loaded.get("state_dict"), Mapping):
        loaded = loaded["state_dict"]
    if not isinstance(loaded, Mapping) or not all(map(torch.is_tensor, loaded.values())):
        raise WeightsError(f"{path.name} holds no state dict of tensors")
    return {str(name).removeprefix("module."): tensor for name, tensor in loaded.items()}


def what_is_wrong(error: Exception) -> str:
    """In a few words, of one of `UNREADABLE`. Torch would tell how to run what a file brings."""
    if isinstance(error, pickle.UnpicklingError):
        return "it is damaged, or holds more than tensors"
    return str(error) or "it ends early"


def fill(network: nn.Module, state: StateDict, name: str) -> None:
    """Load `state` into `network`, every tensor and no other.

    Raises:
        WeightsError: names or shapes differ; says which.
    """
    expected = network.state_dict()
    # Files saved before PyTorch 0.4.1, or by safetensors converters, lack the batch counters.
    state = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    wanted = {key for key in expected if not key.endswith("num_batches_tracked")}
    problems = [f"lacks {key}" for key in sorted(wanted - state.keys())]
    problems += [f"has an unknown {key}" for key in sorted(state.keys() - wanted)]
    problems += [
        f"{key} is {tuple(state[key].shape)}, not {tuple(expected[key].shape)}"
        for key in sorted(wanted & state.keys())
        if state[key].shape != expected[key].shape
    ]
    if problems:
        shown = "; ".join(problems[:3])
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise WeightsError(f"the weights are not those of {name}: the file {shown}{more}")
    network.load_state_dict(dict(state), strict=False)
    network.eval().requires_grad_(False)
