"""The recognisers that are timed, ready for inference.

Random weights where none are published: the time of a network does not depend on them.
"""

import functools
from pathlib import Path

import torch

from serfiq_core.loading import load_recogniser
from serfiq_core.packs.registry import embedded_pack
from serfiq_core.recognition import iresnet
from serfiq_core.recognition.inference import for_inference
from serfiq_core.recognition.onnx_import import import_onnx
from serfiq_core.recognition.recogniser import Preprocessing, Recogniser
from serfiq_core.types import ALIGNED_SIDE_PX, Precision

RATE = 0.4

MOBILEFACENET = (
    Path(__file__).resolve().parents[2] / "shared" / "data" / "weights" / "mobilefacenet_ms1m.onnx"
)
IMAGENET = Preprocessing("rgb", (123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
"""What the MobileFaceNet was trained with."""
MOBILEFACENET_RATE = 0.05
"""Trained without dropout: the rate that gives its 512×7×7 map a mean distance of about 0.7."""


@functools.cache
def iresnet_recogniser(depth: int, precision: Precision) -> Recogniser:
    """IResNet of a depth, random weights."""
    torch.manual_seed(0)
    network = iresnet.load(iresnet.IResNet(depth).eval().state_dict(), depth)
    preprocessing = Preprocessing("rgb", (127.5, 127.5, 127.5), (127.5, 127.5, 127.5))
    recogniser = Recogniser(network.backbone, network.head, preprocessing, RATE)
    return for_inference(recogniser, torch.device("cpu"), precision)


def compact_recogniser(precision: Precision, device: str = "cpu") -> Recogniser:
    """The embedded pack's."""
    recogniser = load_recogniser(embedded_pack())
    return for_inference(recogniser, torch.device(device), precision)


def mobilefacenet_recogniser(precision: Precision, device: str = "cpu") -> Recogniser:
    """The MobileFaceNet of ../shared/data, imported from ONNX.

    Raises:
        OnnxImportError: there is no such file.
    """
    network = import_onnx(MOBILEFACENET)
    recogniser = Recogniser(network.backbone, network.head, IMAGENET, MOBILEFACENET_RATE)
    return for_inference(recogniser, torch.device(device), precision)


def random_faces(count: int) -> torch.Tensor:
    """`count × 112 × 112 × 3` uint8."""
    generator = torch.Generator().manual_seed(0)
    side = ALIGNED_SIDE_PX
    return torch.randint(0, 256, (count, side, side, 3), dtype=torch.uint8, generator=generator)
