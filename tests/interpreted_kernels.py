"""Runs the fused kernels on a CPU: `python -m tests.interpreted_kernels INPUTS OUTPUTS`.

Triton decides when it is imported whether it compiles or interprets, so the interpreter needs a
process of its own. Both files are safetensors. `NAME.features`, `NAME.words`, `NAME.scale`,
`NAME.weight` and `NAME.bias` go in for a masked product, `NAME.outputs` and `NAME.close` for
distances, the parameters of `fused_mean_distances` for a closed form; `NAME` comes out.
"""

import os
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

os.environ["TRITON_INTERPRET"] = "1"

from serfiq_core.product import float32_product
from serfiq_core.recognition.masked_product_triton import fused_masked_product
from serfiq_core.scoring import closed_form_triton
from serfiq_core.scoring.distances_triton import fused_row_means


def row_by_row(rows: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    """torch's own product may sum a row in another order when it is not alone, or not aligned."""
    return torch.cat([float32_product(row[None].clone(), matrix) for row in rows])


closed_form_triton.float32_product = row_by_row


def result(parts: dict[str, torch.Tensor]) -> torch.Tensor:
    if "cumulants" in parts:
        compiled_in = {
            "cumulants": tuple(parts.pop("cumulants").tolist()),
            "probe_power": float(parts.pop("probe_power")),
        }
        return closed_form_triton.fused_mean_distances(**parts, **compiled_in)
    if "outputs" in parts:
        return fused_row_means(parts["outputs"], float(parts["close"]))
    features, words, scale, weight, bias = (
        parts[name] for name in ("features", "words", "scale", "weight", "bias")
    )
    return fused_masked_product(features, words, float(scale), weight, bias)


def main(inputs: Path, outputs: Path) -> None:
    cases: dict[str, dict[str, torch.Tensor]] = {}
    for key, tensor in load_file(inputs).items():
        name, part = key.split(".")
        cases.setdefault(name, {})[part] = tensor.clone()  # aligned, as a tensor of its own is
    save_file({name: result(parts) for name, parts in cases.items()}, outputs)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
