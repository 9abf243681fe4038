"""MTCNN: three networks that propose, refine and decide (Zhang et al., IEEE SPL 23(10), 2016).

What this file knows is the cascade: the pyramid, the crops, the thresholds. The networks, their
weights and the arithmetic of boxes have files of their own.
"""

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
from serfiq_core.detection.mtcnn_weights import fill
from serfiq_core.detection.resizing import averaged, resized
from serfiq_core.types import Face, Pixels, Sample

PROPOSAL_SIDE_PX, REFINEMENT_SIDE_PX, OUTPUT_SIDE_PX = 12, 24, 48
"""What P-Net, R-Net and O-Net look at."""
PROPOSAL_STRIDE_PX = 2

PROPOSAL_SCORE, REFINEMENT_SCORE, OUTPUT_SCORE = 0.6, 0.7, 0.85
"""The first two are the authors'. Theirs at the end, 0.7, calls buttons and badges faces; on 1,000
photographs of LFW 0.85 keeps the best face of all but one, and a tenth fewer others than 0.8."""
LEVEL_OVERLAP, PROPOSAL_OVERLAP, REFINEMENT_OVERLAP, OUTPUT_OVERLAP = 0.5, 0.7, 0.7, 0.7
"""Of boxes that overlap by more the best stays: in one level of the pyramid, over all levels, after
R-Net and after O-Net. The authors' values."""
PYRAMID_FACTOR = 0.709
"""From level to level, about 1/√2, so that the area halves; the authors' value."""

DEFAULT_MINIMUM_FACE_PX = 20.0
"""The authors' value, and already far below what a recogniser can use."""
SMALLEST_FACE_SHARE = 1 / 40
"""No face narrower than this share of the longer side is looked for, which bounds P-Net's work
whatever the size of the photograph: a group of twenty in three rows has faces of about 1/10."""
WORKING_SIDE_PX = round(OUTPUT_SIDE_PX / SMALLEST_FACE_SHARE)
"""Photographs twice as large and more are reduced first; the smallest face still fills O-Net's
input then."""

PROPOSALS_PER_LEVEL = 1000
"""Only the best scored go on. Groups of twenty faces had 581 at most; an image made to waste time
could have tens of thousands."""
CROPS_PER_BATCH = 256
"""O-Net's first map takes 0.27 MB per crop; so many take 70 MB."""


