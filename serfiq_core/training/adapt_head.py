"""A recogniser that answers to dropout: its head is re-fitted, and the change is measured.

Photographs go through backbone and preparation once. Most are fitted on; the others are held out,
whole subjects of them, and every figure is of these. The result is a new pack: the recogniser's own
file, the new head beside it, and what it was made from. Verdict, calibration and
`same_person_cosine` were measured on the recogniser as it was, and are not taken over.
"""

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import numpy as np
import torch

from serfiq_core.errors import TrainingError
from serfiq_core.evaluation.comparisons import compare
from serfiq_core.evaluation.edc import fnmr_at_discard
from serfiq_core.evaluation.error_rates import fewest_pairs, mated_pairs
from serfiq_core.evaluation.figures import FMRS, Evaluation, evaluate
from serfiq_core.evaluation.measurements import FaceMeasurement
from serfiq_core.evaluation.method_figures import DISCARDS
from serfiq_core.evaluation.subject_split import split_by_subject
from serfiq_core.evaluation.subjects import Photograph, subject_labels
from serfiq_core.importing.dropout_rate import rate_for_mean_distance
from serfiq_core.measuring import HeadScorer, says_something
from serfiq_core.packs.adaptation import Adaptation, EdcChange
from serfiq_core.packs.manifest import recogniser_checksum, write_manifest
from serfiq_core.packs.pack import Pack, read_pack, sha256_of
from serfiq_core.packs.registry import staged_pack
from serfiq_core.preparation.photographs import Skipped
from serfiq_core.recognition.adapted_head import write_adapted_head
from serfiq_core.recognition.head import AffineHead
from serfiq_core.recognition.recogniser import NO_ANSWER, Recogniser
from serfiq_core.scoring.score import PAPER_PASSES
from serfiq_core.training.faces import FaceBatch
from serfiq_core.training.head_fit import HeadFit, check_count
from serfiq_core.types import AlignedFace, Estimator

FIT_RATE = 0.2
"""Between 0.1, best at 30 % discard, and 0.3, of the least relative area. Measured on the training
subjects of LFW, one half fitted on and the other evaluated, both ways round; docs/training.md."""

TABLED = (0.0, *DISCARDS)
"""Shares of the mated pairs at which a pack says what FNMR was and is."""

RATE_FACES = 512
"""Faces by whose median mean distance the dropout rate is chosen; their features are kept."""

HEAD_FILE = "head.safetensors"

FacesOf = Callable[[Sequence[Photograph]], Iterable[FaceBatch]]


@dataclass(frozen=True, slots=True)
class Adapted:
    """A head, the rate it is to be sampled at, and what the pack will say of it."""

    head: AffineHead
    dropout_rate: float
    adaptation: Adaptation


def adapt(
    pack: Pack,
    recogniser: Recogniser,
    photographs: Sequence[Photograph],
    faces_of: FacesOf,
    *,
    skipped: Skipped,
    fit_rate: float = FIT_RATE,
    subjects_known: bool = False,
) -> Adapted:
    """Fit the head of a pack's recogniser to its own embeddings under dropout.

    Args:
        pack: what the recogniser is of.
        recogniser: on the device where it is to run, in float32.
        photographs: those of `is_test_subject` are held out.
        faces_of: from photographs to their aligned faces.
        skipped: told each photograph left out since it is answered with nothing, and why.
        fit_rate: the dropout rate to fit under: the higher, the steadier and the further from the
            original embeddings.
        subjects_known: the photographs' subjects are people. Otherwise the photographs are
            unlabelled, each its own subject, and nothing is said of FNMR.

    Raises:
        TrainingError: too few faces to fit or, where subjects are known, to compare.
    """
    learnt_from, held_out = split_by_subject(photographs)
    _check_split(learnt_from, held_out, subjects_known)
    check_count(len(learnt_from), recogniser.head)
    head, rate, count = _fit(pack, recogniser, faces_of(learnt_from), fit_rate, skipped)
    faces = list(
        _answered_by_both(
            recogniser,
            _scorer(recogniser.head, recogniser.dropout_rate),
            _scorer(head, rate),
            faces_of(held_out),
            skipped,
        )
    )
    if not faces:
        raise TrainingError("none of the photographs held out shows a face that can be scored")
    before, after = [each.before for each in faces], [each.after for each in faces]
    embeddings = [np.stack([each.embedding for each in answers]) for answers in (before, after)]
    shown = [each.photograph for each in faces]
    cosines = np.einsum("ne,ne->n", *embeddings, dtype=np.float64)
    adaptation = Adaptation(
        of=pack.manifest.name,
        of_recogniser=recogniser_checksum(pack.manifest),
        fit_rate=fit_rate,
        fitted_on=count,
        held_out=len(shown),
        mean_cosine=float(cosines.mean()),
        least_cosine=float(cosines.min()),
        edc=_changes(_evaluation(shown, before), _evaluation(shown, after))
        if subjects_known
        else (),
    )
    return Adapted(head, rate, adaptation)


