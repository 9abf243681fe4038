"""A pack on disk: its folder, its manifest, and whether its files are the files it names.

This file reads bytes and hashes them; it knows no weights, no network and where no pack lies.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from serfiq_core.errors import ChecksumError, ManifestError
from serfiq_core.packs.manifest import MANIFEST_NAME, Manifest, parse_manifest


class DetectorFile(NamedTuple):
    """A detector's file, and the SHA-256 by which a manifest knows it."""

    path: Path
    checksum: str


@dataclass(frozen=True, slots=True)
class Pack:
    """One pack. `checksum`: SHA-256 of `pack.toml`, which names the checksums of the rest."""

    folder: Path
    manifest: Manifest
    checksum: str

    @property
    def recogniser_path(self) -> Path:
        """The recogniser's weights or graph."""
        return self.folder / self.manifest.recogniser.file

    @property
    def detector_file(self) -> DetectorFile | None:
        """The detector's file, or None when the detector brings its own."""
        name = self.manifest.detector.file
        return None if name is None else DetectorFile(self.folder / name, self.manifest.files[name])


def read_pack(folder: Path) -> Pack:
    """Read the manifest in `folder`; the other files are not opened (`verify` does that).

    Raises:
        ManifestError: `pack.toml` is missing, unreadable or wrong.
    """
    path = folder / MANIFEST_NAME
    try:
        content = path.read_bytes()
        text = content.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path}: cannot be read: {error}") from error
    manifest = parse_manifest(text, str(path))
    if manifest.name != folder.name:
        raise ManifestError(f"{path}: name is {manifest.name!r}, its folder {folder.name!r}")
    return Pack(folder, manifest, hashlib.sha256(content).hexdigest())


def verify(pack: Pack) -> None:
    """Hash every file the manifest names.

    Raises:
        ChecksumError: a file is missing or is another one; names it, what was expected and found.
    """
    for name, expected in pack.manifest.files.items():
        verify_file(pack.folder / name, expected)


def verify_file(path: Path, expected: str) -> None:
    """Hash one file.

    Raises:
        ChecksumError: it cannot be read, or its SHA-256 is not `expected`.
    """
    try:
        found = sha256_of(path)
    except OSError as error:
        raise ChecksumError(f"{path}: cannot be read: {error}") from error
    if found != expected:
        raise ChecksumError(f"{path}: SHA-256 should be {expected}, and is {found}")


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, read in pieces; lower-case hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
