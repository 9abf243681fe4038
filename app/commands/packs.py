"""`serfiq packs`: what recognisers there are, whether they are sound, and where more come from."""

from typing import Annotated

import typer

from app.commands.next_steps import say_what_comes_next
from app.commands.options import PacksDirOption, packs_dir_from
from app.commands.packs_import import import_model
from serfiq_core.errors import PackError

EXIT_UNSOUND = 1

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
    name: Annotated[str, typer.Argument(help="Name of the pack.")], packs_dir: PacksDirOption = None
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


cli.command("import")(import_model)


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
    say_what_comes_next(name)
