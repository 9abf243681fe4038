"""The affine head that keeps a recogniser's embeddings best under dropout, in closed form.

A recogniser trained without dropout may lean on few features, or on large ones that cancel. Its
head `y = W s + β` is re-fitted to its own outputs of unlabelled photographs, dropout in front:

    minimise over V, γ:   E over photographs and masks of ‖V s_z + γ − (W s + β)‖²

where `s` are the `C` values that the matrix meets and `s_z` the same under dropout. Dropout keeps
their mean and adds independent noise of variance `a·v`, `a = p/(1 − p)`. (For a head that is one
matrix `v = s²`: Wager et al., "Dropout Training as Adaptive Regularization", NIPS 2013.) So the
sum splits into a misfit and a ridge. With `S` the covariance of `s` and `D = diag(E v)` it is least
at

    V = W S (S + a D)⁻¹,   γ = β + (W − V) E s

No label, no learning rate, no seed; the photographs are seen once, in any order. This file knows no
files, no photographs and no networks.
"""

import torch

from serfiq_core.errors import TrainingError
from serfiq_core.recognition.head import AffineHead
from serfiq_core.scoring.score import check_rate

FLOOR = 1e-9
"""Least ridge, as a share of the largest noise: features that are always zero have none, and the
system would be singular."""


def check_count(faces: int, head: AffineHead) -> None:
    """Refuse to fit a head to fewer faces than its matrix has columns: what it does to directions
    that none of them shows would be lost.

    Raises:
        TrainingError: they are fewer.
    """
    columns = head.matrix.shape[1]
    if faces < columns:
        raise TrainingError(
            f"a head whose matrix has {columns:,} columns is fitted to as many faces at least, "
            f"and there are {faces:,}"
        )


class HeadFit:
    """Gathers the moments of features batch by batch; `solve` gives the head.

    Memory: one `C × C` matrix of float64, and three more while it is solved.

    Args:
        head: the one to re-fit.
    """

    def __init__(self, head: AffineHead) -> None:
        self._head = head
        columns = head.matrix.shape[1]
        self.count = 0
        self._sum = torch.zeros(columns, dtype=torch.float64)
        self._products = torch.zeros(columns, columns, dtype=torch.float64)
        self._noise = torch.zeros(columns, dtype=torch.float64)

    def add(self, features: torch.Tensor) -> None:
        """Count `B × F` features."""
        inputs, noise = (each.double().cpu() for each in self._head.into_matrix(features))
        self.count += len(inputs)
        self._sum += inputs.sum(0)
        self._products.addmm_(inputs.T, inputs)
        self._noise += noise.sum(0)

    def solve(self, rate: float) -> AffineHead:
        """The head fitted under dropout at `rate`, in (0, 1).

        Raises:
            ConfigurationError: `rate` lies outside [0, 1).
            TrainingError: the features are all zero, or of too few faces: see `check_count`.
        """
        check_rate(rate)
        matrix = self._head.matrix.double().cpu()
        check_count(self.count, self._head)
        mean = self._sum / self.count
        covariance = self._products / self.count - torch.outer(mean, mean)
        noise = self._noise / self.count
        if not noise.any():
            raise TrainingError("the recogniser answers all faces with zeros in front of its head")
        ridge = (rate / (1 - rate) * noise).clamp_min(FLOOR * float(noise.max()))
        system = covariance + torch.diag(ridge)
        fitted = torch.linalg.solve(system, covariance @ matrix.T).T
        bias = self._head.bias.double().cpu() + (matrix - fitted) @ mean
        return self._head.refitted(fitted, bias)
