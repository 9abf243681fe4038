"""The three networks of MTCNN (Zhang et al., IEEE Signal Processing Letters 23(10), 2016).

Modules are registered in the order in which the weight files list their arrays, which is what
`mtcnn_weights.py` relies on. Pooling rounds up (`ceil_mode`), as in the Caffe original; it is said
only of the first of R-Net and O-Net, since maps of 9, 21 and 8 leave the others nothing to round.
This file knows no images and no boxes.
"""

import torch
from torch import nn


class MapLinear(nn.Linear):
    """A linear layer on a flattened map: `B × C × H × W` → `B × outputs`."""

    def __init__(self, channels: int, side: int, outputs: int) -> None:
        super().__init__(channels * side * side, outputs)
        self.map_shape = (channels, side, side)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`B × C × H × W` → `B × outputs`."""
        return super().forward(x.flatten(1))


class WidePReLU(nn.PReLU):
    """PReLU of few channels, a fifth of the time on a CPU.

    torch takes the slopes of one pixel at a time, and ten are few for a vector instruction. Here
    they are those of a whole row of pixels.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`B × C × H × W`, channels last in memory, → the same."""
        pixels = x.permute(0, 2, 3, 1)
        rows = nn.functional.prelu(pixels.flatten(0, 1).flatten(1), self.weight.repeat(x.shape[3]))
        return rows.view(pixels.shape).permute(0, 3, 1, 2)


class HalvingPool(nn.Module):
    """The greatest of 2×2 values, a fifth of the time of torch's on a CPU.

    Rounded down: what rounding up adds are windows with a pixel too few.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`B × C × H × W` → `B × C × ⌊H/2⌋ × ⌊W/2⌋`."""
        height, width = (side // 2 * 2 for side in x.shape[2:])
        rows = torch.maximum(x[:, :, :height:2], x[:, :, 1:height:2])
        return torch.maximum(rows[..., :width:2], rows[..., 1:width:2])


class ProposalNetwork(nn.Module):
    """P-Net: looks at every 12×12 window of an image, two pixels apart."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 10, 3),
            WidePReLU(10),
            HalvingPool(),
            nn.Conv2d(10, 16, 3),
            nn.PReLU(16),
            nn.Conv2d(16, 32, 3),
            nn.PReLU(32),
        )
        self.offsets = nn.Conv2d(32, 4, 1)
        self.classes = nn.Conv2d(32, 2, 1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """`B × 3 × H × W` → face probability `B × h × w`, features `B × 32 × h × w`."""
        x = self.body(x)
        # Face minus not a face in one convolution: a third of the time of two.
        weight, bias = (parameter.diff(dim=0) for parameter in self.classes.parameters())
        return torch.sigmoid(nn.functional.conv2d(x, weight, bias)[:, 0]), x

    def offsets_at(self, features: torch.Tensor) -> torch.Tensor:
        """Features of some windows, `N × 32` → their box offsets, `N × 4`.

        Hardly one window in a hundred is likely to show a face.
        """
        return nn.functional.linear(features, self.offsets.weight.flatten(1), self.offsets.bias)


class RefinementNetwork(nn.Module):
    """R-Net: rejects most of what P-Net proposes, and moves the rest."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 28, 3),
            nn.PReLU(28),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            nn.Conv2d(28, 48, 3),
            nn.PReLU(48),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(48, 64, 2),
            nn.PReLU(64),
            MapLinear(64, 3, 128),
            nn.PReLU(128),
        )
        self.offsets = nn.Linear(128, 4)
        self.classes = nn.Linear(128, 2)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """`B × 3 × 24 × 24` → face probability `B`, box offsets `B × 4`."""
        x = self.body(x)
        return _face_probability(self.classes(x)), self.offsets(x)


class OutputNetwork(nn.Module):
    """O-Net: decides, and places the landmarks."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 32, 3),
            nn.PReLU(32),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            nn.Conv2d(32, 64, 3),
            nn.PReLU(64),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(64, 64, 3),
            nn.PReLU(64),
            nn.MaxPool2d(2, 2),
            nn.Conv2d(64, 128, 2),
            nn.PReLU(128),
            MapLinear(128, 3, 256),
            nn.PReLU(256),
        )
        self.offsets = nn.Linear(256, 4)
        self.landmarks = nn.Linear(256, 10)
        self.classes = nn.Linear(256, 2)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """`B × 3 × 48 × 48` → face probability `B`, box offsets `B × 4`, landmarks `B × 2 × 5`.

        Landmarks are x (first row) and y of the five points, as fractions of the crop.
        """
        x = self.body(x)
        landmarks = self.landmarks(x).unflatten(1, (2, 5))
        return _face_probability(self.classes(x)), self.offsets(x), landmarks


def _face_probability(classes: torch.Tensor) -> torch.Tensor:
    """The second of two classes, "not a face" and "face": softmax over dimension 1."""
    return torch.sigmoid(classes[:, 1] - classes[:, 0])
