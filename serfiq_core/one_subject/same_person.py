"""The least cosine between captures of one person, measured where the subjects are known.

The limit belongs to one recogniser, and so into its pack. Numpy only: this file knows embeddings
and names of subjects, no photographs and no packs.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from serfiq_core.errors import ConfigurationError
from serfiq_core.evaluation.bootstrap import RESAMPLES, Interval, draws_of_subjects, interval
from serfiq_core.one_subject.fusion import Floats, consistency, fusion_weights

DRAWS = 20
"""Of two captures from each subject: more than most subjects have pairs."""

LEAST_SURPASSING = 10
"""Pairs of different subjects that must lie beyond the limit. Were it the third lowest of all, the
next three photographs could move it anywhere."""

SEED = 0


@dataclass(frozen=True, slots=True)
class KnownFaces:
    """Faces whose subjects are known.

    `embeddings`: `n × E`, unit norm. `mean_distances`: `n`. `subjects`: `n` names.
    """

    embeddings: Floats
    mean_distances: Floats
    subjects: npt.NDArray[np.str_]

    def by_subject(self, least: int) -> list[npt.NDArray[np.intp]]:
        """The indices of each subject who has at least so many faces."""
        order = np.argsort(self.subjects, kind="stable")
        _, starts = np.unique(self.subjects[order], return_index=True)
        return [faces for faces in np.split(order, starts[1:]) if len(faces) >= least]


@dataclass(frozen=True, slots=True)
class SetOutcomes:
    """What the check says of sets of captures, as shares of `sets`.

    `false_alarms`: sets of one person that are not taken for one. `intruders_seen`: sets with one
    capture of somebody else that are not taken for one person. `intruders_named`: of those, sets in
    which just the intruder is flagged.
    """

    sets: int
    false_alarms: float
    intruders_seen: float
    intruders_named: float


def same_person_cosine(faces: KnownFaces, false_alarms: float) -> float:
    """The limit that so great a share of pairs of one person falls below.

    Pairs, since they are the hardest: the more captures are fused, the steadier they are. Every
    subject counts the same, however many photographs there are.

    Args:
        faces: at least two for each subject that is to count.
        false_alarms: the share, in (0, 1).

    Raises:
        ConfigurationError: too few subjects for so small a share, or a recogniser that cannot tell
            people apart so well: the limit would not be positive.
    """
    check_share(len(faces.by_subject(least=2)), false_alarms)
    limit = float(np.quantile(_cosines(faces), false_alarms))
    if not limit > 0:
        raise ConfigurationError(
            f"{false_alarms:g} of the pairs of one person have a cosine below {limit:.3f}: "
            "with this recogniser no limit can tell them from pairs of two"
        )
    return limit


def check_share(subjects: int, false_alarms: float) -> None:
    """Refuse so many subjects, with two faces or more, for so small a share.

    Raises:
        ConfigurationError: they are too few.
    """
    needed = int(np.ceil(LEAST_SURPASSING / false_alarms))
    if subjects < needed:
        raise ConfigurationError(
            f"a share of {false_alarms:g} needs {needed} subjects with two faces or more, "
            f"not {subjects}"
        )


def share_below(faces: KnownFaces, limit: float) -> Interval:
    """How great a share of pairs of one person falls below a limit: 95 % of resamples of subjects.

    The share asked for is met on these faces, and so says nothing of how sure it is on others.

    Args:
        faces: at least two for each subject that is to count.
        limit: a cosine.
    """
    of_subjects = (_cosines(faces) < limit).mean(axis=0)
    count = len(of_subjects)
    drawn = draws_of_subjects(count, RESAMPLES, SEED)
    return interval(float(of_subjects.mean()), [draws @ of_subjects / count for draws in drawn])


def outcomes(faces: KnownFaces, limit: float, size: int) -> SetOutcomes:
    """Sets of `size` captures, one from each subject who has so many, drawn and checked.

    Raises:
        ConfigurationError: there are not two such subjects.
    """
    rng = np.random.default_rng(SEED)
    alarms: list[bool] = []
    seen: list[bool] = []
    named: list[bool] = []
    for own, intruder in _sets(faces, size, rng):
        alarms.append(not _consistent(faces, own, limit).all())
        mixed = _consistent(faces, np.append(own[1:], intruder), limit)
        seen.append(not mixed.all())
        named.append(bool(mixed[:-1].all() and not mixed[-1]))
    means = (float(np.mean(each)) for each in (alarms, seen, named))
    return SetOutcomes(len(alarms), *means)


def _cosines(faces: KnownFaces) -> Floats:
    """Of `DRAWS` pairs from each of the `S` subjects who have two faces: `DRAWS × S`."""
    subjects = faces.by_subject(least=2)
    rng = np.random.default_rng(SEED)
    pairs = np.array([rng.choice(own, 2, replace=False) for own in subjects * DRAWS])
    left, right = faces.embeddings[pairs[:, 0]], faces.embeddings[pairs[:, 1]]
    return np.asarray((left * right).sum(axis=1).reshape(DRAWS, len(subjects)))


def _sets(
    faces: KnownFaces, size: int, rng: np.random.Generator
) -> Iterator[tuple[npt.NDArray[np.intp], np.intp]]:
    """`size` faces of one subject, and one of the next subject."""
    subjects = faces.by_subject(least=size)
    if len(subjects) < 2:
        raise ConfigurationError(f"sets of {size} need two subjects who have so many faces")
    for own, other in zip(subjects, subjects[1:] + subjects[:1], strict=True):
        yield rng.choice(own, size, replace=False), rng.choice(other)


def _consistent(
    faces: KnownFaces, chosen: npt.NDArray[np.intp], limit: float
) -> npt.NDArray[np.bool_]:
    weights = fusion_weights(faces.mean_distances[chosen])
    found = consistency(faces.embeddings[chosen], weights, limit).consistent
    assert found is not None  # there is a limit, and there are others
    return found
