"""What a student sees at each step: views of faces of a lesson, by the number of the step alone."""

from collections.abc import Iterator

import numpy as np
import torch
from torch.utils.data import Dataset

from serfiq_core.training.lesson import Lesson
from serfiq_core.training.recipe import Recipe
from serfiq_core.training.views import random_view


class ViewBatches(Dataset[tuple[torch.Tensor, ...]]):
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
