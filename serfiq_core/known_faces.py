"""From photographs whose subjects are known to the limit of a pack, `same_person_cosine`.

This file composes pipeline and `same_person.py`.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from serfiq_core.batches import BATCH, batched
from serfiq_core.errors import ConfigurationError
from serfiq_core.evaluation.copies import File, copies
from serfiq_core.one_subject.same_person import KnownFaces
from serfiq_core.pipeline import Pipeline
from serfiq_core.preparation.photographs import Skipped, captures_with_face
from serfiq_core.recognition.recogniser import NO_ANSWER, tells_quality
from serfiq_core.types import AlignedFace

MOST_EACH = 6
"""Photographs read of one subject: fifteen pairs. Every subject counts the same, so that more of
one would add little."""


def known_faces(
    pipeline: Pipeline,
    photographs: Mapping[str, Sequence[Path]],
    skipped: Skipped,
) -> KnownFaces:
    """The embeddings of photographs with one face each.

    Args:
        pipeline: of the pack.
        photographs: of each subject, two at least; only the first `MOST_EACH` are read.
        skipped: told each file that has not just one face, cannot be decoded, that the
            recogniser answers with nothing, or that is a copy of another, and why.

    Raises:
        ConfigurationError: no photograph has just one face that can be compared.
        PreparationFailedError: one could not be prepared, for no reason that lies in it.
    """
    found = []
    for faces in batched(_prepared(pipeline, photographs, skipped), BATCH):
        for (file, _), scores in zip(
            faces, pipeline.score([face for _, face in faces]), strict=True
        ):
            if not tells_quality(scores, "closed_form"):
                skipped(file.name, NO_ANSWER)
                continue
            embedding, distance = scores.embedding, scores.closed_form.mean_distance
            found.append((file, embedding.astype(np.float64), distance))
    again = copies([file for file, *_ in found])
    for place, why in again.items():
        skipped(found[place][0].name, why)
    found = [each for place, each in enumerate(found) if place not in again]
    if not found:
        raise ConfigurationError("no photograph has just one face that can be compared")
    files, embeddings, distances = zip(*found, strict=True)
    subjects = np.array([file.subject for file in files])
    return KnownFaces(np.stack(embeddings), np.array(distances), subjects)


def _prepared(
    pipeline: Pipeline,
    photographs: Mapping[str, Sequence[Path]],
    skipped: Skipped,
) -> Iterator[tuple[File, AlignedFace]]:
    for subject, paths in photographs.items():
        for path, capture, face in captures_with_face(pipeline, paths[:MOST_EACH], skipped):
            # With several faces nobody knows whether the largest is the subject's.
            if capture.faces_found == 1:
                yield File(str(path), subject, capture.image_sha256), face
            else:
                skipped(str(path), f"{capture.faces_found} faces were found")
