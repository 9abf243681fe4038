"""`serfiq packs import`: somebody's recogniser becomes a pack."""

import math
from functools import partial
from typing import get_args

import typer

from app.commands.import_options import (
    ColourOrderOption,
    DropoutRateOption,
    MeanOption,
    ModelArgument,
    NameOption,
    NetworkOption,
    ReferenceOption,
    ScrfdOption,
    SiteOption,
    StdOption,
)
from app.commands.next_steps import say_what_comes_next
from app.commands.options import (
    LicenceOption,
    LicenceSourceOption,
    PacksDirOption,
    VersionOption,
    packs_dir_from,
)
from serfiq_core.packs.insightface_packs import ARCFACE_PIXEL_RANGE
from serfiq_core.types import MobileFaceNetSite

STATE_DICT_SUFFIXES = {".pt", ".pth", ".safetensors"}
STATE_DICT_SITES = {("mobilefacenet", site) for site in get_args(MobileFaceNetSite)}


def import_model(
    model: ModelArgument,
    name: NameOption,
    network: NetworkOption = None,
    version: VersionOption = "1",
    licence: LicenceOption = "not stated",
    licence_source: LicenceSourceOption = "not stated",
    colour_order: ColourOrderOption = "rgb",
    mean: MeanOption = f"{ARCFACE_PIXEL_RANGE:g}",
    std: StdOption = f"{ARCFACE_PIXEL_RANGE:g}",
    dropout_rate: DropoutRateOption = None,
    site: SiteOption = None,
    scrfd: ScrfdOption = None,
    reference: ReferenceOption = None,
    packs_dir: PacksDirOption = None,
) -> None:
    """Make a pack of your recogniser.

    Of an ONNX graph, which is proven against onnxruntime, or of the state dict of a network that is
    known here.
    """
    if network is None and model.suffix in STATE_DICT_SUFFIXES:
        raise typer.BadParameter(f"{model.name} is a state dict: --network says of which network")
    if network is not None and site is not None and (network, site) not in STATE_DICT_SITES:
        raise typer.BadParameter(
            "--site: with --network only mobilefacenet has a choice, map or values"
        )
    means, stds = _per_channel("--mean", mean), _per_channel("--std", std)
    if min(stds) <= 0:
        raise typer.BadParameter(f"--std must be positive, not {std}")

    from serfiq_core.importing.new_pack import Provenance
    from serfiq_core.importing.onnx_file import import_onnx_pack
    from serfiq_core.importing.reference_faces import reference_faces
    from serfiq_core.importing.state_dict import import_state_dict_pack
    from serfiq_core.recognition.recogniser import Preprocessing

    make = import_onnx_pack if network is None else partial(import_state_dict_pack, network)
    pack = make(
        model,
        name,
        packs_dir_from(packs_dir),
        preprocessing=Preprocessing(colour_order, means, stds),
        provenance=Provenance(version, licence, licence_source),
        dropout_rate=dropout_rate,
        site=site,
        scrfd=scrfd,
        faces=reference_faces([path.read_bytes() for path in reference or ()]),
    )
    recogniser = pack.manifest.recogniser
    origin = "as trained" if recogniser.trained_with_dropout else "chosen from the reference faces"
    typer.echo(f"{name}: imported to {pack.folder}")
    typer.echo(f"pixels: {colour_order}, less {mean}, over {std}; as where it is deployed?")
    where = recogniser.dropout_site or "the flattened map"
    typer.echo(f"dropout at {where}, rate {recogniser.dropout_rate:g} ({origin})")
    say_what_comes_next(name)


def _per_channel(option: str, text: str) -> tuple[float, float, float]:
    """`127.5` or `123.7,116.3,103.5`."""
    try:
        values = [float(part) for part in text.split(",")]
        first, second, third = values * 3 if len(values) == 1 else values
        if not all(map(math.isfinite, values)):
            raise ValueError(text)
    except ValueError as error:
        message = f"{option} must be one number, or three with commas, not {text!r}"
        raise typer.BadParameter(message) from error
    return first, second, third
