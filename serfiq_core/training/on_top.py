"""Training the on-top network by the paper's recipe.

Terhörst et al., CVPR 2020, section 4. The paper does not say how embeddings are scaled and weights
begin: here at length `√E`, and by Glorot and Bengio (AISTATS 2010), as tanh networks are. One
identity more or less is one output; those with a single photograph teach nothing that others do not
and are left out. This file knows no files.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from serfiq_core.errors import TrainingError
from serfiq_core.recognition.on_top import OnTopHead, OnTopNetwork

FEWEST_SUBJECTS = 2
"""With two photographs or more each."""

ADADELTA_DECAY, ADADELTA_EPSILON = 0.95, 1e-7
"""ρ of Zeiler's paper (2012), ε of Keras; the learning rate is 1, which is to say none."""


@dataclass(frozen=True, slots=True)
class OnTopRecipe:
    """The paper's, unless given."""

    epochs: int = 100
    batch_size: int = 1024
    dropout_rate: float = 0.5
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Trained:
    """A head, and what it has seen. `loss`: the last epoch's, binary cross-entropy."""

    head: OnTopHead
    photographs: int
    subjects: int
    loss: float


def train(
    embeddings: npt.NDArray[np.float32],
    subjects: Sequence[str],
    recipe: OnTopRecipe,
    *,
    device: torch.device,
    advance: Callable[[int], None] = lambda _count: None,
) -> Trained:
    """Train on embeddings, `N × E`, and the names of their `N` subjects.

    Args:
        embeddings: of any length; none is zero.
        subjects: those with one photograph only are left out.
        recipe: how.
        device: where.
        advance: called with the number of epochs finished since the last call.

    Raises:
        TrainingError: fewer than two subjects have two photographs.
    """
    counts = Counter(subjects)
    names = sorted(name for name, count in counts.items() if count > 1)
    if len(names) < FEWEST_SUBJECTS:
        raise TrainingError(
            f"an on-top head is trained on {FEWEST_SUBJECTS} subjects at least with two "
            f"photographs or more each, and of {len(counts)} there are {len(names)}"
        )
    numbers = {name: number for number, name in enumerate(names)}
    kept = [row for row, name in enumerate(subjects) if name in numbers]
    labels = torch.tensor([numbers[subjects[row]] for row in kept])
    generator = torch.Generator().manual_seed(recipe.seed)
    network = OnTopNetwork(embeddings.shape[1])
    classifier = nn.Linear(network.embedding_size, len(names))
    whole = nn.ModuleList([network, classifier])
    _begin(whole, generator)
    whole.to(device)
    inputs = network.prepared(torch.from_numpy(embeddings[kept]))
    loss = 0.0
    optimiser = torch.optim.Adadelta(
        whole.parameters(), lr=1.0, rho=ADADELTA_DECAY, eps=ADADELTA_EPSILON
    )
    for _ in range(recipe.epochs):
        loss = 0.0
        order = torch.randperm(len(kept), generator=generator)
        for rows in torch.split(order, recipe.batch_size):
            batch, of_batch = inputs[rows].to(device), labels[rows].to(device)
            step = _loss(network, classifier, batch, of_batch, recipe.dropout_rate, generator)
            optimiser.zero_grad()
            torch.autograd.backward(step)
            optimiser.step()
            loss += step.item() * len(rows) / len(kept)
        advance(1)
    head = OnTopHead(network.cpu(), recipe.dropout_rate)
    return Trained(head, len(kept), len(names), loss)


def _begin(whole: nn.Module, generator: torch.Generator) -> None:
    for layer in whole.modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight, generator=generator)
            nn.init.zeros_(layer.bias)


def _loss(
    network: OnTopNetwork,
    classifier: nn.Linear,
    inputs: torch.Tensor,
    labels: torch.Tensor,
    rate: float,
    generator: torch.Generator,
) -> torch.Tensor:
    """Binary cross-entropy over identities, each of them one yes or no."""

    def dropout(_place: int, values: torch.Tensor) -> torch.Tensor:
        # Drawn on the CPU, so that a seed gives the same masks on every device.
        kept = torch.rand(values.shape, generator=generator) >= rate
        return values * kept.to(values.device) / (1 - rate)

    outputs = classifier(dropout(-1, network(inputs, dropout)))
    wanted = nn.functional.one_hot(labels, classifier.out_features).to(outputs)
    return nn.functional.binary_cross_entropy_with_logits(outputs, wanted)
