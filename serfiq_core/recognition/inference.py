"""A recogniser made ready to be asked many times: on its device, in the precision that suits it."""

import numpy as np
import torch

from serfiq_core.errors import ConfigurationError
from serfiq_core.recognition.recogniser import Recogniser
from serfiq_core.types import ALIGNED_SIDE_PX, Precision, PrecisionChoice

DTYPES: dict[Precision, torch.dtype] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}

CPU_FLAGS_OF_BFLOAT16 = ("avx512_bf16", "amx_bf16")
"""Elsewhere bfloat16 is emulated, and slower than float32."""


def for_inference(recogniser: Recogniser, device: torch.device, precision: Precision) -> Recogniser:
    """The recogniser itself, moved and converted: `recogniser` is not usable as it was before.

    Convolutions run on channels-last maps, which is how decoded pixels lie in memory. Scores are
    computed in float32 and float64 whatever the precision of the network. float32 is float32 on a
    GPU too, for the whole process: TF32, with ten bits of mantissa, is torch's default there for
    convolutions, and in NVIDIA's containers, which set an environment variable, for products.
    """
    dtype = DTYPES[precision]
    if device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = False  # scores have float32 products in any case
        if dtype == torch.float32:
            torch.backends.cudnn.allow_tf32 = False
    recogniser.backbone.to(device, dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
    recogniser.to(device)
    recogniser.head = recogniser.head.to(device, dtype)
    recogniser.precision = dtype
    return recogniser


def choose_precision(choice: PrecisionChoice, device: torch.device) -> Precision:
    """`auto` is what the device computes fastest without moving the scores: docs/benchmarks.md.

    That is float16 on a GPU, bfloat16 on a CPU that has instructions for it, float32 elsewhere.

    Raises:
        ConfigurationError: float16 on a CPU, where it is emulated and slower than float32.
    """
    if choice == "float16" and device.type == "cpu":
        raise ConfigurationError("the precision float16 is for GPUs; a CPU has bfloat16 or float32")
    if choice != "auto":
        return choice
    if device.type == "cuda":
        return "float16"
    return "bfloat16" if has_bfloat16(device) else "float32"


def gives_numbers(recogniser: Recogniser) -> bool:
    """Whether it embeds one colour, coarse noise and fine noise, as if faces, in finite numbers.

    float16 ends at 65,504, and a network whose activations pass that would answer nobody.
    """
    draw = np.random.Generator(np.random.Philox(0)).integers
    faces = []
    for cells in (1, 7, ALIGNED_SIDE_PX):
        drawn = draw(256, size=(cells, cells, 3), dtype=np.uint8)
        cell_px = ALIGNED_SIDE_PX // cells
        faces.append(drawn.repeat(cell_px, 0).repeat(cell_px, 1))
    return bool(recogniser.embeddings(torch.from_numpy(np.stack(faces))).isfinite().all())


def has_bfloat16(device: torch.device) -> bool:
    """Whether the device has instructions for it."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if not hasattr(torch.cpu, "get_capabilities"):  # torch before 2.12
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(flag, False) for flag in CPU_FLAGS_OF_BFLOAT16)
