"""The published weights of MTCNN, out of the package `mtcnn` 1.0.0 (MIT licence).

That package is found, never imported: importing it needs TensorFlow. Its files are joblib pickles,
so that reading them runs whatever they say; they are read only from bytes whose SHA-256 is that of
the released file.
"""

import hashlib
import importlib.metadata
import io
from collections.abc import Sequence
from pathlib import Path

import joblib
import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from serfiq_core.detection.mtcnn_networks import MapLinear
from serfiq_core.errors import ChecksumError, WeightsError

DISTRIBUTION = "mtcnn"
FOLDER = "mtcnn/assets/weights"
SHA256 = {
    "pnet.lz4": "ea6b0c3e685ebee3165326ad6484acc95f2ef78f1c94fbf40a55704fa989f7b5",
    "rnet.lz4": "cb00e6460f3c98b0bfafaba3c0a0ded4bdf6e62cee7174d969e8670d7e757fee",
    "onet.lz4": "94f6ea2f4cf985275ee958cdd762d17b6009348a4fb9d8c6be39ba73ffd22ca3",
}
"""Of the release 1.0.0."""

Array = npt.NDArray[np.float32]


def fill(network: nn.Module, name: str) -> None:
    """Load the published weights `name`, a key of `SHA256`, into `network`.

    Raises:
        WeightsError: the package is not installed, or without this file.
        ChecksumError: the file is not the released one.
    """
    arrays: Sequence[Array] = joblib.load(io.BytesIO(_verified_bytes(name)))
    waiting = iter(arrays)
    with torch.no_grad():
        for layer in network.modules():
            for parameter in layer.parameters(recurse=False):
                parameter.copy_(torch.from_numpy(_arranged(next(waiting), layer)))
    network.eval().requires_grad_(False)


def _verified_bytes(name: str) -> bytes:
    try:
        located = importlib.metadata.distribution(DISTRIBUTION).locate_file(f"{FOLDER}/{name}")
        data = Path(str(located)).read_bytes()
    except (importlib.metadata.PackageNotFoundError, OSError) as error:
        raise WeightsError(
            f"MTCNN's {name} cannot be read; install the package {DISTRIBUTION}==1.0.0"
        ) from error
    found = hashlib.sha256(data).hexdigest()
    if found != SHA256[name]:
        raise ChecksumError(
            f"MTCNN's {name} is not the one of {DISTRIBUTION} 1.0.0: SHA-256 is {found}, "
            f"not {SHA256[name]}"
        )
    return data


def _arranged(array: Array, layer: nn.Module) -> Array:
    """A Keras array in the order of dimensions that PyTorch has for the same parameter."""
    if array.ndim == 4:  # a convolution: height, width, inputs, outputs
        return np.ascontiguousarray(array.transpose(3, 2, 0, 1))
    if array.ndim == 2 and isinstance(layer, MapLinear):
        channels, height, width = layer.map_shape
        # Trained on maps that were flattened as width, height, channels.
        kernel = array.reshape(width, height, channels, -1)
        return np.ascontiguousarray(kernel.transpose(3, 2, 1, 0)).reshape(array.shape[::-1])
    if array.ndim == 2:  # inputs, outputs
        return np.ascontiguousarray(array.T)
    return array.reshape(-1)  # biases and PReLU slopes
