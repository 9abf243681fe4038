"""MobileFaceNet (Chen et al., CCBR 2018), in the state-dict layout of `foamliu/MobileFaceNet`.

Everything behind the last ReLU6 is affine: the global depthwise 7×7 convolution, its batch norm,
the 1×1 convolution 512→128 and the last batch norm. So dropout can be applied at two sites:
`map`, the 512×7×7 map in front of that chain (the better one, docs/method.md), or `values`, the
512 values in front of its matrix.
"""

import torch
from torch import nn

from serfiq_core.recognition.head import AffineHead
from serfiq_core.recognition.network import (
    Network,
    batch_norm_scale_and_shift,
    without_batch_norms,
)
from serfiq_core.recognition.weights import StateDict, fill
from serfiq_core.types import MobileFaceNetSite

STAGES = ((2, 64, 5, 2), (4, 128, 1, 2), (2, 128, 6, 1), (4, 128, 1, 2), (2, 128, 2, 1))
"""Expansion, channels, blocks and stride of the first block, of each stage."""
MAP_SHAPE = (512, 7, 7)
EMBEDDING_SIZE = 128


class ConvNormRelu(nn.Sequential):
    """Convolution, batch norm, ReLU6."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU6(),
        )


class InvertedResidual(nn.Module):
    """Expand, depthwise 3×3, project; a shortcut where the shape stays."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.shortcut = stride == 1 and inputs == outputs
        self.conv = nn.Sequential(
            ConvNormRelu(inputs, hidden, 1),
            ConvNormRelu(hidden, hidden, 3, stride, groups=hidden),
            nn.Conv2d(hidden, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`B × C × H × W` → `B × C' × H' × W'`."""
        y: torch.Tensor = self.conv(x)
        return x + y if self.shortcut else y


class DepthwiseSeparable(nn.Module):
    """Depthwise 3×3 and pointwise 1×1, each with batch norm and ReLU (not ReLU6)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, 1, 1, groups=channels, bias=False)
        self.pointwise = nn.Conv2d(channels, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`B × C × H × W`, shape kept."""
        x = self.relu(self.bn1(self.depthwise(x)))
        output: torch.Tensor = self.relu(self.bn2(self.pointwise(x)))
        return output


class GlobalDepthwise(nn.Module):
    """One 7×7 kernel per channel over the whole map, and its batch norm."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 7, groups=channels, bias=False)
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`B × 512 × 7 × 7` → `B × 512 × 1 × 1`."""
        output: torch.Tensor = self.bn(self.depthwise(x))
        return output


class MobileFaceNet(nn.Module):
    """The whole network."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = ConvNormRelu(3, 64, 3, 2)
        self.dw_conv = DepthwiseSeparable(64)
        blocks: list[nn.Module] = []
        inputs = 64
        for expansion, outputs, count, stride in STAGES:
            for block in range(count):
                step = 1 if block else stride
                blocks.append(InvertedResidual(inputs, outputs, step, expansion))
                inputs = outputs
        self.features = nn.Sequential(*blocks)
        self.conv2 = ConvNormRelu(inputs, MAP_SHAPE[0], 1)
        self.gdconv = GlobalDepthwise(MAP_SHAPE[0])
        self.conv3 = nn.Conv2d(MAP_SHAPE[0], EMBEDDING_SIZE, 1)
        self.bn = nn.BatchNorm2d(EMBEDDING_SIZE)

    def to_map(self) -> nn.Sequential:
        """Everything before the affine tail: `B × 3 × 112 × 112` → `B × 512 × 7 × 7`."""
        return nn.Sequential(self.conv1, self.dw_conv, self.features, self.conv2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`B × 3 × 112 × 112` → `B × 128`."""
        output: torch.Tensor = self.bn(self.conv3(self.gdconv(self.to_map()(x))))
        return output.flatten(1)


class MapToValues(nn.Module):
    """The global depthwise convolution with its batch norm folded in, as one weighted sum."""

    kernel: torch.Tensor
    shift: torch.Tensor

    def __init__(self, convolution: GlobalDepthwise) -> None:
        super().__init__()
        scale, shift = batch_norm_scale_and_shift(convolution.bn)
        self.register_buffer("kernel", convolution.depthwise.weight[:, 0] * scale[:, None, None])
        self.register_buffer("shift", shift)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`N × 512 × 7 × 7` → `N × 512`."""
        return (x * self.kernel).sum((2, 3)) + self.shift


def load(state: StateDict, site: MobileFaceNetSite = "map") -> Network:
    """Cut the network of these weights at `site`.

    Raises:
        WeightsError: the weights are of another network.
    """
    whole = MobileFaceNet()
    fill(whole, state, "MobileFaceNet")
    matrix = nn.Linear(MAP_SHAPE[0], EMBEDDING_SIZE)
    scale, shift = batch_norm_scale_and_shift(whole.bn)
    assert whole.conv3.bias is not None
    matrix.weight = nn.Parameter(whole.conv3.weight[:, :, 0, 0] * scale[:, None])
    matrix.bias = nn.Parameter(whole.conv3.bias * scale + shift)
    to_values = MapToValues(whole.gdconv)
    if site == "values":
        backbone = without_batch_norms(nn.Sequential(*whole.to_map(), to_values))
        return Network(backbone, AffineHead(matrix, MAP_SHAPE[0]))
    backbone = without_batch_norms(nn.Sequential(*whole.to_map(), nn.Flatten()))
    feature_count = MAP_SHAPE[0] * MAP_SHAPE[1] * MAP_SHAPE[2]
    return Network(backbone, AffineHead(nn.Sequential(to_values, matrix), feature_count, MAP_SHAPE))
