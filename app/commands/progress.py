"""How commands that take minutes tell of them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import typer


def say_skipped(name: str, why: str) -> None:
    """One line on stderr for a photograph that cannot be used, whatever its name is made of."""
    typer.echo(f"skipped {_plain(name)}: {why}", err=True)


def say_passed_over(folder: Path, files: Sequence[Path]) -> None:
    """One line on stderr for the files in a folder of subjects that were not taken, if any."""
    if files:
        first = _plain(str(files[0].relative_to(folder)))
        typer.echo(
            f"files passed over in {_plain(str(folder))}: {len(files):,} (first: {first}); only "
            "photographs in the folder of a subject are taken",
            err=True,
        )


def _plain(name: str) -> str:
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in name)


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
