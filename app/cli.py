"""`serfiq`, the command line: which commands there are, and what a failure looks like.

The commands themselves lie in `app/commands/`. This file computes nothing. Whatever takes long to
import is imported by the command that needs it, so that `serfiq --help` answers at once.
"""

import os
import signal
import sys

# Until the server listens for signals itself, one ends the process: there is nothing to finish yet,
# and as the first of a container it would not be ended by one. With no SystemExit, which whatever
# is being imported may catch.
if sys.argv[1:2] == ["serve"]:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))

from importlib.metadata import version
from typing import Annotated

import typer

from app.commands import (
    calibrate,
    check,
    evaluate,
    explain,
    packs,
    same_person,
    sample,
    score,
    score_embeddings,
    serve,
    train,
)
from app.usable_cores import limit_libraries
from serfiq_core.allocation import keep_freed_memory
from serfiq_core.errors import LicenceError, PackNotFoundError, RecordError, SerfiqError

EXIT_USAGE = 2
"""As click, below typer, has it: the command cannot be understood, or lacks something."""

EXIT_FAILURE = 3
"""Not 1, which says that everything ran and a capture was rejected: a script must be able to tell
a bad photograph from a broken installation."""

USAGE_ERRORS = (LicenceError, PackNotFoundError, RecordError)
"""Put right by calling the command otherwise."""

HELP = """How useful a face photograph will be to your own recogniser.

Exit status: 0, all is well; 1, a capture was rejected or could not be read, a pack does not
match its checksums or is unsuitable, or a decision record and its repetition disagree; 2, the
command was called wrongly; 3, it could not be carried out. `evaluate` alone says with 3 that a
condition of --fail-if is true, and with 4 that one could not be decided, or that nothing was
evaluated."""

cli = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # Rich takes "[default: …]" for markup, and drops it.
)
cli.command("serve")(serve.serve)
cli.command("score")(score.score)
cli.command("score-embeddings")(score_embeddings.score_embeddings)
cli.command("explain")(explain.explain)
cli.command("calibrate")(calibrate.calibrate)
cli.command("same-person")(same_person.same_person)
cli.command("evaluate")(evaluate.evaluate)
cli.command("sample")(sample.sample)
packs.cli.command("check")(check.check)
cli.add_typer(packs.cli, name="packs")
cli.add_typer(train.cli, name="train")


def _print_version(asked_for: bool) -> None:
    if asked_for:
        typer.echo(version("serfiq"))
        raise typer.Exit


@cli.callback(help=HELP)
def before_every_command(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """What stands before a command's name."""


def main() -> None:
    """Run the command line; errors of the core become one line on stderr.

    Raises:
        SystemExit: always, with the status documented in `HELP`.
    """
    keep_freed_memory()
    limit_libraries()
    try:
        cli(prog_name="serfiq")
    except SerfiqError as error:
        print(f"serfiq: {error}", file=sys.stderr)
        sys.exit(EXIT_USAGE if isinstance(error, USAGE_ERRORS) else EXIT_FAILURE)
