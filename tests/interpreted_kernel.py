"""Runs the fused kernel on a CPU: `python -m tests.interpreted_kernel INPUTS OUTPUTS`.

Triton decides when it is imported whether it compiles or interprets, so the interpreter needs a
process of its own. Both files are safetensors: `NAME.features`, `NAME.words`, `NAME.scale` and
`NAME.weight` in, `NAME` out.
"""

import os
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

os.environ["TRITON_INTERPRET"] = "1"

from serfiq_core.recognition.masked_product_triton import fused_masked_product


def main(inputs: Path, outputs: Path) -> None:
    tensors = load_file(inputs)
    products: dict[str, torch.Tensor] = {}
    for name in sorted({key.split(".")[0] for key in tensors}):
        features, words, scale, weight = (
            tensors[f"{name}.{part}"] for part in ("features", "words", "scale", "weight")
        )
        products[name] = fused_masked_product(features, words, float(scale), weight)
    save_file(products, outputs)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
