"""Photographs whose subjects are known, as commands read them."""

from pathlib import Path
from typing import TYPE_CHECKING

from app.commands.progress import say_passed_over

if TYPE_CHECKING:
    from serfiq_core.evaluation.subjects import Photograph


def read_and_tell(
    source: Path, root: Path | None = None, *, compared: bool = True
) -> "tuple[Photograph, ...]":
    """As `read_photographs`, whose arguments these are; what else a folder holds is told.

    Raises:
        EvaluationError: as there.
    """
    from serfiq_core.evaluation.subjects import passed_over, read_photographs

    found = read_photographs(source, root, compared=compared)
    if source.is_dir():
        say_passed_over(source, passed_over(source, found))
    return found
