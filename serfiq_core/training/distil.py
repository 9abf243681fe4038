"""How a `compact` is made: a small network learns from a recogniser that already knows faces.

The student sees a view of a face, clean or ruined, and is told the teacher's embedding of the clean
face, shortened to what the teacher itself could still recognise in a view as bad (`lesson.py`).
Looking at the degraded view with the teacher would teach it that all ruined faces are alike, and
it would be sure of them (docs/training.md). What its outputs are judged by is in `losses.py`.

No quality label enters, and no subject: the teacher's embeddings are all that is known. Everything
that is drawn depends on the seed and the number of the step, so that a training that was
interrupted ends as it would have.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from serfiq_core.errors import TrainingError
from serfiq_core.recognition.compact import DROPOUT_RATE, EMBEDDING_SIZE, MEAN, STD, Compact
from serfiq_core.recognition.weights import UNREADABLE, what_is_wrong
from serfiq_core.training.filter_steps import FilterSteps
from serfiq_core.training.lesson import Lesson
from serfiq_core.training.losses import ContrastTargets, losses_of
from serfiq_core.training.recipe import Recipe
from serfiq_core.training.view_batches import ViewBatches
from serfiq_core.whole_files import appearing_whole

CHECKPOINT_STEPS = 100
"""About a minute on a CPU: no more is lost."""


@dataclass(frozen=True, slots=True)
class Progress:
    """After a step: how many were made, and its losses."""

    step: int
    losses: dict[str, float]


def check_size(embedding_size: int) -> None:
    """Refuse a teacher that gives another number of values than a `Compact`.

    Raises:
        TrainingError: it does.
    """
    if embedding_size != EMBEDDING_SIZE:
        raise TrainingError(
            f"the teacher gives {embedding_size} values, and compact has {EMBEDDING_SIZE}"
        )


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
        advance: called after every step.

    Raises:
        TrainingError: the teacher's embeddings are of another size; or the checkpoint cannot be
            read or written, or was made by another recipe or of another lesson.
    """
    check_size(lesson.embeddings.shape[1])
    student = Student(recipe, device, lesson.source)
    if checkpoint is not None and checkpoint.exists():
        student.resume(checkpoint)
    steps = range(student.step, recipe.steps)
    # One tensor a batch, made by the step's number alone: the order of the workers does not matter.
    batches = DataLoader(
        ViewBatches(lesson, recipe), batch_size=None, sampler=steps, num_workers=workers
    )
    with _convolutions_in_tf32(device):
        for views in batches:
            losses = student.learn(*(part.to(device, non_blocking=True) for part in views))
            advance(Progress(student.step, losses))
            if checkpoint is not None and student.step % CHECKPOINT_STEPS == 0:
                student.save(checkpoint)
    return student.result()


@contextmanager
def _convolutions_in_tf32(device: torch.device) -> Iterator[None]:
    """On a GPU: the teacher is exact, and the steps need not be."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = before or device.type == "cuda"
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


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
        # Targets have unit norm: outputs begin at that norm, not at √E.
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
        # Muon makes its steps of its momentum, which the schedule must leave alone.
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
        known = ContrastTargets(torch.cat([targets, others]), torch.cat([faces, other_faces]))
        features, raw = self._forward(_normalised(pixels))
        losses = losses_of(self._network, features, raw, retained, known, self.recipe)
        self._network.zero_grad()
        torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._network.parameters(), self.recipe.gradient_norm)
        self._optimiser.step()
        self._filter_steps.step()
        self._schedule.step()
        self._filter_schedule.step()
        self._average.update_parameters(self._network)
        self.step += 1
        # All in one transfer: each would wait for the device.
        told = torch.stack([loss.detach() for loss in losses.values()]).tolist()
        return dict(zip(losses, told, strict=True))

    def save(self, path: Path) -> None:
        """Store all that it takes to go on.

        Raises:
            TrainingError: it cannot be written; an earlier checkpoint stays.
        """
        try:
            with appearing_whole(path) as unfinished:
                torch.save(self._state(), unfinished)
        except (OSError, RuntimeError) as error:
            raise TrainingError(f"{path} cannot be written: {error}") from error

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
            raise TrainingError(
                f"{path} is no checkpoint that can be read: {what_is_wrong(error)}"
            ) from error

    def result(self) -> dict[str, torch.Tensor]:
        """The averaged weights, on the CPU."""
        return {
            name: tensor.cpu().contiguous()
            for name, tensor in self._average.module.state_dict().items()
            if not name.endswith("num_batches_tracked")
        }

    def _forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Features, `B × F`, and what the last batch norm sees of them under dropout, `B × E`."""
        network = self._network
        with torch.autocast(pixels.device.type, torch.bfloat16, enabled=self.recipe.bfloat16):
            features = network.body(pixels).flatten(1)
        features = features.float()
        masks = torch.rand(features.shape, generator=self._generator, device=features.device)
        raw = network.fc(features * (masks >= DROPOUT_RATE) / (1 - DROPOUT_RATE))
        network.bn(raw)  # for its running statistics
        return features, raw

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
