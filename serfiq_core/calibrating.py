"""Calibrating a pack: percentiles of a site's own photographs, or the authors' map.

No labels are needed: the score of each photograph becomes a percentile among all of them. With
labels, the same photographs are the evidence that a `quality_threshold` is found from. This file
composes pipeline, calibration, packs and evaluation.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, count
from pathlib import Path

import numpy as np

from serfiq_core.batches import BATCH, batched
from serfiq_core.calibration.calibration import (
    AuthorsMap,
    Calibration,
    PercentileMap,
    percentiles,
    write_calibration,
)
from serfiq_core.errors import ConfigurationError, InsufficientDataError
from serfiq_core.evaluation.copies import File, copies
from serfiq_core.evaluation.discarding import Evidence
from serfiq_core.evaluation.subjects import Photograph, subject_labels
from serfiq_core.packs.amend import amended
from serfiq_core.packs.manifest import PLAIN_NAME, write_manifest
from serfiq_core.packs.pack import Pack, read_pack, sha256_of
from serfiq_core.pipeline import Pipeline
from serfiq_core.preparation.photographs import Skipped, captures_with_face
from serfiq_core.recognition.recogniser import NO_ANSWER, tells_quality
from serfiq_core.types import NO_CALIBRATION, FaceScores, PreparedCapture


def calibrate(
    pipeline: Pipeline,
    pack: Pack,
    photographs: Iterable[Path],
    *,
    identifier: str,
    reference: str,
    skipped: Skipped,
) -> Calibration:
    """The percentile map of a pack, from the closed-form scores of reference photographs.

    Args:
        pipeline: of this pack.
        pack: whose recogniser the calibration will be tied to.
        photographs: files; those without a face, that cannot be decoded, or that the
            recogniser answers with nothing, are skipped.
        identifier: names the calibration in every decision record.
        reference: the photographs, in words.
        skipped: told each file that was skipped, and why.

    Raises:
        ConfigurationError: too few photographs could be scored.
        PreparationFailedError: one could not be prepared, for no reason that lies in it.
    """
    scores = []
    for assessed in _assess(pipeline, photographs, skipped):
        if tells_quality(assessed.scores, "closed_form"):
            scores.append(assessed.scores.closed_form.raw_score)
        else:
            skipped(str(assessed.path), NO_ANSWER)
    return _tied(pack, identifier, percentiles(f"{reference} ({len(scores)} faces)", scores))


def with_authors_map(pack: Pack, identifier: str) -> Calibration:
    """The authors' published map for a pack; no photograph is measured."""
    return _tied(pack, identifier, AuthorsMap())


def _tied(pack: Pack, identifier: str, score_map: PercentileMap | AuthorsMap) -> Calibration:
    rate = pack.manifest.recogniser.dropout_rate
    return Calibration(identifier, pack.manifest.weights_checksum, rate, score_map)


def gather_evidence(
    pipeline: Pipeline,
    photographs: Sequence[Photograph],
    *,
    skipped: Skipped,
) -> Evidence:
    """What a `quality_threshold` is found from: embeddings, subjects and quality scores.

    The quality scores are those that the pipeline decides by.

    Args:
        pipeline: of a pack that is calibrated.
        photographs: with their subjects; those that cannot be assessed, and copies of others, are
            skipped.
        skipped: told each file that was skipped, and why.

    Raises:
        ConfigurationError: the pack is not calibrated.
        InsufficientDataError: no photograph could be assessed.
        PreparationFailedError: one could not be prepared, for no reason that lies in it.
    """
    if pipeline.info.calibration == NO_CALIBRATION:
        raise ConfigurationError(
            f"{pipeline.info.pack} is not calibrated, and has no quality_score: "
            "run `serfiq calibrate PHOTOGRAPHS` first"
        )
    photograph_at = {photograph.path: photograph for photograph in photographs}
    found = []
    for each in _assess(pipeline, photograph_at, skipped):
        quality_score = pipeline.decide(each.capture, each.scores).quality_score
        if quality_score is None:
            skipped(str(each.path), NO_ANSWER)
            continue
        photograph = photograph_at[each.path]
        file = File(str(each.path), photograph.subject, each.capture.image_sha256)
        found.append((file, photograph, each.scores.embedding, quality_score))
    again = copies([file for file, *_ in found])
    for place, why in again.items():
        skipped(found[place][0].name, why)
    found = [each for place, each in enumerate(found) if place not in again]
    if not found:
        raise InsufficientDataError("none of the photographs could be assessed")
    _, assessed, embeddings, quality_scores = zip(*found, strict=True)
    return Evidence(np.stack(embeddings), subject_labels(assessed), np.array(quality_scores))


@dataclass(frozen=True, slots=True)
class _Assessed:
    """One photograph that has a face, and what the recogniser says of it."""

    path: Path
    capture: PreparedCapture
    scores: FaceScores


def _assess(
    pipeline: Pipeline, photographs: Iterable[Path], skipped: Skipped
) -> Iterator[_Assessed]:
    for batch in batched(captures_with_face(pipeline, photographs, skipped), BATCH):
        scores = pipeline.score([face for _, _, face in batch])
        for (path, capture, _), each in zip(batch, scores, strict=True):
            yield _Assessed(path, capture, each)


def check_identifier(identifier: str) -> None:
    """Refuse an id that makes no file name, before anything is measured.

    Raises:
        ConfigurationError: it has other characters than A-Z, a-z, 0-9, - _ and dots, or too many.
    """
    if not PLAIN_NAME.fullmatch(_stem(identifier)):
        raise ConfigurationError(
            f"the id {identifier!r} makes no file name: letters without accents, digits, - _ and . "
            "may be in it"
        )


def install(calibration: Calibration, pack: Pack) -> Pack:
    """Make `calibration` the one of an installed pack, in one step (`packs/amend.py`).

    Raises:
        PackError: as for `amended`; or the calibration's id makes no file name.
    """
    with amended(pack) as amendment:
        old, files = amendment.manifest.calibration, dict(amendment.manifest.files)
        name = _free_name(_stem(calibration.id), files)
        write_calibration(calibration, amendment.staging / name)
        if old is not None:
            del files[old]
        files[name] = sha256_of(amendment.staging / name)
        write_manifest(
            replace(amendment.manifest, calibration=name, files=files), amendment.staging
        )
    return read_pack(pack.folder)


def _stem(identifier: str) -> str:
    return f"calibration-{identifier}"


def _free_name(stem: str, taken: Collection[str]) -> str:
    """A calibration may be made anew under its id; the file in force stays until it is replaced."""
    names = chain([f"{stem}.toml"], (f"{stem}-{number}.toml" for number in count(2)))
    return next(name for name in names if name not in taken)
