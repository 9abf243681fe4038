"""MTCNN: three networks that propose, refine and decide (Zhang et al., IEEE SPL 23(10), 2016).

What this file knows is the cascade: the pyramid, the crops, the thresholds. The networks, their
weights and the arithmetic of boxes have files of their own.
"""

import math
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
import torch

from serfiq_core.detection.boxes import Boxes, Scores, areas, shift, squares, suppress
from serfiq_core.detection.mtcnn_networks import (
    OutputNetwork,
    ProposalNetwork,
    RefinementNetwork,
)
from serfiq_core.detection.mtcnn_pyramid import (
    PYRAMID_FACTOR,
    SMALLEST_FACE_SHARE,
    WINDOW_STRIDE_PX,
    Canvas,
    canvas,
    windows_at,
)
from serfiq_core.detection.mtcnn_weights import fill
from serfiq_core.resizing import averaged, halved
from serfiq_core.types import Face, Pixels, Sample

REFINEMENT_SIDE_PX, OUTPUT_SIDE_PX = 24, 48
"""What R-Net and O-Net look at."""

PROPOSAL_SCORE, REFINEMENT_SCORE, OUTPUT_SCORE = 0.6, 0.7, 0.85
"""The first two are the authors'. Theirs at the end, 0.7, calls buttons and badges faces; on 1,000
photographs of LFW 0.85 keeps the best face of all but one, and a tenth fewer others than 0.8."""
LEVEL_OVERLAP, PROPOSAL_OVERLAP, REFINEMENT_OVERLAP, OUTPUT_OVERLAP = 0.5, 0.7, 0.7, 0.7
"""Of boxes that overlap by more the best stays: in one level of the pyramid, over all levels, after
R-Net and after O-Net. The authors' values."""
DEFAULT_MINIMUM_FACE_PX = 20.0
"""The authors' value, and already far below what a recogniser can use."""
BOX_PER_INTER_EYE_DISTANCE = 2.2
"""Width of a box over the distance between its eyes: the median of 200 photographs of LFW; nine of
ten lie between 2.04 and 2.45."""
WORKING_SIDE_PX = round(OUTPUT_SIDE_PX / SMALLEST_FACE_SHARE)
"""Photographs twice as large and more are reduced first; the smallest face still fills O-Net's
input then."""

PROPOSALS = 8000
"""Only the best scored windows go on. A photograph of eighty faces had 6,178; an image made to
waste time could have a hundred thousand."""
PIXELS_PER_INFERENCE = 70_000
"""Of the canvas, to P-Net: its first map takes 2.8 MB then. Maps of 16 MB, as 2 megapixels would
have, cost the allocator a sixth of the whole detection; a canvas of 640×480 is one part."""
CROPS_PER_BATCH = 256
"""O-Net's first map takes 0.27 MB per crop; so many take 70 MB."""
FROM_IMAGE = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP


def minimum_face_px(inter_eye_distance_px: float) -> float:
    """Side of the smallest face worth looking for, where so much is wanted between the eyes.

    Half the smallest face that would do: one a little too small is still told so, and a person
    further back still counts as another. The nearest step of the pyramid from the default is taken,
    so that the levels above it are the same whatever is wanted. What is found there is nearly so:
    windows of finer levels vie with theirs, and may move a box, and its landmarks, by a little.
    """
    half_px = max(BOX_PER_INTER_EYE_DISTANCE * inter_eye_distance_px / 2, DEFAULT_MINIMUM_FACE_PX)
    steps = round(math.log(DEFAULT_MINIMUM_FACE_PX / half_px, PYRAMID_FACTOR))
    return float(DEFAULT_MINIMUM_FACE_PX / PYRAMID_FACTOR**steps)


