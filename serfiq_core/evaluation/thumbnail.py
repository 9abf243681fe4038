"""What the report shows of a photograph, where the user asks for faces."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """One aligned face as JPEG, the name of its photograph, and its score by the first method."""

    name: str
    score: float
    jpeg: bytes
