"""How a `compact` is made: a small network learns from a recogniser that already knows faces.

The student sees a view of a face, clean or ruined, and is told the teacher's embedding of the clean
face, shortened to what the teacher itself could still recognise in a view as bad (`lesson.py`).
Looking at the degraded view with the teacher would teach it that all ruined faces are alike, and
it would be sure of them (docs/training.md).

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

No quality label enters, and no subject: the teacher's embeddings are all that is known. Everything
that is drawn depends on the seed and the number of the step, so that a training that was
interrupted ends as it would have.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Dataset

from serfiq_core.errors import TrainingError
from serfiq_core.recognition.compact import DROPOUT_RATE, EMBEDDING_SIZE, MEAN, STD, Compact
from serfiq_core.recognition.weights import UNREADABLE
from serfiq_core.training.filter_steps import FilterSteps
from serfiq_core.training.lesson import Lesson
from serfiq_core.training.scatter import (
    breadth_loss,
    covariances,
    directions_loss,
    mean_and_shares,
)
from serfiq_core.training.views import random_view

CHECKPOINT_STEPS = 100
"""About a minute on a CPU: no more is lost."""

DIRECTION_FACES = 16
"""Of a batch, whose `Σ` are computed: each takes `F × E²` multiplications."""

SMALLEST_SQUARED = 1e-4
"""Below which neither scatter nor error is told apart: targets have unit norm."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that a training depends on besides its lesson.

    `batch`: views a step. `others`: faces that their outputs are told from, besides one another.
    `contrast_scale`: by which cosines are multiplied before the softmax.
    `contrast`, `scatter`, `breadth`, `directions`: weights of these losses beside the fit.
    `least_breadth`, `least_directions`: how many features, and how many directions of the output,
    of equal share the scatter is to be like, at least. `averaging`: how much of the running average
    of the weights each step keeps; the average is the result. `bfloat16`: convolutions are computed
    in it, which takes a CPU that has instructions for it two thirds of the time; weights, head and
    losses stay in float32.
    """

    steps: int
    batch: int = 128
    others: int = 8192
    peak_learning_rate: float = 4e-3
    warm_up: float = 0.1
    weight_decay: float = 0.05
    gradient_norm: float = 5.0
    least_breadth: float = 256.0
    least_directions: float = 64.0
    contrast: float = 0.2
    contrast_scale: float = 20.0
    scatter: float = 0.2
    breadth: float = 0.2
    directions: float = 0.2
    averaging: float = 0.995
    bfloat16: bool = False
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Progress:
    """After a step: how many were made, and its losses."""

    step: int
    losses: dict[str, float]


def distil(
    lesson: Lesson,
    recipe: Recipe,
    device: torch.device,
    checkpoint: Path | None = None,
    *,
    workers: int = 1,
    advance: Callable[[Progress], None] = lambda _: None,
) -> dict[str, torch.Tensor]:
    """Train a student, and give the state dict of a `Compact`.

    Args:
        lesson: to be learnt.
        recipe: how.
        device: where.
        checkpoint: a file that is written every so often, and gone on from if it is there.
        workers: processes that draw views.
        advance: told after every step.

    Raises:
        TrainingError: the teacher's embeddings are of another size; or the checkpoint cannot be
            read, or was made by another recipe or of another lesson.
    """
    if lesson.embeddings.shape[1] != EMBEDDING_SIZE:
        size = lesson.embeddings.shape[1]
        raise TrainingError(f"the teacher gives {size} values, and compact has {EMBEDDING_SIZE}")
    student = Student(recipe, device, lesson.source)
    if checkpoint is not None and checkpoint.exists():
        student.resume(checkpoint)
    steps = range(student.step, recipe.steps)
    # One tensor a batch, made by the step's number alone: the order of the workers does not matter.
    for views in DataLoader(
        _Views(lesson, recipe), batch_size=None, sampler=steps, num_workers=workers
    ):
        losses = student.learn(*(part.to(device, non_blocking=True) for part in views))
        advance(Progress(student.step, losses))
        if checkpoint is not None and student.step % CHECKPOINT_STEPS == 0:
            student.save(checkpoint)
    return student.result()


class Student:
    """A network in training, its optimiser and the running average of its weights."""

    def __init__(self, recipe: Recipe, device: torch.device, lesson: str = "") -> None:
        """`lesson`: of which it learns; the checkpoint of another is refused."""
        torch.manual_seed(recipe.seed)
        self.recipe = recipe
        self.lesson = lesson
        self.step = 0
        self._network = Compact().to(device)
        self._network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        # Targets have unit norm: outputs begin there, and not at √E.
        nn.init.constant_(self._network.bn.weight, 1 / math.sqrt(EMBEDDING_SIZE))
        self._average = AveragedModel(
            self._network,
            multi_avg_fn=get_ema_multi_avg_fn(recipe.averaging),  # type: ignore[no-untyped-call]
            use_buffers=True,
        )
        filters = [each for each in self._network.body.parameters() if each.ndim == 4]
        self._filter_steps = FilterSteps(filters, recipe.peak_learning_rate, recipe.weight_decay)
        self._optimiser = torch.optim.AdamW(self._groups(filters), recipe.peak_learning_rate)
        self._schedule = _one_cycle(self._optimiser, recipe, cycle_momentum=True)
        # Muon's own momentum is what its steps are made of, and stays.
        self._filter_schedule = _one_cycle(
            self._filter_steps.optimiser, recipe, cycle_momentum=False
        )
        self._generator = torch.Generator(device)

    def learn(
        self,
        pixels: torch.Tensor,
        targets: torch.Tensor,
        retained: torch.Tensor,
        faces: torch.Tensor,
        others: torch.Tensor,
        other_faces: torch.Tensor,
    ) -> dict[str, float]:
        """Make one step, and tell its losses.

        Args:
            pixels: `B × 3 × 112 × 112` uint8, RGB.
            targets: `B × E`, unit norm.
            retained: `B`, what each view leaves of its face.
            faces: `B`, which face each view is of: views of one are not told apart.
            others: `N × E`, unit norm, targets that the views are told from too.
            other_faces: `N`, whose they are.
        """
        self._network.train()
        self._generator.manual_seed(self.recipe.seed * self.recipe.steps + self.step)
        known = _Known(torch.cat([targets, others]), torch.cat([faces, other_faces]))
        losses = self._losses(_normalised(pixels), targets, retained, known)
        self._network.zero_grad()
        torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._network.parameters(), self.recipe.gradient_norm)
        self._optimiser.step()
        self._filter_steps.step()
        self._schedule.step()
        self._filter_schedule.step()
        self._average.update_parameters(self._network)
        self.step += 1
        # At once: each number that is asked for waits for the device.
        told = torch.stack([loss.detach() for loss in losses.values()]).tolist()
        return dict(zip(losses, told, strict=True))

    def save(self, path: Path) -> None:
        """Keep everything that going on takes."""
        unfinished = path.with_suffix(".unfinished")
        torch.save(self._state(), unfinished)
        unfinished.rename(path)

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint.

        Raises:
            TrainingError: it cannot be read, or was made by another recipe or of another lesson.
        """
        try:
            kept = torch.load(path, map_location="cpu", weights_only=True)
            same = (kept["recipe"], kept["lesson"]) == (asdict(self.recipe), self.lesson)
            if not same or kept.keys() != self._state().keys():
                raise TrainingError(
                    f"{path} was made by another recipe or of another lesson: "
                    "move it away to begin anew"
                )
            for name, part in self._parts().items():
                part.load_state_dict(kept[name])
            self.step = kept["step"]
        except UNREADABLE as error:
            raise TrainingError(f"{path} is no checkpoint that can be read: {error}") from error

    def result(self) -> dict[str, torch.Tensor]:
        """The averaged weights, on the CPU."""
        return {
            name: tensor.cpu().contiguous()
            for name, tensor in self._average.module.state_dict().items()
            if not name.endswith("num_batches_tracked")
        }

    def _losses(
        self,
        pixels: torch.Tensor,
        targets: torch.Tensor,
        retained: torch.Tensor,
        known: "_Known",
    ) -> dict[str, torch.Tensor]:
        network, recipe = self._network, self.recipe
        with torch.autocast(pixels.device.type, torch.bfloat16, enabled=recipe.bfloat16):
            features = network.body(pixels).flatten(1)
        features = features.float()
        masks = torch.rand(features.shape, generator=self._generator, device=features.device)
        kept = features * (masks >= DROPOUT_RATE) / (1 - DROPOUT_RATE)
        raw = network.fc(kept)
        network.bn(raw)  # for its running statistics, of outputs under dropout
        mean, shares = mean_and_shares(network, features, raw)
        scatter = shares.sum(1)
        error = (mean - targets).square().sum(1).detach()
        return {
            "fit": (mean - retained[:, None] * targets).square().sum(1).mean(),
            "contrast": recipe.contrast * (retained * self._contrast(mean, known)).mean(),
            "scatter": recipe.scatter * (_log(scatter) - _log(error)).square().mean(),
            "breadth": recipe.breadth * breadth_loss(shares, recipe.least_breadth),
            "directions": recipe.directions
            * directions_loss(
                covariances(network, features[:DIRECTION_FACES], raw), recipe.least_directions
            ),
        }

    def _contrast(self, means: torch.Tensor, known: "_Known") -> torch.Tensor:
        """Of each mean output, the cross-entropy of its own target among all that are known."""
        own = torch.arange(len(means), device=means.device)
        same = known.faces[own][:, None] == known.faces
        same[own, own] = False
        cosines = F.normalize(means) @ known.targets.T
        logits = (self.recipe.contrast_scale * cosines).masked_fill(same, -torch.inf)
        return F.cross_entropy(logits, own, reduction="none")

    def _groups(self, without: Sequence[nn.Parameter]) -> list[dict[str, object]]:
        """Weights decay; biases and what batch norms learn do not."""
        left_out = set(map(id, without))
        parameters = [each for each in self._network.parameters() if id(each) not in left_out]
        return [
            {
                "params": [each for each in parameters if each.ndim > 1],
                "weight_decay": self.recipe.weight_decay,
            },
            {"params": [each for each in parameters if each.ndim <= 1], "weight_decay": 0.0},
        ]

    def _parts(self) -> dict[str, Any]:
        return {
            "network": self._network,
            "average": self._average,
            "optimiser": self._optimiser,
            "schedule": self._schedule,
            "filter_optimiser": self._filter_steps.optimiser,
            "filter_schedule": self._filter_schedule,
        }

    def _state(self) -> dict[str, object]:
        parts = {name: part.state_dict() for name, part in self._parts().items()}
        known = {"recipe": asdict(self.recipe), "lesson": self.lesson, "step": self.step}
        return {**known, **parts}


