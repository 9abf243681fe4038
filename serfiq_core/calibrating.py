"""Calibrating a pack on photographs of the site where it is used.

No labels are needed: the score of each photograph becomes a percentile among all of them. This
file composes pipeline, calibration and packs.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from serfiq_core.calibration import Calibration, from_reference, write_calibration
from serfiq_core.errors import CaptureError
from serfiq_core.packs.amend import amended
from serfiq_core.packs.manifest import write_manifest
from serfiq_core.packs.pack import Pack, read_pack, sha256_of
from serfiq_core.pipeline import Pipeline
from serfiq_core.types import AlignedFace

BATCH = 32
"""Faces scored at once."""


def calibrate(
    pipeline: Pipeline,
    pack: Pack,
    photographs: Iterable[Path],
    *,
    identifier: str,
    reference: str,
    skipped: Callable[[Path, str], None] = lambda _path, _why: None,
) -> Calibration:
    """The percentile map of a pack, from the closed-form scores of reference photographs.

    Args:
        pipeline: of this pack.
        pack: whose recogniser the calibration will be tied to.
        photographs: files; those without a face, or that cannot be decoded, are skipped.
        identifier: names the calibration in every decision record.
        reference: the photographs, in words.
        skipped: told each file that was skipped, and why.

    Raises:
        ConfigurationError: too few photographs could be scored.
    """
    scores: list[float] = []
    waiting: list[AlignedFace] = []
    for path in photographs:
        try:
            capture = pipeline.prepare(path.read_bytes())
        except (CaptureError, OSError) as error:
            skipped(path, str(error))
            continue
        if capture.aligned is None:
            skipped(path, "no face was found")
            continue
        waiting.append(capture.aligned)
        if len(waiting) == BATCH:
            scores += _limits(pipeline, waiting)
            waiting = []
    if waiting:
        scores += _limits(pipeline, waiting)
    entry = pack.manifest.recogniser
    checksum = pack.manifest.files[entry.file]
    words = f"{reference} ({len(scores)} faces)"
    return from_reference(identifier, checksum, entry.dropout_rate, words, scores)


def _limits(pipeline: Pipeline, faces: list[AlignedFace]) -> list[float]:
    return [
        scores.closed_form.raw_score
        for scores in pipeline.score(faces)
        if scores.closed_form is not None
    ]


def install(calibration: Calibration, pack: Pack) -> Pack:
    """Make `calibration` the one of an installed pack, in one step (`packs/amend.py`).

    Raises:
        PackError: the pack cannot be written to, or the calibration's id makes no file name.
    """
    old, manifest = pack.manifest.calibration, pack.manifest
    name = f"calibration-{calibration.id}.toml"
    with amended(pack) as staging:
        write_calibration(calibration, staging / name)
        files = {file: sha for file, sha in manifest.files.items() if file != old}
        files[name] = sha256_of(staging / name)
        write_manifest(replace(manifest, calibration=name, files=files), staging)
    return read_pack(pack.folder)
