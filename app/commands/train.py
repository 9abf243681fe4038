<<<<<<< HEAD
"""`serfiq train`: the group only; each command has a file of its own, and `app/cli.py` adds it."""

import typer

cli = typer.Typer(help="Fit heads and recognisers to photographs.", no_args_is_help=True)
=======
"""`serfiq train`: recognisers that answer to dropout, made from those that do not."""

import typer

from app.commands.train_compact import train_compact

cli = typer.Typer(help="Make recognisers that answer to dropout.", no_args_is_help=True)
cli.command("compact")(train_compact)
>>>>>>> main
