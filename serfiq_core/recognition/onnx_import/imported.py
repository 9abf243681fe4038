"""An ONNX recogniser, imported into torch and cut at its dropout site."""

import math
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from serfiq_core.errors import OnnxImportError, WeightsError
from serfiq_core.recognition.head import AffineHead
from serfiq_core.recognition.onnx_import.graph import model_bytes, read_graph
from serfiq_core.recognition.onnx_import.network import StepNetwork
from serfiq_core.recognition.onnx_import.plan import Plan, make_plan
from serfiq_core.recognition.onnx_import.site import Site, find_site


@dataclass(frozen=True, slots=True)
class ImportedNetwork:
    """What became of a graph.

    `backbone`: `B × 3 × H × W` float32, any B → `B × F`. `head`: `B × F` → `B × E`, as the graph
    gives it, or before the division by its norm when the graph ends in one (`unit_output`).
    `site`: the tensor that dropout applies to; where only reshaping lies between it and a
    `C × H × W` map, the features are the values of that map, in the map's order.
    `dropout_rate`: of a Dropout node at the site, or None.
    `input_size`: H and W that the graph takes, in pixels; 112 where it leaves them open.
    """

    backbone: nn.Module
    head: AffineHead
    site: str
    dropout_rate: float | None
    input_size: tuple[int, int]
    unit_output: bool


def import_onnx(source: Path | bytes, site: str | None = None) -> ImportedNetwork:
    """Turn an ONNX recogniser into a backbone and an affine dropout head.

    Args:
        source: a file, or what is in it.
        site: name of the tensor dropout applies to. By default the input of a Dropout node left in
            the affine tail, otherwise the input of the tail's earliest weight layer.

    Raises:
        UnsupportedOperatorError: operators, or forms of them, that are not known; names them.
        OnnxImportError: no ONNX model, not one image in and one embedding out, external data, no
            affine tail, or no such site.
    """
    graph = read_graph(model_bytes(source))
    plan = make_plan(graph)
    found = find_site(plan, site)
    height, width = graph.input_shape[2:]
    return ImportedNetwork(
        backbone=StepNetwork(plan, plan.input_name, found.cut).eval(),
        head=_head(plan, found),
        site=found.name,
        dropout_rate=found.dropout_rate,
        input_size=(height, width),
        unit_output=found.unit_output,
    )


def _head(plan: Plan, site: Site) -> AffineHead:
    chain = StepNetwork(plan, site.cut, site.embedding)
    weights = [buffer for buffer in chain.buffers() if buffer.is_floating_point()]
    if not all(bool(weight.isfinite().all()) for weight in weights):
        raise OnnxImportError(f"weights behind {site.name!r} are infinite or not numbers")
    feature_count = math.prod(plan.shapes[site.cut][1:])
    try:
        return AffineHead(chain, feature_count, site.map_shape)
    except WeightsError as error:
        raise OnnxImportError(
            f"the tail behind {site.name!r} is no dropout head: {error}"
        ) from error
