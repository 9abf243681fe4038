"""`compact`, the embedded recogniser: a small residual network trained with dropout 0.4.

112×112 RGB, `(x − 127.5) / 128` → 128 values; the dropout site is the flattened 64×7×7 map.
Module names are those of the weights in `packs/compact/`.
"""

import torch
from torch import nn

from serfiq_core.recognition.head import AffineHead
from serfiq_core.recognition.network import Network, fold_batch_norm, without_batch_norms
from serfiq_core.recognition.weights import StateDict, fill

STEM_CHANNELS = 24
STAGES = ((40, 1), (80, 3), (144, 3))
"""Channels and blocks of each stage; each halves the map, as the stem does."""
DROPOUT_RATE = 0.4
MEAN, STD = 127.5, 128.0
"""Of every channel, in 8-bit pixel values."""
MAP_SHAPE = (64, 7, 7)
FEATURE_COUNT = 64 * 7 * 7
EMBEDDING_SIZE = 128


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.c1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.b1 = nn.BatchNorm2d(outputs)
        self.c2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.b2 = nn.BatchNorm2d(outputs)
        self.d: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.d = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )
        self.r = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`B × C × H × W` → `B × C' × H' × W'`."""
        y = self.b2(self.c2(self.r(self.b1(self.c1(x)))))
        output: torch.Tensor = self.r(y + self.d(x))
        return output


class Compact(nn.Module):
    """The whole network, as trained; without dropout at inference."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            nn.Conv2d(3, STEM_CHANNELS, 3, 2, 1, bias=False),
            nn.BatchNorm2d(STEM_CHANNELS),
            nn.ReLU(inplace=True),
        ]
        channels = STEM_CHANNELS
        for width, blocks in STAGES:
            for block in range(blocks):
                layers.append(ResidualBlock(channels, width, 1 if block else 2))
                channels = width
        layers += [nn.Conv2d(channels, MAP_SHAPE[0], 1, bias=False), nn.BatchNorm2d(MAP_SHAPE[0])]
        self.body = nn.Sequential(*layers)
        self.fc = nn.Linear(FEATURE_COUNT, EMBEDDING_SIZE)
        self.bn = nn.BatchNorm1d(EMBEDDING_SIZE)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`B × 3 × 112 × 112` → `B × 128`."""
        output: torch.Tensor = self.bn(self.fc(self.body(x).flatten(1)))
        return output


def load(state: StateDict) -> Network:
    """Cut the network of these weights at the site it was trained with.

    Raises:
        WeightsError: the weights are of another network.
    """
    whole = Compact()
    fill(whole, state, "compact")
    chain = nn.Sequential(nn.Flatten(), fold_batch_norm(whole.fc, whole.bn))
    backbone = without_batch_norms(nn.Sequential(whole.body, nn.Flatten()))
    return Network(backbone, AffineHead(chain, FEATURE_COUNT, MAP_SHAPE))
