"""Writing a new pack, in one step: its files, their checksums, and where it comes from."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from serfiq_core.detection.scrfd import ScrfdDetector
from serfiq_core.errors import PackError
from serfiq_core.packs.manifest import DetectorEntry, Manifest, RecogniserEntry, write_manifest
from serfiq_core.packs.pack import Pack, read_pack
from serfiq_core.packs.registry import staged_pack

DETECTOR_FILE = "detector.onnx"


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a recogniser comes from and on what terms, as its pack will say."""

    version: str
    licence: str
    licence_source: str


@dataclass(frozen=True, slots=True)
class DetectorFile:
    """The detector of a new pack, and its file; MTCNN has none."""

    entry: DetectorEntry
    content: Mapping[str, bytes]


def detector_of(scrfd: Path | None) -> DetectorFile:
    """SCRFD from a file, or MTCNN.

    Raises:
        PackError: the file cannot be read, or is no such model.
    """
    if scrfd is None:
        return DetectorFile(DetectorEntry("mtcnn"), {})
    content = read_bytes(scrfd)
    # Tried where nothing lies beside it, as in the pack: a model may keep weights in other files.
    with TemporaryDirectory() as alone:
        copy = Path(alone) / scrfd.name
        copy.write_bytes(content)
        ScrfdDetector(copy)  # refuses whatever is not one
    return DetectorFile(DetectorEntry("scrfd", DETECTOR_FILE), {DETECTOR_FILE: content})


def write_pack(
    name: str,
    packs_dir: Path,
    provenance: Provenance,
    recogniser: RecogniserEntry,
    weights: bytes,
    detector: DetectorFile,
) -> Pack:
    """Write a pack; `weights` are the content of `recogniser.file`.

    Raises:
        PackError: the name is taken, or the pack cannot be written.
    """
    content = {recogniser.file: weights, **detector.content}
    manifest = Manifest(
        name=name,
        version=provenance.version,
        licence=provenance.licence,
        licence_source=provenance.licence_source,
        files={file: hashlib.sha256(data).hexdigest() for file, data in content.items()},
        recogniser=recogniser,
        detector=detector.entry,
    )
    with staged_pack(name, packs_dir) as folder:
        for file, data in content.items():
            (folder / file).write_bytes(data)
        write_manifest(manifest, folder)
    return read_pack(packs_dir / name)


def read_bytes(path: Path) -> bytes:
    """The content of a file that a user named.

    Raises:
        PackError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise PackError(f"{path} cannot be read: {error.strerror}") from error
