"""The on-top network: dropout on a recogniser's embeddings, where nothing else can be reached.

Terhörst et al., CVPR 2020, section 4: five layers of E, 128, 512, E and as many values as there are
identities, dropout 0.5 and tanh throughout. The last layer is there in training only. So a
stochastic embedding is `tanh(A₃ d tanh(A₂ d tanh(A₁ d x)))`, with `d` a fresh dropout in front of
each layer. It is not affine: it is always sampled, and has no closed form.

This file knows the network and its file; how it is trained is in `serfiq_core/training/on_top.py`.
"""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import nn

from serfiq_core.errors import WeightsError
from serfiq_core.recognition.weights import UNREADABLE, fill
from serfiq_core.whole_files import appearing_whole

HIDDEN = (128, 512)
"""Values of the two layers in between, whatever the embedding size."""

FORMAT = "serfiq on-top 1"
"""Of the file."""


class OnTopNetwork(nn.Module):
    """The layers that stay after training, without the dropout between them.

    Args:
        embedding_size: `E`.
    """

    def __init__(self, embedding_size: int) -> None:
        super().__init__()
        self.embedding_size = embedding_size
        widths = (embedding_size, *HIDDEN, embedding_size)
        self.layers = nn.ModuleList(nn.Linear(*ends) for ends in pairwise(widths))

    @property
    def dropped_widths(self) -> list[int]:
        """How many values dropout meets in front of each layer."""
        return [layer.in_features for layer in self.layers if isinstance(layer, nn.Linear)]

    def prepared(self, embeddings: torch.Tensor) -> torch.Tensor:
        """`N × E` → the same at length `√E`: values of variance 1, the scale that tanh is made for.

        The length of what comes in does not matter: many recognisers give it as 1.
        """
        units: torch.Tensor = nn.functional.normalize(embeddings.float())
        return units.mul(self.embedding_size**0.5)

    def forward(
        self, values: torch.Tensor, dropout: Callable[[int, torch.Tensor], torch.Tensor]
    ) -> torch.Tensor:
        """`… × E`, prepared → `… × E`; `dropout` is given the number of the layer that follows."""
        for place, layer in enumerate(self.layers):
            values = torch.tanh(layer(dropout(place, values)))
        return values


class OnTopHead:
    """Implements `StochasticHead` for the embeddings of a recogniser: `B × E`, of any length.

    Args:
        network: trained.
        dropout_rate: the rate it was trained at.
    """

    def __init__(self, network: OnTopNetwork, dropout_rate: float) -> None:
        self.network = network.eval().requires_grad_(False)
        self.dropout_rate = dropout_rate
        self.embedding_size = network.embedding_size
        self.feature_count = sum(network.dropped_widths)

    def under_masks(self, bank: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
        """The output under each mask: `bank` `m × F` → a map `B × E` → `B × m × E`."""
        masks = torch.split(bank, self.network.dropped_widths, dim=1)

        def passes(embeddings: torch.Tensor) -> torch.Tensor:
            values = self.network.prepared(embeddings)[:, None]  # B × 1 × E
            output: torch.Tensor = self.network(values, lambda place, x: x * masks[place])
            return output

        return passes


def write_on_top(head: OnTopHead, path: Path, about: dict[str, str]) -> None:
    """Write the network, its rate, and whatever else is to be known of it, as safetensors.

    Raises:
        WeightsError: the file cannot be written; an earlier one stays.
    """
    metadata = {**about, "format": FORMAT, "dropout_rate": repr(head.dropout_rate)}
    try:
        with appearing_whole(path) as unfinished:
            unfinished.write_bytes(safetensors.torch.save(head.network.state_dict(), metadata))
    except OSError as error:
        raise WeightsError(f"{path} cannot be written: {error}") from error


def read_on_top(path: Path) -> OnTopHead:
    """Read what `write_on_top` wrote.

    Raises:
        WeightsError: the file is missing, damaged, or no on-top head.
    """
    try:
        with safetensors.safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except UNREADABLE as error:
        raise WeightsError(f"{path} cannot be read as weights: {error}") from error
    if metadata.get("format") != FORMAT:
        raise WeightsError(f"{path} is no on-top head: train one with `serfiq train on-top`")
    first = state.get("layers.0.weight", torch.empty(0, 0))
    network = OnTopNetwork(first.shape[-1])
    fill(network, state, "an on-top head")
    try:
        rate = float(metadata["dropout_rate"])
    except (KeyError, ValueError) as error:
        raise WeightsError(f"{path} does not say its dropout rate") from error
    if not 0 < rate < 1:
        raise WeightsError(f"{path}: a dropout rate lies between 0 and 1, not at {rate:g}")
    return OnTopHead(network, rate)
