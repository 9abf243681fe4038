"""Embeddings of LFW by the pack `map`, for docs/figures/training.sh: training_embeddings.py DATA PACKS OUTPUT.

Writes OUTPUT/train.parquet and test.parquet, of disjoint subjects. They hold biometric data: only
their owner can read them.
"""

import os
import sys
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import torch
from common import halves_of_lfw

from serfiq_core.loading import load_preparation, load_recogniser
from serfiq_core.packs.registry import find_pack
from serfiq_core.training.faces import face_batches


def main(data: Path, packs: Path, output: Path) -> None:
    pack = find_pack("map", packs)
    recogniser, preparation = load_recogniser(pack), load_preparation(pack)
    os.umask(0o077)
    for name, photographs in zip(("train", "test"), halves_of_lfw(data), strict=True):
        shown, rows = [], []
        for batch, faces in face_batches(photographs, preparation, workers=1):
            shown += batch
            rows += list(recogniser.embeddings(torch.from_numpy(np.stack(faces))).numpy())
        columns = {
            "path": [photograph.name for photograph in shown],
            "subject": [photograph.subject for photograph in shown],
            "embedding": rows,
        }
        pyarrow.parquet.write_table(pyarrow.table(columns), output / f"{name}.parquet")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
