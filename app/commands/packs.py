"""`serfiq packs`: what recognisers there are, whether they are sound, and where more come from."""

import math
from functools import partial
from pathlib import Path
from typing import Annotated, get_args

import typer

from app.commands.options import (
    LicenceOption,
    LicenceSourceOption,
    PacksDirOption,
    VersionOption,
    between_0_and_1,
    packs_dir_from,
)
from serfiq_core.errors import PackError
from serfiq_core.packs.manifest import StateDictFormat
from serfiq_core.types import ColourOrder, MobileFaceNetSite

EXIT_UNSOUND = 1

STATE_DICT_SUFFIXES = {".pt", ".pth", ".safetensors"}
STATE_DICT_SITES = {("mobilefacenet", site) for site in get_args(MobileFaceNetSite)}

ARCFACE_PIXEL_RANGE = "127.5"
"""`(x − 127.5) / 127.5`, the convention of ArcFace's published networks."""

cli = typer.Typer(help="List, check, import and fetch recognisers.", no_args_is_help=True)


@cli.command("list")
def list_packs(packs_dir: PacksDirOption = None) -> None:
    """List all packs, the embedded one included."""
    from rich.console import Console
    from rich.table import Table

    from serfiq_core.packs.pack import read_pack
    from serfiq_core.packs.registry import pack_folders

    table = Table("name", "version", "recogniser", "detector", "licence", "verdict")
    table.columns[0].no_wrap = True
    broken = []
    for name, folder in pack_folders(packs_dir_from(packs_dir)).items():
        try:
            manifest = read_pack(folder).manifest
        except PackError as error:  # one broken pack must not hide the others
            broken.append(f"{name} cannot be used: {error}")
            continue
        verdict = manifest.standing_verdict
        parts = (manifest.recogniser.format, manifest.detector.kind, manifest.licence)
        checked = "never checked" if verdict is None else verdict.verdict
        table.add_row(name, manifest.version, *parts, checked)
    Console(markup=False).print(table)
    for complaint in broken:
        typer.echo(complaint, err=True)


@cli.command("show")
def show(
    name: Annotated[str, typer.Argument(help="Of the pack.")], packs_dir: PacksDirOption = None
) -> None:
    """Show the manifest of a pack."""
    from serfiq_core.packs.manifest import format_manifest
    from serfiq_core.packs.registry import find_pack

    pack = find_pack(name, packs_dir_from(packs_dir))
    typer.echo(f"# {pack.folder}\n# SHA-256 of pack.toml: {pack.checksum}\n")
    typer.echo(format_manifest(pack.manifest), nl=False)


@cli.command("verify")
def verify(
    names: Annotated[list[str] | None, typer.Argument(help="All packs when left out.")] = None,
    packs_dir: PacksDirOption = None,
) -> None:
    """Hold the files of packs against their checksums. Exit status 1 when one does not match."""
    from serfiq_core.errors import PackNotFoundError
    from serfiq_core.packs.pack import verify as verify_pack
    from serfiq_core.packs.registry import find_pack, pack_folders

    folder = packs_dir_from(packs_dir)
    unsound = False
    for name in names or pack_folders(folder):
        try:
            verify_pack(find_pack(name, folder))
            typer.echo(f"{name}: all files match")
        except PackNotFoundError:
            raise
        except PackError as error:
            typer.echo(f"{name}: {error}", err=True)
            unsound = True
    if unsound:
        raise typer.Exit(EXIT_UNSOUND)


@cli.command("import")
def import_model(
    model: Annotated[
        Path,
        typer.Argument(
            exists=True, dir_okay=False, help="ONNX file, or with --network a state dict."
        ),
    ],
    name: Annotated[str, typer.Option(help="Name of the new pack.")],
    network: Annotated[
        StateDictFormat | None,
        typer.Option(help="Which network the state dict is of: .pt, .pth or .safetensors."),
    ] = None,
    version: VersionOption = "1",
    licence: LicenceOption = "not stated",
    licence_source: LicenceSourceOption = "not stated",
    colour_order: Annotated[
        ColourOrder, typer.Option(help="Of the channels the model takes.")
    ] = "rgb",
    mean: Annotated[
        str, typer.Option(help="Subtracted from 8-bit pixels: one number, or three with commas.")
    ] = ARCFACE_PIXEL_RANGE,
    std: Annotated[
        str, typer.Option(help="What they are then divided by: one number, or three.")
    ] = ARCFACE_PIXEL_RANGE,
    dropout_rate: Annotated[
        float | None,
        typer.Option(
            callback=between_0_and_1,
            help="The rate the model was trained with. Left out: that of a Dropout node in the "
            "graph, or else the rate that gives the reference faces a mean distance of 0.7.",
        ),
    ] = None,
    site: Annotated[
        str | None,
        typer.Option(
            help="Tensor that dropout applies to, or with --network mobilefacenet: map or values. "
            "Left out: found in the graph, or map."
        ),
    ] = None,
    scrfd: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="SCRFD model to find faces with. Left out: MTCNN."
        ),
    ] = None,
    reference: Annotated[
        list[Path] | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="Photograph to prove the import and choose the rate with; may be repeated. "
            "Left out: a portrait that comes with scikit-image.",
        ),
    ] = None,
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
    _say_what_comes_next(name)


@cli.command("pull")
def pull(
    name: Annotated[str, typer.Argument(help="buffalo_l, buffalo_m, buffalo_sc or antelopev2.")],
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="Accept the licence of InsightFace's models.")
    ] = False,
    mirror: Annotated[
        str | None,
        typer.Option("--from", help="Address of a mirror that holds the same archives."),
    ] = None,
    packs_dir: PacksDirOption = None,
) -> None:
    """Fetch a pack from InsightFace's releases: for non-commercial research only."""
    from serfiq_core.importing.insightface_archive import pull_pack
    from serfiq_core.packs.insightface_packs import LICENCE_TEXT

    if accept_licence:
        typer.echo(LICENCE_TEXT, err=True)
    pack = pull_pack(
        name, packs_dir_from(packs_dir), accept_licence=accept_licence, base_url=mirror
    )
    typer.echo(f"{name}: installed to {pack.folder}; its licence is recorded in pack.toml")
    _say_what_comes_next(name)


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


def _say_what_comes_next(name: str) -> None:
    typer.echo(f"whether its scores mean anything: `serfiq packs check {name} --faces PHOTOGRAPHS`")
    typer.echo(f"it accepts no photograph yet: run `serfiq calibrate PHOTOGRAPHS --pack {name}`")
