"""A cache file that is damaged: what was stored, or a clear refusal, and never anything else."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serfiq_core.errors import EvaluationError
from serfiq_core.evaluation.measurements import Cache, FaceMeasurement, Measurement

STORED: Mapping[str, Measurement] = {
    "a" * 64: FaceMeasurement(np.arange(8, dtype=np.float32), {"sampled": 0.5, "sharpness": 9.0}),
    "b" * 64: FaceMeasurement(np.ones(8, np.float32), {"sampled": 0.25, "sharpness": 3.0}),
    "c" * 64: "no face was found",
}


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """The one file of a cache, and its content."""
    folder = tmp_path_factory.mktemp("cache")
    Cache(folder, {}).store(STORED)
    (file,) = folder.rglob("*.npz")
    return file, file.read_bytes()


def check(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    refused = ""
    try:
        cache = Cache(file.parent.parent, {})
    except EvaluationError as error:
        refused = str(error)
    if refused:
        assert f"{file} is damaged: remove it" in refused
        return
    for digest, expected in STORED.items():
        found = cache.get(digest)
        if isinstance(expected, str):
            assert found == expected
        else:
            assert isinstance(found, FaceMeasurement)
            assert found.scores == expected.scores
            assert (found.embedding == expected.embedding).all()


@settings(max_examples=400)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_bit_that_flips(stored: tuple[Path, bytes], place: float, bit: int) -> None:
    file, content = stored
    damaged = bytearray(content)
    damaged[int(place * len(content))] ^= 1 << bit
    check(file, bytes(damaged))


@settings(max_examples=400)
@given(place=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255))
def test_a_byte_that_is_another(stored: tuple[Path, bytes], place: float, byte: int) -> None:
    file, content = stored
    damaged = bytearray(content)
    damaged[int(place * len(content))] = byte
    check(file, bytes(damaged))


@given(place=st.floats(0, 1, exclude_max=True))
def test_a_file_that_ends_early(stored: tuple[Path, bytes], place: float) -> None:
    file, content = stored
    check(file, content[: int(place * len(content))])


@pytest.mark.parametrize(
    "offset",
    [6, 8, 10],  # of the version, the flags (encrypted) and the compression of a central header
)
def test_a_header_that_says_something_else(stored: tuple[Path, bytes], offset: int) -> None:
    file, content = stored
    for bit in range(8):
        damaged = bytearray(content)
        damaged[content.index(b"PK\x01\x02") + offset] ^= 1 << bit
        check(file, bytes(damaged))
