"""A recogniser of a few kilobytes, and packs and archives made of it."""

import hashlib
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from serfiq_core.packs.insightface_packs import PublishedPack
from serfiq_core.packs.manifest import (
    DetectorEntry,
    Manifest,
    RecogniserEntry,
    recogniser_checksum,
    write_manifest,
)
from serfiq_core.types import (
    DegradationKind,
    MeanRho,
    Suitability,
    SuitabilityFigures,
    SuitabilityVerdict,
)

CHANNELS, SIDE, EMBEDDING_SIZE = 8, 7, 16


def small_recogniser(dropout_rate: float | None = None, last_operator: str = "Flatten") -> bytes:
    """Conv → Relu → (Dropout) → Flatten → Gemm: the 8×7×7 map feeds 16 values."""
    rng = np.random.default_rng(0)
    kernel = rng.normal(0, 0.05, (CHANNELS, 3, 16, 16))
    matrix = rng.normal(0, 0.1, (EMBEDDING_SIZE, CHANNELS * SIDE * SIDE))
    weights = {"kernel": kernel, "matrix": matrix, "bias": rng.normal(0, 0.1, EMBEDDING_SIZE)}
    nodes = [
        helper.make_node("Conv", ["input", "kernel"], ["conv"], strides=[16, 16]),
        helper.make_node("Relu", ["conv"], ["map"]),
        helper.make_node(last_operator, ["before_flatten"], ["flat"]),
        helper.make_node("Gemm", ["flat", "matrix", "bias"], ["output"], transB=1),
    ]
    if dropout_rate is None:
        nodes[2].input[0] = "map"
    else:
        weights["ratio"] = np.array(dropout_rate)
        nodes.insert(2, helper.make_node("Dropout", ["map", "ratio"], ["before_flatten"]))
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 3, 112, 112])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch", EMBEDDING_SIZE])],
        [numpy_helper.from_array(v.astype(np.float32), name) for name, v in weights.items()],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=onnx.IR_VERSION_2021_7_30
    )
    serialised: bytes = model.SerializeToString()
    return serialised


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def small_manifest(name: str = "small") -> Manifest:
    return Manifest(
        name=name,
        version="3",
        licence="CC0-1.0",
        licence_source="the tests",
        files={"recogniser.onnx": sha256(small_recogniser())},
        recogniser=RecogniserEntry(
            format="onnx",
            file="recogniser.onnx",
            input_size=112,
            colour_order="rgb",
            mean=(127.5, 127.5, 127.5),
            std=(127.5, 127.5, 127.5),
            dropout_rate=0.25,
            trained_with_dropout=False,
        ),
        detector=DetectorEntry("mtcnn"),
    )


def small_verdict(verdict: SuitabilityVerdict, reasons: tuple[str, ...] = ()) -> Suitability:
    """Figures that nobody measured, of the small manifest's recogniser."""
    rhos: dict[DegradationKind, MeanRho] = {
        kind: MeanRho(-0.5, -0.625, -0.375) for kind in get_args(DegradationKind)
    }
    return Suitability(
        verdict=verdict,
        reasons=reasons,
        recogniser_checksum=recogniser_checksum(small_manifest()),
        dropout_rate=0.25,
        passes=100,
        measured=SuitabilityFigures(40, 0.02, 0.001, 0.9, rhos, rhos),
    )


def write_small_pack(packs_dir: Path, name: str = "small") -> Path:
    """A sound pack, installed."""
    folder = packs_dir / name
    folder.mkdir(parents=True)
    (folder / "recogniser.onnx").write_bytes(small_recogniser())
    write_manifest(small_manifest(name), folder)
    return folder


def zipped(entries: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return buffer.getvalue()


DETECTOR_BYTES = b"a detector's bytes; pulling checks their checksum and does not run them"


def published(archive: bytes) -> PublishedPack:
    """A catalogue entry for an archive that holds rec.onnx and det.onnx."""
    return PublishedPack(
        name="tiny",
        archive_sha256=sha256(archive),
        recogniser_file="rec.onnx",
        detector_file="det.onnx",
        files={"rec.onnx": sha256(small_recogniser()), "det.onnx": sha256(DETECTOR_BYTES)},
    )


def tiny_archive(**more: bytes) -> bytes:
    """What `published` describes, with the nested folder that one of the real archives has."""
    sound = {"tiny/rec.onnx": small_recogniser(), "tiny/det.onnx": DETECTOR_BYTES}
    return zipped({**sound, "tiny/genderage.onnx": b"not wanted", **more})
