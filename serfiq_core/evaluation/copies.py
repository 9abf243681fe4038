"""The same photograph twice: files of the same bytes, whatever they are called.

Two copies of one subject would be a mated pair that never fails, and under two subjects a non-mated
pair that always matches, which sets the comparison threshold of a strict FMR. This file knows
digests; it opens no photograph.
"""

from collections.abc import Sequence
from typing import NamedTuple


class File(NamedTuple):
    """One that shows a face; `digest`: of its bytes, empty where it is not to be compared."""

    name: str
    subject: str
    digest: str


def copies(files: Sequence[File]) -> dict[int, str]:
    """Which of the files are to be left out, by their places, and why.

    Of one subject's the first stays. Where a photograph is under several subjects nobody knows
    whose it is: none stays.
    """
    firsts: dict[str, File] = {}
    of_another: dict[str, File] = {}
    for file in files:
        if file.digest and firsts.setdefault(file.digest, file).subject != file.subject:
            of_another.setdefault(file.digest, file)
    reasons = {
        place: _why(file, firsts.get(file.digest, file), of_another.get(file.digest))
        for place, file in enumerate(files)
    }
    return {place: why for place, why in reasons.items() if why is not None}


def _why(file: File, first: File, of_another: File | None) -> str | None:
    """`of_another`: the first with another subject than `first`, if any."""
    if of_another is not None:
        other = of_another if file.subject == first.subject else first
        return f"the same photograph as {other.name}, under another subject"
    return None if file is first else f"the same photograph as {first.name}"
