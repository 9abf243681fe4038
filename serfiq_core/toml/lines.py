"""Where in a TOML text a key stands: what tomllib does not say of a text that it can read.

It asks tomllib about longer and longer beginnings of the text. A beginning that ends within a
statement is no TOML, so the first one that holds the key ends with the statement that brought it.
This file knows TOML, and nothing of what is written in it.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def line_of(text: str, keys: Sequence[str]) -> int:
    """The line, counted from 1, of the statement that first names a key or table.

    A statement is one `key = value`, which a list or a text may spread over several lines, or one
    `[header]`. A table may be named by the header or the dotted key of something within it.

    Args:
        text: TOML that tomllib can read.
        keys: the way to it, from table to table.

    Raises:
        KeyError: the text has no such key.
    """
    for line, document in _beginnings(text):
        if _holds(document, keys):
            return line
    raise KeyError(".".join(keys))


def _beginnings(text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """After each statement: the line it began on, and all that the text has said by then."""
    lines = text.split("\n")  # not splitlines: U+2028, say, ends no line of TOML
    first = 1
    for count in range(1, len(lines) + 1):
        try:
            document = tomllib.loads("\n".join([*lines[:count], ""]))
        except tomllib.TOMLDecodeError:
            continue
        yield first, document
        first = count + 1


def _holds(document: Mapping[str, Any], keys: Sequence[str]) -> bool:
    here: Any = document
    for key in keys:
        if not isinstance(here, Mapping) or key not in here:
            return False
        here = here[key]
    return True
