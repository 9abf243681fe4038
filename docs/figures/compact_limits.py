"""What no score of a `compact` can know, as if it were scores: how well photographs could be discarded at most.

    python docs/figures/compact_limits.py STUDENT TEACHER DATA > SCORES.csv

Prints what `serfiq evaluate --scores` takes, of the subjects that were kept out of training:

- `teacher_cosine`, of the two embeddings of a photograph. Dropout is trained to scatter an embedding as far as it
  is from the teacher's.
- `subject_cosine`, of the student's embedding and the mean of the teacher's of the subject's other photographs: how
  well it will be matched, which takes knowing who it is. 1 where there are no others, and so no mated pair.

DATA holds `lfw/`.
"""

import csv
import sys

import numpy as np
import torch
from common import halves_of_lfw, pack_of, parser
from compact import Faces, central_faces
from torch.nn.functional import normalize

from serfiq_core.batches import BATCH, batched
from serfiq_core.loading import load_recogniser


@torch.no_grad()
def embeddings(pack: str, faces: Faces) -> torch.Tensor:
    """One of each face, of unit norm: `N × E`."""
    recogniser = load_recogniser(pack_of(pack))
    batches = (torch.from_numpy(np.stack(batch)) for batch in batched(faces.values(), BATCH))
    return torch.cat([recogniser.embeddings(batch) for batch in batches])


def cosines_to_subject(
    students: torch.Tensor, teachers: torch.Tensor, subject: torch.Tensor
) -> torch.Tensor:
    """Of each of `N` to the mean of its subject's other `teachers`."""
    others = (subject[:, None] == subject).float().fill_diagonal_(0)
    cosines = (students * normalize(others @ teachers)).sum(1)
    return torch.where(others.any(1), cosines, 1)


def main() -> None:
    options = parser(__doc__, "student", "teacher", "data").parse_args()
    photographs = halves_of_lfw(options.data)[1]
    faces = central_faces(photographs, options.student)
    students, teachers = (embeddings(pack, faces) for pack in (options.student, options.teacher))
    of = {photograph.name: photograph.subject for photograph in photographs}
    subject = np.unique([of[name] for name in faces], return_inverse=True)[1]
    columns = {
        "teacher_cosine": (students * teachers).sum(1),
        "subject_cosine": cosines_to_subject(students, teachers, torch.from_numpy(subject)),
    }
    rows = csv.writer(sys.stdout)
    rows.writerow(("path", *columns))
    rows.writerows(
        (name, *(f"{cosine:.6f}" for cosine in each))
        for name, *each in zip(faces, *columns.values(), strict=True)
    )


if __name__ == "__main__":
    main()