@dataclass(frozen=True, slots=True)
class _Known:
    """Targets to be told apart, `N × E`, and whose they are, `N`: those of the views come first."""

    targets: torch.Tensor
    faces: torch.Tensor


class _Views(Dataset[tuple[torch.Tensor, ...]]):
    """The batch of each step, as `Student.learn` takes it."""

    def __init__(self, lesson: Lesson, recipe: Recipe) -> None:
        self._lesson = lesson
        self._recipe = recipe

    def __getitem__(self, step: int) -> tuple[torch.Tensor, ...]:
        faces = np.array(list(self._faces(step)))
        rng = np.random.default_rng((self._recipe.seed, step, 1))
        views = [random_view(self._lesson.faces[face], rng) for face in faces]
        pixels = np.stack([view.pixels for view in views])
        retained = [self._lesson.retained(view.damages) for view in views]
        others = rng.integers(0, len(self._lesson.faces), self._recipe.others)
        return (
            torch.from_numpy(pixels).permute(0, 3, 1, 2),
            torch.from_numpy(self._lesson.embeddings[faces]),
            torch.tensor(retained, dtype=torch.float32),
            torch.from_numpy(faces),
            torch.from_numpy(self._lesson.embeddings[others]),
            torch.from_numpy(others),
        )

    def _faces(self, step: int) -> Iterator[int]:
        """Every face once, in a new order, before any comes again."""
        count, batch = len(self._lesson.faces), self._recipe.batch
        first, last = step * batch, (step + 1) * batch
        for epoch in range(first // count, (last - 1) // count + 1):
            order = np.random.default_rng((self._recipe.seed, epoch, 0)).permutation(count)
            start, end = max(first - epoch * count, 0), min(last - epoch * count, count)
            yield from order[start:end].tolist()


def _one_cycle(
    optimiser: torch.optim.Optimizer, recipe: Recipe, *, cycle_momentum: bool
) -> torch.optim.lr_scheduler.OneCycleLR:
    return torch.optim.lr_scheduler.OneCycleLR(
        optimiser,
        recipe.peak_learning_rate,
        recipe.steps,
        pct_start=recipe.warm_up,
        cycle_momentum=cycle_momentum,
    )


def _normalised(pixels: torch.Tensor) -> torch.Tensor:
    scaled = (pixels.float() - MEAN) / STD
    return scaled.contiguous(memory_format=torch.channels_last)


def _log(squared: torch.Tensor) -> torch.Tensor:
    return squared.clamp_min(SMALLEST_SQUARED).log()