class MtcnnDetector:
    """Finds faces with MTCNN. Implements `Detector`; safe to call from several threads.

    Args:
        device: where the networks run, as torch names it.
        minimum_face_px: side of the smallest face looked for, in pixels of the sample. Larger is
            faster. In large photographs `SMALLEST_FACE_SHARE` decides.

    Raises:
        WeightsError, ChecksumError: the published weights are missing, or are not those.
    """

    def __init__(
        self, device: str = "cpu", minimum_face_px: float = DEFAULT_MINIMUM_FACE_PX
    ) -> None:
        self._device = torch.device(device)
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
            network.to(self._device)
            # Twice as fast on a CPU as the default order of dimensions; torch's stubs forget it.
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.no_grad()
    def detect(self, sample: Sample) -> list[Face]:
        """All faces found, the largest box first; empty when there is none.

        Boxes and landmarks may reach beyond the image, where a face does.
        """
        height, width = sample.pixels.shape[:2]
        # A strip may be shorter than the block that its length asks for.
        block = max(min(max(height, width) // WORKING_SIDE_PX, height, width), 1)
        image = averaged(sample.pixels, block)
        boxes = self._proposals(image, self._minimum_face_px / block)
        boxes = self._refined(image, boxes)
        boxes, scores = self._decided(image, boxes)
        landmarks = self._landmarks(image, boxes)
        largest_first = np.argsort(-areas(boxes), kind="stable")
        return [
            Face(
                box_px=tuple((boxes[i] * block).tolist()),
                detection_score=float(scores[i]),
                landmarks_px=landmarks[i] * np.float32(block),
            )
            for i in largest_first
        ]

    def _proposals(self, image: Pixels, minimum_face_px: float) -> Boxes:
        """P-Net over the pyramid: square boxes, `N × 4`."""
        boxes, scores = [np.empty((0, 4), np.float32)], [np.empty(0, np.float32)]
        height, width = image.shape[:2]
        level = image
        for scale in _pyramid(height, width, minimum_face_px):
            # From the level before, and not from the image, which may be a hundred times larger.
            level = resized(level, (round(width * scale), round(height * scale)))
            level_boxes, level_scores = self._level_proposals(level)
            boxes.append(level_boxes / np.float32(scale))
            scores.append(level_scores)
        every = np.concatenate(boxes)
        kept = suppress(every, np.concatenate(scores), PROPOSAL_OVERLAP, "union")
        return squares(every[kept])

    def _level_proposals(self, level: Pixels) -> tuple[Boxes, Scores]:
        """P-Net over one level of the pyramid: boxes in its pixels, and their scores."""
        probability, offsets = self._propose(self._to_input(level[None]))
        probability = probability[0].flatten()
        best = probability.topk(min(PROPOSALS_PER_LEVEL, len(probability)))
        chosen = best.indices[best.values > PROPOSAL_SCORE]
        scores = probability[chosen].cpu().numpy()
        moved = offsets[0].flatten(1)[:, chosen].T.cpu().numpy()
        rows, columns = np.divmod(chosen.cpu().numpy(), offsets.shape[3])
        corners = PROPOSAL_STRIDE_PX * np.stack((columns, rows), axis=1).astype(np.float32)
        windows = np.concatenate((corners, corners + PROPOSAL_SIDE_PX), axis=1)
        kept = suppress(windows, scores, LEVEL_OVERLAP, "union")
        return shift(windows[kept], moved[kept]), scores[kept]

    def _refined(self, image: Pixels, boxes: Boxes) -> Boxes:
        """R-Net: of `N × 4` boxes the square ones that remain."""
        boxes, crops = _crops(image, boxes, REFINEMENT_SIDE_PX)
        scores, offsets = self._in_batches(self._refine, crops)
        likely = scores > REFINEMENT_SCORE
        boxes, scores = shift(boxes, offsets)[likely], scores[likely]
        return squares(boxes[suppress(boxes, scores, REFINEMENT_OVERLAP, "union")])

    def _decided(self, image: Pixels, boxes: Boxes) -> tuple[Boxes, Scores]:
        """O-Net: of `N × 4` boxes those of faces, and their scores."""
        boxes, crops = _crops(image, boxes, OUTPUT_SIDE_PX)
        scores, offsets, _ = self._in_batches(self._decide, crops)
        likely = scores > OUTPUT_SCORE
        boxes, scores = shift(boxes, offsets)[likely], scores[likely]
        kept = suppress(boxes, scores, OUTPUT_OVERLAP, "smaller")
        return boxes[kept], scores[kept]

    def _landmarks(self, image: Pixels, boxes: Boxes) -> npt.NDArray[np.float32]:
        """O-Net once more, on the boxes it decided for: `N × 5 × 2`, x and y.

        The published cascade takes the landmarks of the first time, from boxes that R-Net placed.
        Centred by O-Net itself they come out better: the mean cosine of 300 mated pairs of LFW
        rises from 0.651 to 0.653 (MobileFaceNet), that with SCRFD's landmarks from 0.971 to 0.976.
        """
        boxes, crops = _crops(image, squares(boxes), OUTPUT_SIDE_PX)
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
        return tuple(torch.cat(parts).cpu().numpy() for parts in zip(*batches, strict=True))

    def _to_input(self, images: Pixels) -> torch.Tensor:
        """`B × H × W × 3` uint8 → `B × 3 × H × W` float32 in [−1, 1]."""
        pixels = torch.from_numpy(images).to(self._device).permute(0, 3, 1, 2)
        return (pixels.float() - 127.5) / 128


def _pyramid(height: int, width: int, minimum_face_px: float) -> list[float]:
    """Scales at which P-Net's window is as large as the faces looked for, smallest faces first."""
    smallest_face_px = max(minimum_face_px, max(height, width) * SMALLEST_FACE_SHARE)
    scales = []
    scale = PROPOSAL_SIDE_PX / smallest_face_px
    while min(height, width) * scale >= PROPOSAL_SIDE_PX:
        scales.append(scale)
        scale *= PYRAMID_FACTOR
    return scales


def _crops(image: Pixels, boxes: Boxes, side_px: int) -> tuple[Boxes, Pixels]:
    """What the square `boxes` show, `N × side × side × 3`, black beyond the image.

    Returns:
        The boxes in whole pixels, which is what the crops show, and the crops.
    """
    boxes = boxes.round()
    height, width = image.shape[:2]
    crops = np.zeros((len(boxes), side_px, side_px, 3), np.uint8)
    for crop, (left, top, right, bottom) in zip(crops, boxes.astype(int), strict=True):
        inside = image[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
        if inside.size == 0:
            continue
        beyond = (max(-top, 0), max(bottom - height, 0), max(-left, 0), max(right - width, 0))
        bordered = cv2.copyMakeBorder(inside, *beyond, cv2.BORDER_CONSTANT)
        crop[:] = resized(np.asarray(bordered, np.uint8), (side_px, side_px))
    return boxes, crops
