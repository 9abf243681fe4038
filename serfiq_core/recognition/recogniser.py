"""A recogniser: what the pixels are turned into, the backbone, and the dropout head behind it.

Every network of this folder ends as one of these, whatever file it came from. This file knows no
files and no formats.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from serfiq_core.recognition.head import AffineHead
from serfiq_core.types import ColourOrder, Estimator, FaceScores

NO_ANSWER = "the recogniser answers with nothing"
"""Why a photograph is left out that it does not answer, or only with its bias."""


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """`(pixel − mean) / std` per channel, in the channel order the network was trained with.

    `mean` and `std` are in units of 8-bit pixel values, 0 to 255.
    """

    colour_order: ColourOrder
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


class Recogniser(nn.Module):
    """Backbone and dropout head of one recogniser, ready for inference.

    Args:
        backbone: `B × 3 × 112 × 112` float32 → `B × F`.
        head: the affine chain behind the dropout site.
        preprocessing: from 8-bit RGB to what the backbone expects.
        dropout_rate: `p`, the rate the head is sampled at.
    """

    def __init__(
        self,
        backbone: nn.Module,
        head: AffineHead,
        preprocessing: Preprocessing,
        dropout_rate: float,
    ) -> None:
        super().__init__()
        self.backbone = backbone.eval().requires_grad_(False)
        self.head = head
        self.dropout_rate = dropout_rate
        self.reverse_channels = preprocessing.colour_order == "bgr"
        self.precision = torch.float32
        """Of the backbone's arithmetic and of the head's weights; see `for_inference`."""
        self.register_buffer("mean", _per_channel(preprocessing.mean), persistent=False)
        self.register_buffer("std", _per_channel(preprocessing.std), persistent=False)

    mean: torch.Tensor
    std: torch.Tensor

    def preprocess(self, aligned: torch.Tensor) -> torch.Tensor:
        """`B × 112 × 112 × 3` RGB, 0 to 255 → `B × 3 × 112 × 112` float32 on this device."""
        if self.mean.device.type == "cuda" and aligned.device.type == "cpu":
            aligned = aligned.pin_memory()  # so that the copy does not hold up this thread
        pixels = aligned.to(self.mean.device, non_blocking=True).permute(0, 3, 1, 2)
        if self.reverse_channels:
            pixels = pixels.flip(1)
        return (pixels.float() - self.mean) / self.std

    @torch.no_grad()
    def features(self, aligned: torch.Tensor) -> torch.Tensor:
        """`B × 112 × 112 × 3` uint8 RGB → `B × F` float32."""
        return self.differentiable_features(aligned)

    def differentiable_features(self, aligned: torch.Tensor) -> torch.Tensor:
        """The same, of pixels that may be float32 and ask for their gradient."""
        return self.unconverted_features(aligned).float()

    def unconverted_features(self, aligned: torch.Tensor) -> torch.Tensor:
        """The same in the precision they are computed in: the kernels of a GPU take them so."""
        output: torch.Tensor = self.backbone(self.preprocess(aligned).to(self.precision))
        return output.flatten(1)

    @torch.no_grad()
    def embeddings(self, aligned: torch.Tensor) -> torch.Tensor:
        """`B × 112 × 112 × 3` uint8 RGB → `B × E` float32, no dropout, unit norm."""
        return nn.functional.normalize(self.head.embed(self.features(aligned)))


def _per_channel(values: tuple[float, float, float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32).view(1, 3, 1, 1)


def answered(embedding: npt.NDArray[np.float32]) -> bool:
    """Whether a recogniser said anything of a face: its `E` values are numbers, and not all 0."""
    return bool(np.isfinite(embedding).all() and embedding.any())


def tells_quality(scores: FaceScores, estimator: Estimator) -> bool:
    """Whether a score says anything of a face: the face was answered, and by more than a bias."""
    return answered(scores.embedding) and scores.by(estimator).scatters
