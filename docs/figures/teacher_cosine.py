"""How near a `compact` comes to its teacher, photograph by photograph.

    python docs/figures/teacher_cosine.py STUDENT TEACHER DATA > SCORES.csv

Prints what `serfiq evaluate --scores` takes: path and cosine of the two embeddings, of the subjects that were
kept out of training. Dropout is trained to scatter an embedding as far as it is from the teacher's, so this is
how well photographs could be discarded if it told that distance without error. DATA holds `lfw/`.
"""

import csv
import sys

import numpy as np
import torch
from common import halves_of_lfw, parser
from compact import BATCH, Faces, central_faces

from app.commands.options import packs_dir_from
from serfiq_core.loading import load_recogniser
from serfiq_core.packs.registry import find_pack


@torch.no_grad()
def embeddings(pack: str, faces: Faces) -> torch.Tensor:
    """One of each face, of unit norm: `N × E`."""
    recogniser = load_recogniser(find_pack(pack, packs_dir_from(None)))
    every = list(faces.values())
    starts = range(0, len(every), BATCH)
    batches = [torch.from_numpy(np.stack(every[start : start + BATCH])) for start in starts]
    return torch.cat([recogniser.embeddings(batch) for batch in batches])


def main() -> None:
    options = parser(__doc__, "student", "teacher", "data").parse_args()
    faces = central_faces(halves_of_lfw(options.data)[1], options.student)
    cosines = (embeddings(options.student, faces) * embeddings(options.teacher, faces)).sum(1)
    rows = csv.writer(sys.stdout)
    rows.writerow(("path", "teacher_cosine"))
    rows.writerows((name, f"{cosine:.6f}") for name, cosine in zip(faces, cosines, strict=True))


if __name__ == "__main__":
    main()
