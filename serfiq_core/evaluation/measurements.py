"""What the recogniser and the detector say of each photograph, and a cache of it on disk.

The cache holds embeddings, which are biometric data: it lies in a folder that its user chose,
readable by nobody else. Entries are found by the SHA-256 of the photograph's bytes and by
everything else they depend on. This file is numpy only; it computes none of it.
"""

import hashlib
import json
import lzma
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from serfiq_core.errors import EvaluationError
from serfiq_core.whole_files import appearing_whole

FORMAT = 3
"""Of the cache's files, and of what is measured: a change of either makes older entries useless."""

DAMAGED = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    EOFError,
    zipfile.BadZipFile,
    # Of a damaged header: encrypted, of another version of the format, or compressed.
    RuntimeError,
    zlib.error,
    lzma.LZMAError,
)
"""What reading a damaged file raises."""


@dataclass(frozen=True, slots=True)
class FaceMeasurement:
    """One face. `embedding`: `E` float32, unit norm. `scores`: by method, higher is better."""

    embedding: npt.NDArray[np.float32]
    scores: Mapping[str, float]


Measurement = FaceMeasurement | str
"""A face, or why there is none."""


class Cache:
    """Measurements by the digest of the photograph, one file for each batch of them.

    A file appears whole or not at all: whatever was stored before an interruption is there after.

    Args:
        folder: made when missing.
        depends_on: all that a measurement depends on besides the photograph.

    Raises:
        EvaluationError: the folder cannot be used.
    """

    def __init__(self, folder: Path, depends_on: Mapping[str, Any]) -> None:
        words = json.dumps({"format": FORMAT, **depends_on}, sort_keys=True)
        self._folder = folder / hashlib.sha256(words.encode()).hexdigest()[:32]
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._folder.chmod(0o700)
            files = sorted(self._folder.glob("*.npz"))
        except OSError as error:
            raise EvaluationError(f"the cache {folder} cannot be used: {error}") from error
        self._stored: dict[str, Measurement] = {}
        for path in files:
            self._stored |= _read(path)

    def get(self, digest: str) -> Measurement | None:
        """What was stored for a photograph, or None."""
        return self._stored.get(digest)

    def store(self, measured: Mapping[str, Measurement]) -> None:
        """Add a batch, by digest.

        Raises:
            EvaluationError: the folder cannot be written to.
        """
        name = hashlib.sha256("".join(sorted(measured)).encode()).hexdigest()[:32]
        try:
            self._write(name, measured)
        except OSError as error:
            raise EvaluationError(f"the cache cannot be written to: {error}") from error
        self._stored |= measured

    def _write(self, name: str, measured: Mapping[str, Measurement]) -> None:
        # Another run may be storing the same batch: each writes a file of its own.
        with appearing_whole(self._folder / f"{name}.npz", private=True) as unfinished:
            np.savez(unfinished, allow_pickle=False, **_arrays(measured))


def _arrays(measured: Mapping[str, Measurement]) -> dict[str, npt.NDArray[Any]]:
    """Faces in columns, and the reasons of those that have none; nothing to unpickle."""
    faces = {d: m for d, m in measured.items() if isinstance(m, FaceMeasurement)}
    others = {d: m for d, m in measured.items() if isinstance(m, str)}
    methods = list(next(iter(faces.values())).scores) if faces else []
    arrays: dict[str, npt.NDArray[Any]] = {
        "others": np.array(list(others), dtype="U64"),
        "why": np.array(list(others.values()), dtype=np.str_),
        "faces": np.array(list(faces), dtype="U64"),
        "methods": np.array(methods, dtype=np.str_),
    }
    if faces:
        arrays["embeddings"] = np.stack([face.embedding for face in faces.values()])
        for method in methods:
            scores = [face.scores[method] for face in faces.values()]
            arrays[f"score_{method}"] = np.array(scores, np.float64)
    return arrays


def _read(path: Path) -> dict[str, Measurement]:
    try:
        with np.load(path, allow_pickle=False) as file:
            # Read to their ends first: of an array whose header is damaged only a part might be.
            if (damaged := file.zip.testzip()) is not None:
                raise zipfile.BadZipFile(f"{damaged} has another checksum")
            arrays = dict(file)
        found: dict[str, Measurement] = dict(
            zip(arrays["others"].tolist(), arrays["why"].tolist(), strict=True)
        )
        # Each by its name: one that a damaged directory passes over is missed.
        columns = {name: arrays[f"score_{name}"].tolist() for name in arrays["methods"].tolist()}
        for row, digest in enumerate(arrays["faces"].tolist()):
            scores = {method: values[row] for method, values in columns.items()}
            found[digest] = FaceMeasurement(arrays["embeddings"][row], scores)
    except DAMAGED as error:
        raise EvaluationError(f"{path} is damaged: remove it ({error})") from error
    return found


def faces_of(
    measured: Sequence[Measurement],
) -> tuple[npt.NDArray[np.intp], list[FaceMeasurement]]:
    """The places of those that have a face, and the faces."""
    found = [(place, m) for place, m in enumerate(measured) if isinstance(m, FaceMeasurement)]
    return np.array([place for place, _ in found], np.intp), [face for _, face in found]
