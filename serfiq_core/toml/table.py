"""Strict reading of one TOML table: every key is asked for by type, and none may be left over.

This file knows TOML's types and how to complain of them; it knows no packs and no calibrations.
"""

import re
import sys
import tomllib
from collections.abc import Mapping, Sequence

from serfiq_core.errors import SerfiqError

SHA256 = re.compile(r"[0-9a-f]{64}")


def read_toml(text: str, path: str, error: type[SerfiqError]) -> dict[str, object]:
    """The tables of a text; `path` is named in the message.

    Raises:
        error: it is no TOML, nested too deeply, or has numbers that are too long to be any.
    """
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as problem:
        raise error(f"{path}: is not TOML: {problem}") from problem


class Table:
    """A table being read. `path` is the file, `key` the table's own key, for the messages.

    Every getter raises `error`, naming file and key, when the key is missing or its value is of
    another type.
    """

    def __init__(
        self, values: Mapping[str, object], path: str, error: type[SerfiqError], key: str = ""
    ) -> None:
        self._left = dict(values)
        self._path = path
        self._error = error
        self._key = key

    def problem(self, key: str, complaint: str) -> SerfiqError:
        """The error to raise about one key of this table."""
        return self._error(f"{self._path}: {self._full(key)} {complaint}")

    def text(self, key: str) -> str:
        """A string that is not blank."""
        value = self._take(key)
        if not isinstance(value, str) or not value.strip():
            raise self.problem(key, f"must be a text, not {value!r}")
        return value

    def optional_text(self, key: str) -> str | None:
        """A string that is not blank, or None when the key is absent."""
        return self.text(key) if key in self._left else None

    def texts(self, key: str) -> tuple[str, ...]:
        """Strings, none of them blank; there may be none."""
        value = self._take(key)
        if not isinstance(value, list) or not all(isinstance(v, str) and v.strip() for v in value):
            raise self.problem(key, f"must be a list of texts, not {value!r}")
        return tuple(value)

    def sha256(self, key: str) -> str:
        """A SHA-256 in lower-case hexadecimal digits."""
        text = self.text(key)
        if not SHA256.fullmatch(text):
            raise self.problem(key, "must be a SHA-256 in 64 lower-case hexadecimal digits")
        return text

    def choice(self, key: str, choices: Sequence[str]) -> str:
        """One of `choices`."""
        value = self._take(key)
        if value not in choices:
            raise self.problem(key, f"must be one of {', '.join(choices)}, not {value!r}")
        return str(value)

    def flag(self, key: str) -> bool:
        """`true` or `false`."""
        value = self._take(key)
        if not isinstance(value, bool):
            raise self.problem(key, f"must be true or false, not {value!r}")
        return value

    def number(self, key: str) -> float:
        """A finite integer or float."""
        return self._finite(key, self._take(key))

    def numbers(self, key: str) -> tuple[float, ...]:
        """A list of them, of any length."""
        value = self._take(key)
        if not isinstance(value, list):
            raise self.problem(key, f"must be a list of numbers, not {value!r}")
        return tuple(self._finite(key, item) for item in value)

    def count(self, key: str) -> int:
        """An integer of at least 1."""
        value = self._take(key)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise self.problem(key, f"must be an integer of at least 1, not {value!r}")
        return value

    def three_numbers(self, key: str) -> tuple[float, float, float]:
        """Three of them: one per colour channel, or a mean with its interval."""
        value = self._take(key)
        if not isinstance(value, list) or len(value) != 3:
            raise self.problem(key, f"must be a list of three numbers, not {value!r}")
        first, second, third = (self._finite(key, item) for item in value)
        return first, second, third

    def table(self, key: str) -> "Table":
        """A table within this one."""
        value = self._take(key)
        if not isinstance(value, dict):
            raise self.problem(key, f"must be a table, not {value!r}")
        return Table(value, self._path, self._error, self._full(key))

    def tables(self, key: str) -> "tuple[Table, ...]":
        """A list of tables; there may be none."""
        value = self._take(key)
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise self.problem(key, f"must be a list of tables, not {value!r}")
        return tuple(
            Table(item, self._path, self._error, f"{self._full(key)}[{place}]")
            for place, item in enumerate(value)
        )

    def __contains__(self, key: str) -> bool:
        return key in self._left

    def names(self) -> list[str]:
        """The keys not yet read, for tables whose keys are free."""
        return list(self._left)

    def finish(self) -> None:
        """Complain of keys that nobody asked for: a misspelt key must not be ignored."""
        for key in self._left:
            raise self.problem(key, "is not known")

    def _take(self, key: str) -> object:
        if key not in self._left:
            raise self.problem(key, "is missing")
        return self._left.pop(key)

    def _finite(self, key: str, value: object) -> float:
        # bool is an int to Python, and an int may be beyond all floats; false for nan.
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        most = sys.float_info.max
        if not is_number or not -most <= value <= most:  # type: ignore[operator]
            raise self.problem(key, f"must be a finite number, not {value!r}")
        return float(value)  # type: ignore[arg-type]

    def _full(self, key: str) -> str:
        return f"{self._key}.{key}" if self._key else key
