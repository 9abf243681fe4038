"""The line of a key, in documents nobody wrote: nested at random, commented at random."""

import itertools
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

from serfiq_core.toml.lines import line_of


def unique_keys(value: Any, numbers: Iterator[int]) -> Any:
    """Each key begins with a mark that stands nowhere else in the document."""
    if not isinstance(value, dict):
        return value
    return {f"<{next(numbers)}>{key}": unique_keys(item, numbers) for key, item in value.items()}


def paths(table: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in table.items():
        yield (*above, key)
        if isinstance(value, dict):
            yield from paths(value, (*above, key))


PLAIN = st.one_of(st.integers(0, 9), st.text("ab#[]='\"\\\n ", max_size=8))
NESTED = st.dictionaries(
    st.text("ab.#[]='\" ", max_size=4),
    st.recursive(
        st.one_of(PLAIN, st.lists(PLAIN)),
        lambda inner: st.dictionaries(st.text("ab.#[]='\" ", max_size=4), inner, max_size=4),
        max_leaves=8,
    ),
    max_size=4,
)


@settings(max_examples=50, deadline=None)
@given(NESTED, st.lists(st.booleans(), min_size=1))
def test_the_line_is_the_first_that_has_the_key(nested, commented):
    document = unique_keys(nested, itertools.count())
    lines: list[str] = []
    first_with: dict[str, int] = {}
    for line, comment in zip(
        tomli_w.dumps(document).split("\n"), itertools.cycle(commented), strict=False
    ):
        if comment:
            lines += [f"# {line}", ""]
        lines.append(line)
        for key in {key for path in paths(document) for key in path}:
            if key[: key.index(">") + 1] in line:
                first_with.setdefault(key, len(lines))
    text = "\n".join(lines)
    assert tomllib.loads(text) == document
    for path in paths(document):
        assert line_of(text, path) == first_with[path[-1]]
