"""The options of `serfiq packs import`, and what its help says of them."""

from pathlib import Path
from typing import Annotated

import typer

from app.commands.options import between_0_and_1
from serfiq_core.packs.manifest import StateDictFormat
from serfiq_core.types import ColourOrder

ModelArgument = Annotated[
    Path,
    typer.Argument(exists=True, dir_okay=False, help="ONNX file, or with --network a state dict."),
]
NameOption = Annotated[str, typer.Option(help="Name of the new pack.")]
NetworkOption = Annotated[
    StateDictFormat | None,
    typer.Option(help="Which network the state dict is of: .pt, .pth or .safetensors."),
]
ColourOrderOption = Annotated[
    ColourOrder, typer.Option(help="Order of the channels that the model takes.")
]
MeanOption = Annotated[
    str, typer.Option(help="Subtracted from 8-bit pixels: one number, or three with commas.")
]
StdOption = Annotated[
    str, typer.Option(help="The pixels are then divided by it: one number, or three with commas.")
]
DropoutRateOption = Annotated[
    float | None,
    typer.Option(
        callback=between_0_and_1,
        help="The rate the model was trained with. Left out: that of a Dropout node in the "
        "graph, or else the rate that gives the reference faces a mean distance of 0.7.",
    ),
]
SiteOption = Annotated[
    str | None,
    typer.Option(
        help="Tensor that dropout applies to, or with --network mobilefacenet: map or values. "
        "Left out: found in the graph, or map."
    ),
]
ScrfdOption = Annotated[
    Path | None,
    typer.Option(
        exists=True, dir_okay=False, help="SCRFD model to find faces with. Left out: MTCNN."
    ),
]
ReferenceOption = Annotated[
    list[Path] | None,
    typer.Option(
        exists=True,
        dir_okay=False,
        help="Photograph to prove the import and choose the rate with; may be repeated. "
        "Left out: a portrait that comes with scikit-image.",
    ),
]
