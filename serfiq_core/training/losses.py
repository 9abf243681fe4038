"""What a student's outputs are judged by.

Five losses, of a view with dropout rate p = 0.4 behind the map:

* fit: the squared distance of the mean output `μ` to the shortened target;
* contrast: the mean outputs are told from thousands of other faces of the lesson, as far as the
  view leaves something to tell by. Were outputs under dropout told from them, they would scatter
  less than the student errs, against the next loss, and both would be learnt worse;
* scatter: the variance under dropout, `t = tr Σ` of the closed form (docs/method.md), is to be the
  squared error `‖μ − target‖²` that the student makes against the whole target. Dropout then
  scatters an embedding as far as it is likely to be wrong, which is what SER-FIQ reads off it;
* breadth: `t` is a sum over features, `a Σ f_k²‖w_k‖²`, and many must share in it. One large
  feature would do for the loss above; but passes would then be of two kinds, with it and without,
  which the closed form does not expect, and a score would depend on which masks the seed drew;
* directions: `Σ` is to have many directions of the `E` there are. Scatter in a few of them, which
  embeddings leave alone, is noise put beside an embedding and no doubt about it. The scatter loss
  cannot tell; but `‖y‖²` would then vary so much that the closed form's expansion breaks down.
"""

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from serfiq_core.recognition.compact import Compact
from serfiq_core.training.recipe import Recipe
from serfiq_core.training.scatter import (
    breadth_loss,
    covariances,
    directions_loss,
    mean_and_shares,
)

DIRECTION_FACES = 16
"""Of a batch, whose `Σ` are computed: each takes `F × E²` multiplications."""

SMALLEST_SQUARED = 1e-4
"""Below which neither scatter nor error is told apart: targets have unit norm."""


@dataclass(frozen=True, slots=True)
class ContrastTargets:
    """Targets to be told apart, `N × E`, and whose they are, `N`: those of the views come first."""

    targets: torch.Tensor
    faces: torch.Tensor


def losses_of(
    network: Compact,
    features: torch.Tensor,
    raw: torch.Tensor,
    retained: torch.Tensor,
    known: ContrastTargets,
    recipe: Recipe,
) -> dict[str, torch.Tensor]:
    """The five losses of a batch of views, each with its weight.

    Args:
        network: in training.
        features: `B × F`, without dropout.
        raw: `B × E`, of features under dropout, what the last batch norm sees.
        retained: `B`, what each view leaves of its face.
        known: the targets of the views, and of others.
        recipe: its weights, and how much breadth and how many directions it asks for.
    """
    targets = known.targets[: len(features)]
    mean, shares = mean_and_shares(network, features, raw)
    scatter = shares.sum(1)
    error = (mean - targets).square().sum(1).detach()
    fit = (mean - retained[:, None] * targets).square().sum(1).mean()
    told_apart = (retained * contrast(mean, known, recipe.contrast_scale)).mean()
    doubt = (_log(scatter) - _log(error)).square().mean()
    some = covariances(network, features[:DIRECTION_FACES], raw)
    return {
        "fit": fit,
        "contrast": recipe.contrast * told_apart,
        "scatter": recipe.scatter * doubt,
        "breadth": recipe.breadth * breadth_loss(shares, recipe.least_breadth),
        "directions": recipe.directions * directions_loss(some, recipe.least_directions),
    }


def contrast(means: torch.Tensor, known: ContrastTargets, scale: float) -> torch.Tensor:
    """Of each mean output, `B × E`, the cross-entropy of its own target among all that are known.

    `scale`: by which cosines are multiplied before the softmax.
    """
    own = torch.arange(len(means), device=means.device)
    same = known.faces[own][:, None] == known.faces
    same[own, own] = False
    cosines = F.normalize(means) @ known.targets.T
    logits = (scale * cosines).masked_fill(same, -torch.inf)
    return F.cross_entropy(logits, own, reduction="none")


def _log(squared: torch.Tensor) -> torch.Tensor:
    return squared.clamp_min(SMALLEST_SQUARED).log()
