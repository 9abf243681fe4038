"""How commands that take minutes tell of them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer


def say_skipped(name: str, why: str) -> None:
    """One line on stderr for a photograph that cannot be used, whatever its name is made of."""
    plain = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in name)
    typer.echo(f"skipped {plain}: {why}", err=True)


@contextmanager
def progress(words: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A bar on stderr, where that is a terminal."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    console = Console(stderr=True)
    with Progress(
        *columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task(words, total=total)
        yield lambda count: bar.advance(task, count)
