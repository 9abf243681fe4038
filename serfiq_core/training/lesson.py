"""What the student is taught: aligned faces, the teacher's embeddings of them, and how much a view
of a face leaves of it.

Photographs of a few thousand people are few for a recogniser. Faces that are made up of them
(`made_up_faces.py`) are as many people as one likes, and the teacher knows what it sees in those
too. This file trains nothing; it asks the teacher, once, and a lesson can be kept in a file so that
an interrupted training need not ask again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import disk_usage
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors.numpy
import torch

from serfiq_core.errors import TrainingError
from serfiq_core.recognition.recogniser import Recogniser
from serfiq_core.suitability.degradations import KINDS, SEVERITIES, degrade
from serfiq_core.training.made_up_faces import Faces, made_up_faces
from serfiq_core.training.views import Damage
from serfiq_core.types import ALIGNED_SIDE_PX, AlignedFace, DegradationKind
from serfiq_core.whole_files import appearing_whole

MADE_UP_SHARE = 12
"""Faces made up for each real one."""

RETENTION_FACES = 100
"""Enough for a mean cosine to ± 0.01, at 30 teacher passes each."""

TAUGHT_AT_ONCE = 64
"""Faces, and as many mirror images."""

Advance = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Lesson:
    """Faces and what the teacher says of them.

    `faces`: `N × 112 × 112 × 3` uint8. `embeddings`: `N × E` float32, unit norm, of the clean face
    and its mirror image together. `retention`: for each kind of degradation, the mean cosine of
    the teacher's embeddings of a degraded face and of the clean one, at severities 0 to 5.
    `source`: names what it was made of.
    """

    faces: Faces
    embeddings: npt.NDArray[np.float32]
    retention: Mapping[DegradationKind, Sequence[float]]
    source: str = ""

    def retained(self, damages: Sequence[Damage]) -> float:
        """What is left of a face's identity, 1 for a clean view: one damage after another."""
        left = 1.0
        for damage in damages:
            table = self.retention[damage.kind]
            left *= float(np.interp(damage.severity, range(len(table)), table))
        return left

    def write(self, path: Path) -> None:
        """Keep the lesson. **The file holds faces and embeddings, which are biometric data.**

        Raises:
            TrainingError: it cannot be written.
        """
        content: dict[str, npt.NDArray[Any]] = {
            "faces": self.faces,
            "embeddings": self.embeddings,
            "retention": np.array([self.retention[kind] for kind in KINDS]),
        }
        try:
            with appearing_whole(path, private=True) as unfinished:
                safetensors.numpy.save_file(content, unfinished, {"source": self.source})
        except (OSError, safetensors.SafetensorError) as error:
            raise TrainingError(f"{path} cannot be written: {error}") from error

    @classmethod
    def read(cls, path: Path) -> "Lesson":
        """A lesson that was kept.

        Raises:
            TrainingError: the file cannot be read, or holds something else.
        """
        try:
            with safetensors.safe_open(path, "numpy") as kept:
                source = (kept.metadata() or {})["source"]
            content = safetensors.numpy.load_file(path)
            retention = dict(zip(KINDS, content["retention"].tolist(), strict=True))
            return cls(content["faces"], content["embeddings"], retention, source)
        except (OSError, ValueError, KeyError, safetensors.SafetensorError) as error:
            raise TrainingError(f"{path} is no lesson that can be read: {error}") from error


def check_room(folder: Path, count: int, teacher: Recogniser) -> None:
    """Refuse a folder that a lesson of so many faces will not fit into: teaching takes an hour.

    Raises:
        TrainingError: it will not; says how much it takes.
    """
    embedding = teacher.head.embedding_size * np.dtype(np.float32).itemsize
    face = 3 * ALIGNED_SIDE_PX**2
    needed, free = (1 + MADE_UP_SHARE) * count * (face + embedding), disk_usage(folder).free
    if free < needed:
        raise TrainingError(
            f"{folder} has room for {free / 1e9:.3f} GB, and the lesson takes {needed / 1e9:.3f}"
        )


def teach(
    faces: Sequence[AlignedFace], teacher: Recogniser, seed: int, advance: Advance = lambda _: None
) -> Lesson:
    """Ask the teacher about faces, faces made up of them, and degraded ones.

    Args:
        faces: `112 × 112 × 3` uint8, of the people to learn from.
        teacher: on the device where it is to run.
        seed: of the faces made up, and of which faces are degraded.
        advance: called with the number of faces the teacher has seen since the last call.

    Raises:
        TrainingError: too few faces.
    """
    if len(faces) < RETENTION_FACES:
        raise TrainingError(f"{len(faces)} faces are too few: at least {RETENTION_FACES}")
    rng = np.random.default_rng(seed)
    # Gigabytes: both parts lie in one array from the first, and are never copied together.
    everyone = np.empty(((1 + MADE_UP_SHARE) * len(faces), *faces[0].shape), np.uint8)
    real, made_up = everyone[: len(faces)], everyone[len(faces) :]
    real[:] = faces
    for row, face in enumerate(made_up_faces(real, len(made_up), rng)):
        made_up[row] = face
    picked = real[np.sort(rng.choice(len(real), RETENTION_FACES, replace=False))]
    return Lesson(
        faces=everyone,
        embeddings=np.concatenate(
            [_with_mirror(real, teacher, advance), _embeddings(made_up, teacher, advance)]
        ),
        retention=_retention(picked, teacher, advance),
    )


def _retention(
    faces: Faces, teacher: Recogniser, advance: Advance
) -> dict[DegradationKind, Sequence[float]]:
    clean = _embeddings(faces, teacher, advance)

    def mean_cosine(kind: DegradationKind, severity: int) -> float:
        degraded = [degrade(face, kind, severity, seed) for seed, face in enumerate(faces)]
        return float((_embeddings(np.stack(degraded), teacher, advance) * clean).sum(1).mean())

    return {kind: [1.0, *(mean_cosine(kind, s) for s in SEVERITIES)] for kind in KINDS}


def _with_mirror(faces: Faces, teacher: Recogniser, advance: Advance) -> npt.NDArray[np.float32]:
    both = _embeddings(faces, teacher, advance) + _embeddings(faces[:, :, ::-1], teacher, advance)
    return np.asarray(both / np.linalg.norm(both, axis=1, keepdims=True))


def _embeddings(faces: Faces, teacher: Recogniser, advance: Advance) -> npt.NDArray[np.float32]:
    found = []
    for start in range(0, len(faces), TAUGHT_AT_ONCE):
        batch = torch.from_numpy(np.ascontiguousarray(faces[start : start + TAUGHT_AT_ONCE]))
        found.append(teacher.embeddings(batch).cpu().numpy())
        advance(len(batch))
    return np.concatenate(found)
