"""`serfiq train`: recognisers that answer to dropout, made from those that do not."""

import typer

from app.commands.train_adapt_head import adapt_head
from app.commands.train_compact import train_compact
from app.commands.train_on_top import on_top

cli = typer.Typer(help="Make recognisers that answer to dropout.", no_args_is_help=True)
cli.command("compact")(train_compact)
cli.command("adapt-head")(adapt_head)
cli.command("on-top")(on_top)
