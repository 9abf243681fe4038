"""IResNet, the improved residual network of ArcFace, in the layout of arcface_torch's state dicts.

Deng et al., ArcFace, CVPR 2019: BN–Conv–BN–PReLU–Conv–BN blocks, and the head
BN → dropout → flatten → linear → BN. The dropout site is the flattened 512×7×7 map in front of
the linear layer, as in the paper's training.
"""

import torch
from torch import nn

from serfiq_core.recognition.head import AffineHead
from serfiq_core.recognition.network import Network, fold_batch_norm, without_batch_norms
from serfiq_core.recognition.weights import StateDict, fill

BLOCKS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 14, 3),
    100: (3, 13, 30, 3),
    200: (6, 26, 60, 6),
}
"""Depth → residual blocks of each of the four stages."""

CHANNELS = (64, 128, 256, 512)
MAP_SHAPE = (512, 7, 7)
FEATURE_COUNT = 512 * 7 * 7
EMBEDDING_SIZE = 512


class Block(nn.Module):
    """BN–Conv–BN–PReLU–Conv–BN and a shortcut; the second convolution strides."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.prelu = nn.PReLU(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, stride, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`B × C × H × W` → `B × C' × H' × W'`."""
        y = self.prelu(self.bn2(self.conv1(self.bn1(x))))
        output: torch.Tensor = self.bn3(self.conv2(y)) + self.downsample(x)
        return output


class IResNet(nn.Module):
    """The whole network; without dropout at inference."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, CHANNELS[0], 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(CHANNELS[0])
        self.prelu = nn.PReLU(CHANNELS[0])
        inputs = CHANNELS[0]
        for stage, (outputs, blocks) in enumerate(zip(CHANNELS, BLOCKS[depth], strict=True), 1):
            layers = [Block(inputs, outputs, 2)]
            layers += [Block(outputs, outputs, 1) for _ in range(blocks - 1)]
            self.add_module(f"layer{stage}", nn.Sequential(*layers))
            inputs = outputs
        self.bn2 = nn.BatchNorm2d(CHANNELS[-1])
        self.fc = nn.Linear(FEATURE_COUNT, EMBEDDING_SIZE)
        self.features = nn.BatchNorm1d(EMBEDDING_SIZE)

    def backbone(self) -> nn.Sequential:
        """Everything before the dropout site: `B × 3 × 112 × 112` → `B × 25,088`."""
        stages = [self.get_submodule(f"layer{stage}") for stage in range(1, 5)]
        return nn.Sequential(self.conv1, self.bn1, self.prelu, *stages, self.bn2, nn.Flatten())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`B × 3 × 112 × 112` → `B × 512`."""
        output: torch.Tensor = self.features(self.fc(self.backbone()(x)))
        return output


def load(state: StateDict, depth: int) -> Network:
    """Cut the network of these weights in front of its linear layer.

    Raises:
        WeightsError: the weights are of another network or depth.
    """
    with torch.device("meta"):  # 50 to 250 MB of random weights would be drawn only to be replaced
        empty = IResNet(depth)
    whole = empty.to_empty(device="cpu")
    fill(whole, state, f"IResNet-{depth}")
    chain = nn.Sequential(nn.Flatten(), fold_batch_norm(whole.fc, whole.features))
    backbone = without_batch_norms(whole.backbone())
    return Network(backbone, AffineHead(chain, FEATURE_COUNT, MAP_SHAPE))
