"""How a pack comes to be: from somebody's ONNX file, or from one of InsightFace's archives.

Either way the recogniser is proven against onnxruntime, on random inputs and on real faces, before
a pack of its name exists. This file composes the rooms that are needed once, when a pack is made;
it serves nothing.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import skimage.data
import torch

from serfiq_core.align import align
from serfiq_core.decode import decode
from serfiq_core.detection.mtcnn import MtcnnDetector
from serfiq_core.detection.scrfd import ScrfdDetector
from serfiq_core.errors import CaptureError, LicenceError, OnnxImportError, PackError
from serfiq_core.packs.archive import extract
from serfiq_core.packs.download import download
from serfiq_core.packs.insightface_packs import (
    CATALOGUE,
    LICENCE,
    LICENCE_SOURCE,
    LICENCE_TEXT,
    MAX_ARCHIVE_BYTES,
    W600K_MEAN,
    W600K_STD,
    PublishedPack,
    archive_url,
    find_published,
)
from serfiq_core.packs.manifest import (
    DetectorEntry,
    Manifest,
    RecogniserEntry,
    write_manifest,
)
from serfiq_core.packs.pack import Pack, read_pack, verify_file
from serfiq_core.packs.registry import refuse_taken_name, staged_pack
from serfiq_core.recognition.onnx_import import (
    import_onnx,
    random_inputs,
    verify_against_onnxruntime,
)
from serfiq_core.recognition.recogniser import Preprocessing, Recogniser
from serfiq_core.types import ALIGNED_SIDE_PX, AlignedFace, DropoutHead, Sample

TARGET_MEAN_DISTANCE = 0.7
"""Of reference faces, for recognisers trained without dropout: far enough from 0 and from √2 that
good and bad faces can both be told from the middle (docs/method.md)."""

RECOGNISER_FILE = "recogniser.onnx"
DETECTOR_FILE = "detector.onnx"


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a recogniser comes from and on what terms, as its pack will say."""

    version: str
    licence: str
    licence_source: str


def import_onnx_pack(
    model: Path,
    name: str,
    packs_dir: Path,
    *,
    preprocessing: Preprocessing,
    provenance: Provenance,
    dropout_rate: float | None = None,
    site: str | None = None,
    scrfd: Path | None = None,
    faces: Sequence[AlignedFace] = (),
) -> Pack:
    """Make a pack of an ONNX recogniser.

    Args:
        model: the ONNX file.
        name: of the new pack.
        packs_dir: where it goes.
        preprocessing: what the recogniser was trained with.
        provenance: recorded in the pack.
        dropout_rate: the rate it was trained with. None takes that of a Dropout node left in the
            graph; where there is none, the rate that gives the faces a mean distance of 0.7.
        site: the tensor that dropout applies to; None lets the importer find it.
        scrfd: an SCRFD model to detect faces with; MTCNN does when None.
        faces: aligned real faces to prove and to choose the rate with; one that scikit-image
            carries when there are none.

    Raises:
        OnnxImportError: the graph cannot be imported, or computes something else once it is.
        PackError: the name is taken, a file cannot be read or written, or `scrfd` is no such model.
    """
    refuse_taken_name(name, packs_dir)
    content = {RECOGNISER_FILE: _read(model)}
    detector = DetectorEntry("mtcnn")
    if scrfd is not None:
        ScrfdDetector(scrfd)  # refuses whatever is not one
        content[DETECTOR_FILE] = _read(scrfd)
        detector = DetectorEntry("scrfd", DETECTOR_FILE)
    recogniser = prove(
        content[RECOGNISER_FILE], RECOGNISER_FILE, preprocessing, dropout_rate, site, faces
    )
    manifest = Manifest(
        name=name,
        version=provenance.version,
        licence=provenance.licence,
        licence_source=provenance.licence_source,
        files={file: hashlib.sha256(data).hexdigest() for file, data in content.items()},
        recogniser=recogniser,
        detector=detector,
    )
    with staged_pack(name, packs_dir) as folder:
        for file, data in content.items():
            (folder / file).write_bytes(data)
        write_manifest(manifest, folder)
    return read_pack(packs_dir / name)


def pull_pack(
    name: str,
    packs_dir: Path,
    *,
    accept_licence: bool,
    base_url: str | None = None,
    catalogue: Mapping[str, PublishedPack] = CATALOGUE,
    faces: Sequence[AlignedFace] = (),
) -> Pack:
    """Fetch one of InsightFace's archives and make a pack of it.

    Args:
        name: as published.
        packs_dir: where the pack goes.
        accept_licence: whether its licence is accepted; without, nothing is fetched.
        base_url: a mirror, which must hold the very same archives.
        catalogue: what is published.
        faces: as for `import_onnx_pack`.

    Raises:
        PackNotFoundError: nothing of this name is published.
        LicenceError: the licence was not accepted; carries its text.
        DownloadError, ChecksumError, ArchiveError: what came is not the archive that was published.
        OnnxImportError: its recogniser cannot be imported.
        PackError: the name is taken, or the pack cannot be written.
    """
    published = find_published(name, catalogue)
    if not accept_licence:
        raise LicenceError(f"{LICENCE_TEXT} To fetch {name}, accept this with --accept-licence.")
    with staged_pack(name, packs_dir) as folder:
        _fetch(published, archive_url(name, base_url), folder)
        recogniser = prove(
            (folder / published.recogniser_file).read_bytes(),
            published.recogniser_file,
            Preprocessing("rgb", (W600K_MEAN,) * 3, (W600K_STD,) * 3),
            faces=faces,
        )
        manifest = Manifest(
            name=name,
            version=published.version,
            licence=LICENCE,
            licence_source=LICENCE_SOURCE,
            files=published.files,
            recogniser=recogniser,
            detector=DetectorEntry("scrfd", published.detector_file),
        )
        write_manifest(manifest, folder)
    return read_pack(packs_dir / name)


