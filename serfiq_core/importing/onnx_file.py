"""From somebody's ONNX file to a pack.

The recogniser is proven against onnxruntime, on random inputs and on real faces, before a pack of
its name exists.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from serfiq_core.errors import OnnxImportError
from serfiq_core.importing.new_pack import (
    Provenance,
    detector_of,
    entry_of,
    read_bytes,
    write_pack,
)
from serfiq_core.importing.reference_faces import reference_faces
from serfiq_core.packs.manifest import RecogniserEntry
from serfiq_core.packs.pack import Pack
from serfiq_core.packs.registry import refuse_taken_name
from serfiq_core.recognition.network import Network
from serfiq_core.recognition.onnx_import import (
    import_onnx,
    random_inputs,
    verify_against_onnxruntime,
)
from serfiq_core.recognition.recogniser import Preprocessing, Recogniser
from serfiq_core.types import ALIGNED_SIDE_PX, AlignedFace

RECOGNISER_FILE = "recogniser.onnx"


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
    content, detector = read_bytes(model), detector_of(scrfd)
    recogniser = prove(content, RECOGNISER_FILE, preprocessing, dropout_rate, site, faces)
    return write_pack(name, packs_dir, provenance, recogniser, content, detector)


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
    faces = faces or reference_faces()
    # The rate does not enter preprocessing, which is all that is asked of it here.
    recogniser = Recogniser(network.backbone, network.head, preprocessing, 0.0)
    aligned = recogniser.preprocess(torch.from_numpy(np.stack(faces)))
    verify_against_onnxruntime(model, network, torch.cat([random_inputs(network), aligned]))
    return entry_of(
        Network(network.backbone, network.head),
        preprocessing,
        trained_rate,
        faces,
        format="onnx",
        file=file,
        site=network.site,
    )
