"""Proof that an imported network computes what onnxruntime computes.

The limit is absolute, on the raw outputs, as the graph gives them: those of recognisers are of
order 1. A graph whose outputs are in the hundreds may fail here by rounding alone; nothing is
rescaled to let it pass.
"""

from pathlib import Path

import numpy as np
import onnxruntime
import torch
import torch.nn.functional as F

from serfiq_core.errors import ImportMismatchError, OnnxImportError
from serfiq_core.recognition.onnx_import.graph import model_bytes, parse_model
from serfiq_core.recognition.onnx_import.imported import ImportedNetwork

LARGEST_DIFFERENCE = 1e-4
"""Several times the rounding seen between the two (7e-6 on a MobileFaceNet, 1.5e-5 on an
IResNet-50 with outputs up to 8), and far below any change that would move a score or a match."""
ERRORS_ONLY = 3
"""onnxruntime's number for it; its warnings are about leftovers in the file."""


def random_inputs(network: ImportedNetwork, count: int = 3, seed: int = 0) -> torch.Tensor:
    """`count × 3 × H × W` float32, uniform in [−1, 1): the range preprocessed faces lie in.

    More than one image shows, too, whether the batch size was set free correctly.
    """
    generator = torch.Generator().manual_seed(seed)
    return 2.0 * torch.rand(count, 3, *network.input_size, generator=generator) - 1.0


@torch.no_grad()
def verify_against_onnxruntime(
    source: Path | bytes, network: ImportedNetwork, inputs: torch.Tensor
) -> None:
    """Compare the imported network, all inputs in one batch, with onnxruntime, one by one.

    Args:
        source: what `network` was imported from.
        network: on the CPU.
        inputs: `B × 3 × H × W` float32, preprocessed.

    Raises:
        ImportMismatchError: an output value differs by more than 1e-4, or is not a number.
        OnnxImportError: onnxruntime cannot run the model.
    """
    outputs = network.head.embed(network.backbone(inputs))
    if network.unit_output:
        outputs = F.normalize(outputs)
    expected = _run_onnxruntime(_without_training(model_bytes(source)), inputs)
    if expected.shape != outputs.shape:
        raise ImportMismatchError(
            f"imported: {tuple(outputs.shape)}, onnxruntime: {tuple(expected.shape)}"
        )
    difference = float((outputs - expected).abs().max())
    if not difference <= LARGEST_DIFFERENCE:
        raise ImportMismatchError(
            f"the imported network differs from onnxruntime by {difference:.3g}; "
            f"{LARGEST_DIFFERENCE:g} is allowed"
        )


def _run_onnxruntime(model: bytes, inputs: torch.Tensor) -> torch.Tensor:
    """`B × E`."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = ERRORS_ONLY
    try:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        feed = session.get_inputs()[0]
        batch = feed.shape[0] if isinstance(feed.shape[0], int) else 1
        rows = []
        for image in inputs:
            repeated = np.repeat(image[None].numpy(), batch, axis=0)
            rows.append(session.run(None, {feed.name: repeated})[0][0])
    except Exception as error:  # onnxruntime's errors have no common root below Exception
        raise OnnxImportError(f"onnxruntime cannot run this model: {error}") from error
    return torch.from_numpy(np.stack(rows)).flatten(1)


def _without_training(data: bytes) -> bytes:
    """The same model with every Dropout node at rest: one exported in training mode draws masks."""
    model = parse_model(data)
    for node in model.graph.node:
        if node.op_type == "Dropout":
            del node.input[2:]
    serialised: bytes = model.SerializeToString()
    return serialised