class MtcnnDetector:
    """Finds faces with MTCNN. Implements `Detector`; safe to call from several threads.

    Args:
        minimum_face_px: side of the smallest face looked for, in pixels of the file. Larger is
            faster. In large photographs `SMALLEST_FACE_SHARE` decides.

    Raises:
        WeightsError, ChecksumError: the published weights are missing, or are not those.
    """

    def __init__(self, minimum_face_px: float = DEFAULT_MINIMUM_FACE_PX) -> None:
        self._minimum_face_px = minimum_face_px
        self._propose = ProposalNetwork()
        self._refine = RefinementNetwork()
        self._decide = OutputNetwork()
        for network, name in (
            (self._propose, "pnet.lz4"),
            (self._refine, "rnet.lz4"),
            (self._decide, "onet.lz4"),
        ):
            fill(network, name)
            # Twice as fast as the default order of dimensions; torch's stubs forget it.
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def working_side_px(self) -> int:
        """As `Detector.working_side_px`."""
        return WORKING_SIDE_PX

    @torch.no_grad()
    def detect(self, sample: Sample) -> list[Face]:
        """All faces found, the largest box first; empty when there is none.

        Boxes and landmarks may reach beyond the image, where a face does.
        """
        height, width = sample.pixels.shape[:2]
        # A strip may be shorter than the block that its length asks for.
        block = max(min(max(height, width) // WORKING_SIDE_PX, height, width), 1)
        image = averaged(sample.pixels, block)
        halves = halved(image)
        boxes = self._proposals(halves, self._minimum_face_px / (block * sample.reduction))
        boxes = self._refined(halves, boxes)
        boxes, scores = self._decided(halves, boxes)
        landmarks = self._landmarks(halves, boxes)
        largest_first = np.argsort(-areas(boxes), kind="stable")
        return [
            Face(
                box_px=tuple((boxes[i] * block).tolist()),
                detection_score=float(scores[i]),
                landmarks_px=landmarks[i] * np.float32(block),
            )
            for i in largest_first
        ]

    def _proposals(self, halves: Sequence[Pixels], minimum_face_px: float) -> Boxes:
        """P-Net over the pyramid: square boxes, `N × 4`."""
        pyramid = canvas(halves, minimum_face_px)
        height, width = pyramid.level_of.shape
        band = max(PIXELS_PER_INFERENCE // (WINDOW_STRIDE_PX**2 * width), 1)
        bands = [self._likely_windows(pyramid, top, band) for top in range(0, height, band)]
        windows, offsets, scores = (np.concatenate(each) for each in zip(*bands, strict=True))
        best = np.argsort(-scores, kind="stable")[:PROPOSALS]
        kept = best[suppress(windows[best], scores[best], LEVEL_OVERLAP, "union")]
        boxes = pyramid.in_the_image(shift(windows[kept], offsets[kept]), windows[kept])
        return squares(boxes[suppress(boxes, scores[kept], PROPOSAL_OVERLAP, "union")])

    def _likely_windows(
        self, pyramid: Canvas, first: int, count: int
    ) -> tuple[Boxes, npt.NDArray[np.float32], Scores]:
        """What P-Net takes for faces, of `count` rows of windows.

        Returns:
            Windows in pixels of the canvas, their offsets, both `N × 4`, and their scores, `N`.
        """
        level_of = pyramid.level_of[first : first + count]
        pixels = pyramid.seen_by(first, first + len(level_of))
        probability, features = self._propose(self._to_input(pixels[None]))
        likely = probability[0].numpy()
        rows, columns = np.nonzero((likely > PROPOSAL_SCORE) & (level_of >= 0))
        offsets = self._propose.offsets_at(features[0, :, rows, columns].T).numpy()
        return windows_at(rows + first, columns), offsets, likely[rows, columns]

    def _refined(self, halves: Sequence[Pixels], boxes: Boxes) -> Boxes:
        """R-Net: of `N × 4` boxes the square ones that remain."""
        crops = _crops(halves, boxes, REFINEMENT_SIDE_PX)
        scores, offsets = self._in_batches(self._refine, crops)
        likely = scores > REFINEMENT_SCORE
        boxes, scores = shift(boxes, offsets)[likely], scores[likely]
        return squares(boxes[suppress(boxes, scores, REFINEMENT_OVERLAP, "union")])

    def _decided(self, halves: Sequence[Pixels], boxes: Boxes) -> tuple[Boxes, Scores]:
        """O-Net: of `N × 4` boxes those of faces, and their scores."""
        crops = _crops(halves, boxes, OUTPUT_SIDE_PX)
        scores, offsets, _ = self._in_batches(self._decide, crops)
        likely = scores > OUTPUT_SCORE
        boxes, scores = shift(boxes, offsets)[likely], scores[likely]
        kept = suppress(boxes, scores, OUTPUT_OVERLAP, "smaller")
        return boxes[kept], scores[kept]

    def _landmarks(self, halves: Sequence[Pixels], boxes: Boxes) -> npt.NDArray[np.float32]:
        """O-Net once more, on the boxes it decided for: `N × 5 × 2`, x and y.

        The published cascade takes the landmarks of the first time, from boxes that R-Net placed.
        Centred by O-Net itself they come out better: the mean cosine of 300 mated pairs of LFW
        rises from 0.651 to 0.653 (MobileFaceNet), that with SCRFD's landmarks from 0.971 to 0.976.
        """
        boxes = squares(boxes)
        crops = _crops(halves, boxes, OUTPUT_SIDE_PX)
        _, _, shares = self._in_batches(self._decide, crops)
        sides = boxes[:, 2:] - boxes[:, :2]
        landmarks: npt.NDArray[np.float32] = shares.transpose(0, 2, 1) * sides[:, None]
        return landmarks + boxes[:, None, :2]

    def _in_batches(
        self, network: RefinementNetwork | OutputNetwork, crops: Pixels
    ) -> tuple[npt.NDArray[np.float32], ...]:
        """What `network` makes of `N × side × side × 3` crops: its outputs, `N` each."""
        starts = range(0, max(len(crops), 1), CROPS_PER_BATCH)
        batches = [network(self._to_input(crops[i : i + CROPS_PER_BATCH])) for i in starts]
        return tuple(torch.cat(parts).numpy() for parts in zip(*batches, strict=True))

    def _to_input(self, images: Pixels) -> torch.Tensor:
        """`B × H × W × 3` uint8 → `B × 3 × H × W` float32 in [−1, 1]."""
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2)
        return (pixels.float() - 127.5) / 128


def _crops(halves: Sequence[Pixels], boxes: Boxes, side_px: int) -> Pixels:
    """What the square `boxes` show, `N × side × side × 3`, black beyond the image.

    Args:
        halves: the image, and how it looks halved again and again.
        boxes: `N × 4`, in pixels of the image.
        side_px: of the crops.
    """
    crops = np.zeros((len(boxes), side_px, side_px, 3), np.uint8)
    steps = (boxes[:, 2] - boxes[:, 0]) / side_px
    # From the smallest that is no smaller than the crop: less than two of its pixels become one,
    # so that bilinear interpolation skips none.
    chosen = np.clip(np.log2(np.maximum(steps, 1)).astype(int), 0, len(halves) - 1)
    shares = 0.5**chosen
    steps = steps * shares
    lefts, tops = (boxes[:, :2] * shares[:, None] + (steps[:, None] - 1) / 2).T
    for crop, half, step, left, top in zip(crops, chosen, steps, lefts, tops, strict=True):
        to_image = np.array(((step, 0, left), (0, step, top)))
        cv2.warpAffine(halves[half], to_image, (side_px, side_px), crop, FROM_IMAGE)
    return crops
