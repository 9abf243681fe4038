"""The whole way of a photograph: its stages, and what a user of InsightFace runs anyway."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import cv2
import numpy as np

from benchmarks.measure import Figure, interleaved_seconds, ratio
from benchmarks.photographs import LFW, read_photographs
from benchmarks.recognisers import MOBILEFACENET, mobilefacenet_recogniser
from serfiq_core.decisions.profiles import read_profiles
from serfiq_core.detection.scrfd import ScrfdDetector
from serfiq_core.loading import load_pipeline
from serfiq_core.packs.registry import embedded_pack
from serfiq_core.pipeline import Pipeline
from serfiq_core.preparation.prepare import Preparation
from serfiq_core.testing import FAKE_INFO
from serfiq_core.types import Precision, Stage

SCRFD = MOBILEFACENET.with_name("det_500m.onnx")
PHOTOGRAPHS = 500
AT_ONCE = 16
"""Photographs that travel together."""
CORES = 2

Run = Callable[[Sequence[bytes]], int]
"""Photographs → how many faces were embedded."""


def shared_data_is_missing() -> str | None:
    """What the comparison needs and does not find, or None."""
    missing = [str(path) for path in (LFW, SCRFD, MOBILEFACENET) if not path.exists()]
    return f"needs {', '.join(missing)}" if missing else None


def pipeline_over_insightface(precision: Precision) -> list[Figure]:
    """SCRFD-500M and the MobileFaceNet on the same 500 photographs: ours with quality, theirs not.

    Theirs is InsightFace's own code, `SCRFD` and `ArcFaceONNX` through onnxruntime as its
    `FaceAnalysis` calls them, one photograph after another, onnxruntime on both cores. Twice: with
    its default detection sizes, and with the sizes that ours looks at, which are smaller since the
    photographs are.
    """
    photographs = read_photographs(LFW, PHOTOGRAPHS)
    ours = _ours(precision)
    seconds = interleaved_seconds(
        {
            "ours": lambda: ours(photographs),
            "theirs": lambda: _theirs(None)(photographs),
            "theirs_small": lambda: _theirs([(128, 128), (256, 256)])(photographs),
        },
        3,
    )
    return [
        ratio("pipeline_over_insightface", "cpu", seconds["ours"], seconds["theirs"], at_most=1.0),
        ratio(
            "pipeline_over_insightface_at_our_sizes",
            "cpu",
            seconds["ours"],
            seconds["theirs_small"],
        ),
    ]


def stage_shares(photograph: bytes) -> list[Figure]:
    """Share of each stage in the whole way of one photograph with the embedded pack."""
    pipeline = load_pipeline(embedded_pack(), device="cpu")
    seconds: dict[Stage, list[float]] = {}
    pipeline.observe = lambda stage, taken: seconds.setdefault(stage, []).append(taken)
    totals = interleaved_seconds({"whole": lambda: pipeline.assess([photograph])}, 31)["whole"]
    return [
        ratio(f"stage_share_{stage}", "cpu", taken[1:], totals)  # the first was the warm-up
        for stage, taken in seconds.items()
    ]


def components_shares(photographs: Mapping[str, bytes]) -> list[Figure]:
    """Share of the components in the whole way of each photograph with the embedded pack."""
    pipeline = load_pipeline(embedded_pack(), device="cpu")
    seconds: list[float] = []
    pipeline.observe = lambda stage, taken: seconds.append(taken) if stage == "components" else None
    figures = []
    for name, photograph in photographs.items():
        seconds.clear()
        workloads = {name: partial(pipeline.assess, [photograph])}
        totals = interleaved_seconds(workloads, 31)[name]
        figures.append(ratio(f"components_share_{name}", "cpu", seconds[1:], totals, at_most=0.1))
    return figures


def _ours(precision: Precision) -> Run:
    profiles = read_profiles()
    info = replace(FAKE_INFO, passes=100, precision=precision)
    preparation = Preparation(ScrfdDetector(SCRFD))
    pipeline = Pipeline(mobilefacenet_recogniser(precision), preparation, None, profiles, info)
    workers = ThreadPoolExecutor(CORES)

    def run(photographs: Sequence[bytes]) -> int:
        faces = [capture.aligned for capture in workers.map(pipeline.prepare, photographs)]
        found = [face for face in faces if face is not None]
        for first in range(0, len(found), AT_ONCE):
            pipeline.score(found[first : first + AT_ONCE])
        return len(found)

    return run


def _theirs(sizes: list[tuple[int, int]] | None) -> Run:
    from insightface.app.face_analysis import DEFAULT_DET_SIZES
    from insightface.model_zoo import get_model

    detector, recogniser = (get_model(str(path)) for path in (SCRFD, MOBILEFACENET))
    detector.prepare(-1, input_size=sizes or list(DEFAULT_DET_SIZES), det_thresh=0.5)
    recogniser.prepare(-1)
    return lambda photographs: sum(_embed_largest(detector, recogniser, p) for p in photographs)


def _embed_largest(detector: object, recogniser: object, photograph: bytes) -> int:
    from insightface.app.common import Face

    image = cv2.imdecode(np.frombuffer(photograph, np.uint8), cv2.IMREAD_COLOR)
    boxes, landmarks = detector.detect(image, max_num=1)  # type: ignore[attr-defined]
    if not len(boxes):
        return 0
    recogniser.get(image, Face(bbox=boxes[0, :4], kps=landmarks[0], det_score=boxes[0, 4]))  # type: ignore[attr-defined]
    return 1