def install(adapted: Adapted, pack: Pack, name: str, packs_dir: Path) -> Pack:
    """Make a new pack `name` of `pack` and its adapted head, in one step.

    Raises:
        PackError: the name is taken, or the pack cannot be written.
    """
    manifest, entry = pack.manifest, pack.manifest.recogniser
    kept = [file for file in (entry.file, manifest.detector.file) if file is not None]
    with staged_pack(name, packs_dir) as folder:
        for file in kept:
            shutil.copy(pack.folder / file, folder)
        write_adapted_head(adapted.head, folder / HEAD_FILE)
        files = {file: manifest.files[file] for file in kept}
        made = replace(
            manifest,
            name=name,
            files={**files, HEAD_FILE: sha256_of(folder / HEAD_FILE)},
            recogniser=replace(entry, dropout_rate=adapted.dropout_rate, head=HEAD_FILE),
            calibration=None,
            verdict=None,
            same_person_cosine=None,
            adaptation=adapted.adaptation,
        )
        write_manifest(made, folder)
    return read_pack(packs_dir / name)


def _check_split(
    learnt_from: Sequence[Photograph], held_out: Sequence[Photograph], subjects_known: bool
) -> None:
    """Refuse at once what would fail after minutes of work."""
    if not learnt_from or not held_out:
        raise TrainingError(
            f"{len(learnt_from)} photographs to fit on and {len(held_out)} to hold out are too few"
        )
    if not subjects_known:
        return
    labels = subject_labels(held_out)
    mated = len(mated_pairs(labels))
    non_mated = len(labels) * (len(labels) - 1) // 2 - mated
    if not mated or non_mated < fewest_pairs(max(FMRS)):
        raise TrainingError(
            f"the subjects held out have {mated} mated and {non_mated} non-mated pairs; one and "
            f"{fewest_pairs(max(FMRS))} are needed to compare FNMR before and after"
        )


def _fit(
    pack: Pack,
    recogniser: Recogniser,
    batches: Iterable[FaceBatch],
    fit_rate: float,
    skipped: Skipped,
) -> tuple[AffineHead, float, int]:
    """The head, the dropout rate that suits it, and the number of faces it was fitted to."""
    fit = HeadFit(recogniser.head)
    kept: list[torch.Tensor] = []
    for batch, faces in batches:
        features = _features(recogniser, faces)
        are_numbers = features.isfinite().flatten(1).all(1)
        for photograph, numbers in zip(batch, are_numbers.tolist(), strict=True):
            if not numbers:
                skipped(photograph.name, NO_ANSWER)
        features = features[are_numbers]
        if fit.count < RATE_FACES:
            kept.append(features)
        fit.add(features)
    head = fit.solve(fit_rate)
    entry = pack.manifest.recogniser
    if entry.trained_with_dropout:
        return head, entry.dropout_rate, fit.count
    return head, rate_for_mean_distance(torch.cat(kept), head), fit.count


def _features(recogniser: Recogniser, faces: Sequence[AlignedFace]) -> torch.Tensor:
    return recogniser.features(torch.from_numpy(np.stack(faces)))


def _scorer(head: AffineHead, rate: float) -> HeadScorer:
    return HeadScorer(head, rate, [PAPER_PASSES], "paper", seed=0)


@dataclass(frozen=True, slots=True)
class _Face:
    """One face held out, and what the original head and the adapted one say of it."""

    photograph: Photograph
    before: FaceMeasurement
    after: FaceMeasurement


def _answered_by_both(
    recogniser: Recogniser,
    original: HeadScorer,
    adapted: HeadScorer,
    batches: Iterable[FaceBatch],
    skipped: Skipped,
) -> Iterator[_Face]:
    """The faces of which both heads say something: both must be measured on the same pairs."""
    for batch, faces in batches:
        features = _features(recogniser, faces)
        for face in map(_Face, batch, original(features), adapted(features)):
            if says_something(face.before) and says_something(face.after):
                yield face
            else:
                skipped(face.photograph.name, NO_ANSWER)


def _evaluation(photographs: Sequence[Photograph], faces: Sequence[FaceMeasurement]) -> Evaluation:
    """Of all pairs, with both estimators."""
    embeddings = np.stack([face.embedding for face in faces])
    comparisons = compare(embeddings, subject_labels(photographs), max(FMRS))
    methods = {
        name: np.array([face.scores[name] for face in faces]) for name in get_args(Estimator)
    }
    return evaluate(comparisons, methods, FMRS)


def _changes(before: Evaluation, after: Evaluation) -> tuple[EdcChange, ...]:
    def tabled(evaluation: Evaluation, estimator: str, fmr: float) -> tuple[float, ...]:
        curve = evaluation.of(estimator, fmr).curve
        return tuple(fnmr_at_discard(curve, np.array(TABLED)).tolist())

    return tuple(
        EdcChange(
            point.fmr,
            estimator,
            TABLED,
            tabled(before, estimator, point.fmr),
            tabled(after, estimator, point.fmr),
        )
        for point in before.points
        for estimator in get_args(Estimator)
    )
