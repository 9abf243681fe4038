"""What is said of a pack that has just come."""

import typer


def say_what_comes_next(name: str) -> None:
    """What the pack `name` still lacks, and the commands that give it."""
    typer.echo(f"whether its scores mean anything: `serfiq packs check {name} --faces PHOTOGRAPHS`")
    typer.echo(f"it accepts no photograph yet: run `serfiq calibrate PHOTOGRAPHS --pack {name}`")
