"""Steps of convolutions: equally far in every direction, in the weights themselves."""

import pytest
import torch
from torch import nn

from serfiq_core.training.filter_steps import FilterSteps


def convolution(outputs: int, inputs: int, side: int = 3) -> nn.Conv2d:
    torch.manual_seed(0)
    layer = nn.Conv2d(inputs, outputs, side, bias=False)
    layer.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return layer


@pytest.mark.parametrize(("outputs", "inputs", "side"), [(8, 4, 3), (24, 2, 3), (6, 12, 1)])
def test_every_direction_goes_as_far(outputs: int, inputs: int, side: int) -> None:
    layer = convolution(outputs, inputs, side)
    before = layer.weight.detach().clone()
    steps = FilterSteps([layer.weight], 0.01, weight_decay=0.0)
    # One direction of the gradient is many times as large as any other.
    gradient = torch.randn(outputs, inputs * side**2)
    gradient += 5 * torch.outer(torch.ones(outputs), torch.ones(inputs * side**2))
    layer.weight.grad = gradient.view(outputs, inputs, side, side)
    steps.step()
    moved = (layer.weight.detach() - before).flatten(1)
    sizes = torch.linalg.svdvals(moved)
    expected = 0.01 * 0.2 * max(outputs, inputs * side**2) ** 0.5
    assert sizes.max() < 1.3 * expected
    assert sizes.min() > 0.4 * expected
    assert torch.linalg.svdvals(gradient).max() > 8 * torch.linalg.svdvals(gradient).min()
    assert (moved * gradient).sum() < 0  # downhill


def test_weights_decay() -> None:
    layer = convolution(4, 4)
    before = layer.weight.detach().clone()
    layer.weight.grad = torch.zeros_like(layer.weight)
    FilterSteps([layer.weight], 0.01, weight_decay=0.5).step()
    torch.testing.assert_close(layer.weight.detach(), (1 - 0.01 * 0.5) * before)


def test_weights_that_do_not_lie_channels_last_are_refused() -> None:
    layer = nn.Conv2d(4, 4, 3)
    with pytest.raises(RuntimeError, match="view"):
        FilterSteps([layer.weight], 0.01, weight_decay=0.0)
