"""SCRFD, the detector of InsightFace's packs, through the library `insightface`.

Guo et al., "Sample and Computation Redistribution for Efficient Face Detection", ICLR 2022. What
this file knows is how that library wants to be called; it is imported only when a detector is made,
since a service with another detector has no use for it and its start costs a second.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from serfiq_core.detection.boxes import Boxes, areas, overlaps
from serfiq_core.errors import WeightsError
from serfiq_core.resizing import averaged
from serfiq_core.types import Face, Pixels, Sample

if TYPE_CHECKING:
    from insightface.model_zoo import SCRFD

INPUT_SIDE_PX = 640
"""Side of the square that a photograph is reduced to; smaller ones stay as they are. InsightFace's
default: faces down to about 1/40 of the longer side are found."""
COARSE_SIDE_PX = 128
"""A second look, as InsightFace's own default has it (`DEFAULT_DET_SIZES`), since SCRFD has no
anchors for a face that fills 640 pixels: of 200 LFW photographs cropped to the face and enlarged to
640, the first look alone finds none, both find all. It costs a twentieth of the first."""
SMALLEST_STRIDE_PX, INPUT_MULTIPLE_PX = 8, 32
"""The finest and the coarsest stride of the network."""
MINIMUM_SCORE, MAXIMUM_OVERLAP = 0.5, 0.4
"""InsightFace's defaults."""
LANDMARK_OUTPUT_COUNTS = (9, 15)
"""Of models with landmarks: scores, boxes and landmarks for each of three or five strides."""
INTRA_OP_THREADS = 1
"""Captures are prepared side by side, one per core. Photographs a second with one thread and with
two, SCRFD-500M, two cores: 71 and 69 (one worker, 640×480), 66 and 67 (two workers), 325 and 298
(one worker, 250×250), 307 and 314 (two); where something else wanted the cores, 68 and 36 (one
worker, 640×480), 264 and 135 (250×250)."""
ONNXRUNTIME_ERRORS_ONLY = 3
"""Severity; it would warn on every call that the input has another size than the export had."""

Found = npt.NDArray[np.float32]
Landmarks = npt.NDArray[np.float32]


class ScrfdDetector:
    """Finds faces with an SCRFD model. Implements `Detector`; safe to call from several threads.

    Args:
        model_path: an SCRFD model with landmarks, `.onnx`.

    Raises:
        WeightsError: the file is missing, or holds no such model.
    """

    def __init__(self, model_path: Path) -> None:
        try:
            self._model = _load(model_path)
            # Whatever else has as many outputs fails here, instead of on the first photograph.
            self.detect(Sample(np.zeros((COARSE_SIDE_PX, COARSE_SIDE_PX, 3), np.uint8)))
        except WeightsError:
            raise
        except Exception as error:  # onnxruntime and numpy raise what they like
            raise WeightsError(f"{model_path.name} is not an SCRFD model: {error}") from error

    @property
    def working_side_px(self) -> int:
        """As `Detector.working_side_px`."""
        return INPUT_SIDE_PX

    def detect(self, sample: Sample) -> list[Face]:
        """All faces found, the largest box first; empty when there is none.

        Boxes and landmarks may reach beyond the image, where a face does.
        """
        shorter, longer = sorted(sample.pixels.shape[:2])
        if shorter * INPUT_SIDE_PX < longer * SMALLEST_STRIDE_PX:
            return []  # a strip: reduced to the input size, no face in it would fill a cell
        block = max(longer // INPUT_SIDE_PX, 1)
        image = averaged(sample.pixels, block)
        bgr = np.ascontiguousarray(image[:, :, ::-1])
        side_px = min(_multiple_above(max(image.shape[:2])), INPUT_SIDE_PX)
        found, landmarks = self._look(bgr, side_px)
        if side_px > COARSE_SIDE_PX:
            coarse, coarse_landmarks = self._look(bgr, COARSE_SIDE_PX)
            # Where both looks found a face, the closer one placed its landmarks better.
            new = _not_among(coarse[:, :4], found[:, :4])
            found = np.concatenate((found, coarse[new]))
            landmarks = np.concatenate((landmarks, coarse_landmarks[new]))
        return [
            Face(
                box_px=tuple((found[i, :4] * block).tolist()),
                detection_score=float(found[i, 4]),
                landmarks_px=landmarks[i] * np.float32(block),
            )
            for i in np.argsort(-areas(found[:, :4]), kind="stable")
        ]

    def _look(self, bgr: Pixels, side_px: int) -> tuple[Found, Landmarks]:
        """Boxes with scores, `N × 5`, and landmarks, `N × 5 × 2`, found at this input size."""
        found, landmarks = self._model.detect(
            bgr, input_size=(side_px, side_px), det_thresh=MINIMUM_SCORE
        )
        return found.astype(np.float32), landmarks.astype(np.float32)


def _not_among(boxes: Boxes, known: Boxes) -> npt.NDArray[np.bool_]:
    """Which of `boxes` show no face of `known`."""
    shared = overlaps(boxes, known, "union").max(axis=1, initial=0)
    return np.asarray(shared <= MAXIMUM_OVERLAP)


def _multiple_above(side_px: int) -> int:
    return -(-side_px // INPUT_MULTIPLE_PX) * INPUT_MULTIPLE_PX


def _load(path: Path) -> "SCRFD":
    import onnxruntime
    from insightface.model_zoo import SCRFD

    options = onnxruntime.SessionOptions()
    options.log_severity_level = ONNXRUNTIME_ERRORS_ONLY
    options.intra_op_num_threads = INTRA_OP_THREADS
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    if len(session.get_outputs()) not in LANDMARK_OUTPUT_COUNTS:
        raise WeightsError(f"{path.name} is not an SCRFD model with landmarks")
    model = SCRFD(model_file=str(path), session=session, static_shape_sessions=False)
    model.nms_thresh = MAXIMUM_OVERLAP
    return model
