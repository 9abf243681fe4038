"""What new packs share: how the recogniser is read, which detector, and how files are written."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from serfiq_core.detection.scrfd import ScrfdDetector
from serfiq_core.errors import PackError
from serfiq_core.importing.dropout_rate import rate_for_mean_distance
from serfiq_core.packs.manifest import (
    DetectorEntry,
    Manifest,
    RecogniserEntry,
    RecogniserFormat,
    write_manifest,
)
from serfiq_core.packs.pack import Pack, read_pack
from serfiq_core.packs.registry import staged_pack
from serfiq_core.recognition.network import Network
from serfiq_core.recognition.recogniser import Preprocessing, Recogniser
from serfiq_core.types import ALIGNED_SIDE_PX, AlignedFace

DETECTOR_FILE = "detector.onnx"


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a recogniser comes from and on what terms, as its pack will say."""

    version: str
    licence: str
    licence_source: str


def entry_of(
    network: Network,
    preprocessing: Preprocessing,
    trained_rate: float | None,
    faces: Sequence[AlignedFace],
    *,
    format: RecogniserFormat,
    file: str,
    site: str | None,
) -> RecogniserEntry:
    """How a pack is to read a recogniser.

    Args:
        network: on the CPU.
        preprocessing: what it was trained with.
        trained_rate: the dropout rate it was trained with; when None, one is chosen by the faces.
        faces: aligned real ones; none are needed where the rate is told.
        format: of its file in the pack, whose name is `file`.
        site: as `RecogniserEntry.dropout_site`.

    Raises:
        PackError: no rate can be chosen: see `rate_for_mean_distance`.
    """
    rate = trained_rate
    if rate is None:  # it does not enter the features that it is chosen by
        recogniser = Recogniser(network.backbone, network.head, preprocessing, 0.0)
        aligned = torch.from_numpy(np.stack(faces))
        rate = rate_for_mean_distance(recogniser.features(aligned), network.head)
    return RecogniserEntry(
        format=format,
        file=file,
        input_size=ALIGNED_SIDE_PX,
        colour_order=preprocessing.colour_order,
        mean=preprocessing.mean,
        std=preprocessing.std,
        dropout_rate=rate,
        trained_with_dropout=trained_rate is not None,
        dropout_site=site,
    )


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