def _fetch(published: PublishedPack, url: str, folder: Path) -> None:
    archive = folder.parent / "archive.zip"  # in the staging folder, and gone with it
    download(url, archive, sha256=published.archive_sha256, limit_bytes=MAX_ARCHIVE_BYTES)
    extract(archive, published.files, folder, limit_bytes=MAX_ARCHIVE_BYTES)
    for file, checksum in published.files.items():
        verify_file(folder / file, checksum)


def prove(
    model: bytes,
    file: str,
    preprocessing: Preprocessing,
    dropout_rate: float | None = None,
    site: str | None = None,
    faces: Sequence[AlignedFace] = (),
) -> RecogniserEntry:
    """Import an ONNX recogniser, hold it against onnxruntime, and say how a pack is to read it.

    `file` is the name it will have in the pack; the rest is as for `import_onnx_pack`.

    Raises:
        OnnxImportError: it cannot be imported, or computes something else once it is.
    """
    network = import_onnx(model, site)
    if network.input_size != (ALIGNED_SIDE_PX, ALIGNED_SIDE_PX):
        height, width = network.input_size
        wanted = f"{ALIGNED_SIDE_PX}×{ALIGNED_SIDE_PX}"
        raise OnnxImportError(f"the model takes {width}×{height} pixels; only {wanted} is served")
    # A node left at rate 0 says no more than none.
    trained_rate = dropout_rate if dropout_rate is not None else network.dropout_rate or None
    # The rate enters neither preprocessing nor features, the only things asked of it here.
    recogniser = Recogniser(network.backbone, network.head, preprocessing, trained_rate or 0.0)
    aligned = torch.from_numpy(np.stack(faces or reference_faces()))
    inputs = torch.cat([random_inputs(network), recogniser.preprocess(aligned)])
    verify_against_onnxruntime(model, network, inputs)
    if trained_rate is None:
        rate = rate_for_mean_distance(recogniser.features(aligned), network.head)
    else:
        rate = trained_rate
    return RecogniserEntry(
        format="onnx",
        file=file,
        input_size=ALIGNED_SIDE_PX,
        colour_order=preprocessing.colour_order,
        mean=preprocessing.mean,
        std=preprocessing.std,
        dropout_rate=rate,
        trained_with_dropout=trained_rate is not None,
        dropout_site=network.site,
    )


@torch.no_grad()
def rate_for_mean_distance(
    features: torch.Tensor, head: DropoutHead, mean_distance: float = TARGET_MEAN_DISTANCE
) -> float:
    """The dropout rate that puts the median mean distance of these faces at `mean_distance`.

    The closed form at order 0 (docs/method.md), `D² = 2t/(n + t)` with `t = a·v`,
    `v = Σ f²‖w‖²` and `a = p/(1 − p)`, solved for `p`. `D` rises with `a·v/n`, so the median face
    is the one of median `v/n` (of an even number, the lower of the two in the middle).

    Args:
        features: `B × F`.
        head: the affine head behind them.
        mean_distance: in (0, √2).

    Returns:
        In (0, 1), to three significant digits.

    Raises:
        OnnxImportError: the faces' features or embeddings are zero or no numbers.
    """
    variance = features.double().square() @ head.squared_column_norms.double()  # B
    energy = head.embed(features).double().square().sum(1)  # B
    ratio = float((variance / energy).median())
    if not 0 < ratio < float("inf"):
        raise OnnxImportError("the recogniser answers faces with zeros, or with no numbers at all")
    odds = mean_distance**2 / (2 - mean_distance**2) / ratio
    return float(f"{odds / (1 + odds):.3g}")


def reference_faces(photographs: Sequence[bytes] = ()) -> list[AlignedFace]:
    """The largest face of each photograph, aligned; of scikit-image's portrait when none is given.

    Raises:
        PackError: a photograph cannot be decoded, or shows no face; says which, counted from 1.
    """
    detector = MtcnnDetector()
    if not photographs:
        portrait = Sample(skimage.data.astronaut(), "image/png")
        return [_largest_face(portrait, detector, "scikit-image's portrait")]
    faces = []
    for number, data in enumerate(photographs, 1):
        try:
            sample = decode(data)
        except CaptureError as error:
            raise PackError(f"reference photograph {number}: {error}") from error
        faces.append(_largest_face(sample, detector, f"reference photograph {number}"))
    return faces


def _largest_face(sample: Sample, detector: MtcnnDetector, called: str) -> AlignedFace:
    found = detector.detect(sample)
    if not found:
        raise PackError(f"{called} shows no face")
    return align(sample.pixels, found[0].landmarks_px)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise PackError(f"{path} cannot be read: {error.strerror}") from error
