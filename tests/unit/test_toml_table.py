"""TOML that cannot be read is an error of whoever asked for it, whatever is wrong."""

import pytest

from serfiq_core.errors import ManifestError
from serfiq_core.toml.table import read_toml


@pytest.mark.parametrize(
    "text", ["x =", "x = " + "9" * 5_000, "x = " + "[" * 5_000], ids=["cut off", "long", "deep"]
)
def test_what_is_no_toml_is_said(text: str) -> None:
    with pytest.raises(ManifestError, match=r"pack\.toml: is not TOML"):
        read_toml(text, "pack.toml", ManifestError)


def test_tables_are_given() -> None:
    assert read_toml("[a]\nb = 1", "pack.toml", ManifestError) == {"a": {"b": 1}}
