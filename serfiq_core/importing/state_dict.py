"""From the state dict of a network that is known here to a pack.

There is no other implementation to hold it against: that every tensor has its place, and no place
is empty, is what proves it.
"""

from collections.abc import Sequence
from pathlib import Path

import safetensors.torch
import torch

from serfiq_core.importing.new_pack import Provenance, detector_of, entry_of, write_pack
from serfiq_core.packs.manifest import StateDictFormat
from serfiq_core.packs.pack import Pack
from serfiq_core.packs.registry import refuse_taken_name
from serfiq_core.recognition.known_networks import network_of
from serfiq_core.recognition.recogniser import Preprocessing
from serfiq_core.recognition.weights import read_state_dict
from serfiq_core.types import AlignedFace

RECOGNISER_FILE = "recogniser.safetensors"


def import_state_dict_pack(
    network: StateDictFormat,
    weights: Path,
    name: str,
    packs_dir: Path,
    *,
    preprocessing: Preprocessing,
    provenance: Provenance,
    faces: Sequence[AlignedFace],
    dropout_rate: float | None = None,
    site: str | None = None,
    scrfd: Path | None = None,
) -> Pack:
    """Make a pack of a state dict, which it keeps as safetensors.

    Args:
        network: which network the weights are of.
        weights: a file of torch's that holds tensors only, or safetensors.
        faces: aligned real faces to choose the rate with, where it is not told.
        site: for `mobilefacenet`, where dropout applies; `map` when None.

    The rest is as for `import_onnx_pack`.

    Raises:
        WeightsError: the file cannot be read as weights, or they are of another network.
        PackError: the name is taken, a file cannot be read or written, `scrfd` is no such model, or
            no rate can be chosen: see `rate_for_mean_distance`.
    """
    refuse_taken_name(name, packs_dir)
    state, detector = read_state_dict(weights), detector_of(scrfd)
    loaded = network_of(network, state, site)
    entry = entry_of(
        loaded,
        preprocessing,
        dropout_rate,
        faces,
        format=network,
        file=RECOGNISER_FILE,
        site=site,
    )
    # Copies, since safetensors takes no tensors that share memory, or lie in it in another order.
    in_order = {
        key: value.clone(memory_format=torch.contiguous_format) for key, value in state.items()
    }
    content = safetensors.torch.save(in_order)
    return write_pack(name, packs_dir, provenance, entry, content, detector)
