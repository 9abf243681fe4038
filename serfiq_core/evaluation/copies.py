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
    alike: dict[str, list[File]] = {}
    for file in files:
        if file.digest:
            alike.setdefault(file.digest, []).append(file)
    reasons = {place: _why(file, alike.get(file.digest, [])) for place, file in enumerate(files)}
    return {place: why for place, why in reasons.items() if why is not None}


def _why(file: File, alike: Sequence[File]) -> str | None:
    for other in alike:
        if other.subject != file.subject:
            return f"the same photograph as {other.name}, under another subject"
    first = alike[0] if alike else file
    return None if file is first else f"the same photograph as {first.name}"
