"""Calibrating a pack: percentiles of a site's own photographs, or the authors' map.

No labels are needed: the score of each photograph becomes a percentile among all of them. This
file composes pipeline, calibration and packs.
"""

import hashlib
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from serfiq_core.calibration import (
    AuthorsMap,
    Calibration,
    PercentileMap,
    percentiles,
    write_calibration,
)
from serfiq_core.errors import CaptureError, PackError
from serfiq_core.packs.manifest import MANIFEST_NAME, write_manifest
from serfiq_core.packs.pack import Pack, read_pack
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
    return _tied(pack, identifier, percentiles(f"{reference} ({len(scores)} faces)", scores))


def with_authors_map(pack: Pack, identifier: str) -> Calibration:
    """The authors' published map for a pack; no photograph is measured."""
    return _tied(pack, identifier, AuthorsMap())


def _tied(pack: Pack, identifier: str, score_map: PercentileMap | AuthorsMap) -> Calibration:
    entry = pack.manifest.recogniser
    return Calibration(identifier, pack.manifest.files[entry.file], entry.dropout_rate, score_map)


def _limits(pipeline: Pipeline, faces: list[AlignedFace]) -> list[float]:
    return [
        scores.closed_form.raw_score
        for scores in pipeline.score(faces)
        if scores.closed_form is not None
    ]


def install(calibration: Calibration, pack: Pack) -> Pack:
    """Make `calibration` the one of an installed pack; the pack it replaces is no longer loadable.

    The file comes under a name of its own before the manifest that names it takes the old one's
    place: whoever loads the pack meanwhile finds the old or the new one, whole.

    Raises:
        PackError: the pack cannot be written to, or the calibration's id makes no file name.
    """
    old, manifest = pack.manifest.calibration, pack.manifest
    name = f"calibration-{calibration.id}.toml"
    try:
        with tempfile.TemporaryDirectory(dir=pack.folder.parent, prefix=".") as staging:
            staged = Path(staging) / name
            write_calibration(calibration, staged)
            digest = hashlib.sha256(staged.read_bytes()).hexdigest()
            files = {file: sha for file, sha in manifest.files.items() if file != old}
            calibrated = replace(manifest, calibration=name, files={**files, name: digest})
            write_manifest(calibrated, Path(staging))
            staged.replace(pack.folder / name)
            (Path(staging) / MANIFEST_NAME).replace(pack.folder / MANIFEST_NAME)
        if old not in (None, name):
            (pack.folder / str(old)).unlink(missing_ok=True)
    except OSError as error:
        raise PackError(f"{pack.folder} cannot be written to: {error}") from error
    return read_pack(pack.folder)
