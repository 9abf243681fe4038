"""`serfiq train`: the group only; each command has a file of its own, and `app/cli.py` adds it."""

import typer

cli = typer.Typer(help="Fit heads and recognisers to photographs.", no_args_is_help=True)
