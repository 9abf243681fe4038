"""From photographs to a pack whose head was re-fitted, and what the pack says of it."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from app.cli import cli
from serfiq_core.errors import (
    CaptureError,
    PackError,
    SerfiqError,
    TrainingError,
    UndecodableImageError,
)
from serfiq_core.evaluating import evaluate_measured
from serfiq_core.evaluation.edc import fnmr_at_discard
from serfiq_core.evaluation.figures import FMRS
from serfiq_core.evaluation.subject_split import is_test_subject, split_by_subject
from serfiq_core.evaluation.subjects import Photograph
from serfiq_core.loading import load_pipeline, load_recogniser
from serfiq_core.measuring import HeadScorer, Scorer
from serfiq_core.packs.manifest import recogniser_checksum, write_manifest
from serfiq_core.packs.pack import read_pack, verify
from serfiq_core.packs.registry import find_pack
from serfiq_core.preparation.photographs import skip_silently
from serfiq_core.recognition.recogniser import NO_ANSWER, Recogniser
from serfiq_core.scoring.score import PAPER_PASSES
from serfiq_core.training import adapt_head
from serfiq_core.training.adapt_head import install
from serfiq_core.training.faces import face_batches
from serfiq_core.types import Face, PreparedCapture
from tests.small_packs import small_verdict, write_small_pack

SUBJECTS, EACH = 200, 4
"""Of 800 faces more than 392 are fitted on: the small recogniser's matrix has so many columns."""


@cache
def face_of(name):
    """Faces of one subject resemble each other: coarse blocks of the subject's own colours."""
    subject = name.partition("/")[0]
    own = np.random.default_rng(list(subject.encode())).integers(0, 256, (7, 7, 3))
    noise = np.random.default_rng(list(name.encode())).normal(0, 40, (7, 7, 3))
    return np.clip(np.kron(own + noise, np.ones((16, 16, 1))), 0, 255).astype(np.uint8)


NAMES = [f"subject {s}/{place}.jpg" for s in range(SUBJECTS) for place in range(EACH)]
PHOTOGRAPHS = [Photograph(Path(name), name, name.partition("/")[0]) for name in NAMES]


def adapt(*arguments, skipped=skip_silently, **options):
    return adapt_head.adapt(*arguments, skipped=skipped, **options)


def faces_of(photographs):
    for start in range(0, len(photographs), 32):
        batch = list(photographs[start : start + 32])
        yield batch, [face_of(each.name) for each in batch]


@pytest.fixture
def pack(tmp_path):
    made = read_pack(write_small_pack(tmp_path / "packs"))
    manifest = replace(made.manifest, same_person_cosine=0.3)
    verdict = replace(
        small_verdict("unsuitable"), recogniser_checksum=recogniser_checksum(manifest)
    )
    write_manifest(replace(manifest, verdict=verdict), made.folder)
    return read_pack(made.folder)


def test_the_new_pack_loads_and_says_what_it_was_made_from(pack, tmp_path):
    adapted = adapt(pack, load_recogniser(pack), PHOTOGRAPHS, faces_of, subjects_known=True)
    made = install(adapted, pack, "mine", tmp_path / "packs")
    verify(made)
    manifest = made.manifest
    # What was measured on the other head is not said of this one.
    assert (manifest.verdict, manifest.calibration, manifest.same_person_cosine) == (None,) * 3
    assert manifest.licence == pack.manifest.licence
    said = manifest.adaptation
    held_out = sum(is_test_subject(p.subject) for p in PHOTOGRAPHS)
    assert (said.of, said.of_recogniser) == ("small", recogniser_checksum(pack.manifest))
    assert (said.fitted_on, said.held_out) == (len(PHOTOGRAPHS) - held_out, held_out)
    assert [(change.fmr, change.estimator) for change in said.edc][:2] == [
        (0.01, "sampled"),
        (0.01, "closed_form"),
    ]
    scores = load_pipeline(made, device="cpu").score([face_of(NAMES[0])])
    assert 0 < scores[0].sampled.raw_score < 1


def test_the_cosines_and_the_curves_are_those_of_the_two_packs(pack, tmp_path):
    adapted = adapt(pack, load_recogniser(pack), PHOTOGRAPHS, faces_of, subjects_known=True)
    made = install(adapted, pack, "mine", tmp_path / "packs")
    _, held_out = split_by_subject(PHOTOGRAPHS)
    faces = torch.from_numpy(np.stack([face_of(each.name) for each in held_out]))
    before, after = (load_recogniser(each).embeddings(faces) for each in (pack, made))
    cosines = (before * after).sum(1)
    said = made.manifest.adaptation
    assert said.mean_cosine == pytest.approx(float(cosines.mean()), abs=1e-5)
    assert said.least_cosine == pytest.approx(float(cosines.min()), abs=1e-5)
    assert said.mean_cosine < 0.9999  # the head did change

    before, after = (evaluation_of(each, held_out) for each in (pack, made))
    assert said.edc
    for change in said.edc:
        for evaluation, rates in ((before, change.before), (after, change.after)):
            curve = evaluation.of(change.estimator, change.fmr).curve
            assert rates == tuple(fnmr_at_discard(curve, np.array(change.discarded)))


def evaluation_of(pack, photographs):
    """As `serfiq evaluate` has it, in the same batches."""
    scorer = Scorer(load_recogniser(pack), [PAPER_PASSES], "paper", 0)
    measured = [face for _, faces in faces_of(photographs) for face in scorer(faces)]
    return evaluate_measured(photographs, measured, FMRS).evaluation


def faces_but(names):
    """`faces_of`, without these."""

    def some(photographs):
        return faces_of([each for each in photographs if each.name not in names])

    return some


def test_a_face_that_does_not_scatter_is_no_perfect_one(pack, monkeypatch):
    _, held_out = split_by_subject(PHOTOGRAPHS)
    blank = {each.name for each in held_out[:40]}
    recogniser = load_recogniser(pack)

    def blanked(photographs):
        for batch, faces in faces_of(photographs):
            shown = zip(batch, faces, strict=True)
            yield batch, [0 * face if each.name in blank else face for each, face in shown]

    def features(faces):
        found = Recogniser.features(recogniser, faces)
        found[faces.flatten(1).sum(1) == 0] = 0
        return found

    monkeypatch.setattr(recogniser, "features", features)
    skipped = {}
    found = adapt(
        pack, recogniser, PHOTOGRAPHS, blanked, subjects_known=True, skipped=skipped.__setitem__
    )
    assert skipped == dict.fromkeys(blank, NO_ANSWER)
    without = adapt(pack, recogniser, PHOTOGRAPHS, faces_but(blank), subjects_known=True)
    assert found.adaptation.held_out == len(held_out) - len(blank)
    assert found.adaptation.edc == without.adaptation.edc
    assert found.adaptation.mean_cosine == pytest.approx(without.adaptation.mean_cosine)


def test_a_face_without_numbers_is_not_fitted_to(pack, monkeypatch):
    learnt_from, _ = split_by_subject(PHOTOGRAPHS)
    lost = learnt_from[40]
    recogniser = load_recogniser(pack)

    def features(faces):
        found = Recogniser.features(recogniser, faces)
        found[(faces == torch.from_numpy(face_of(lost.name))).flatten(1).all(1)] = torch.nan
        return found

    # Alone in its batch, so that the sums of all others are made as without it.
    def alone(photographs):
        yield from faces_but({lost.name})(photographs)
        if lost in photographs:
            yield [lost], [face_of(lost.name)]

    without = adapt(pack, recogniser, PHOTOGRAPHS, faces_but({lost.name}))
    monkeypatch.setattr(recogniser, "features", features)
    skipped = {}
    found = adapt(pack, recogniser, PHOTOGRAPHS, alone, skipped=skipped.__setitem__)
    assert skipped == {lost.name: NO_ANSWER}
    assert found.adaptation == without.adaptation
    torch.testing.assert_close(found.head.matrix, without.head.matrix, rtol=0, atol=0)


@pytest.mark.parametrize("silent", ["before", "after"])
def test_a_face_that_one_head_does_not_answer_to_is_measured_of_neither(pack, monkeypatch, silent):
    _, held_out = split_by_subject(PHOTOGRAPHS)
    recogniser = load_recogniser(pack)

    class HalfSilent(HeadScorer):
        def __init__(self, head, *arguments, **options):
            super().__init__(head, *arguments, **options)
            self.silent = (head is recogniser.head) == (silent == "before")

        def __call__(self, features):
            first, *others = super().__call__(features)
            nothing = dict.fromkeys(first.scores, float("nan"))
            return [replace(first, scores=nothing) if self.silent else first, *others]

    firsts = {batch[0].name for batch, _ in faces_of(held_out)}
    without = adapt(pack, recogniser, PHOTOGRAPHS, faces_but(firsts), subjects_known=True)
    monkeypatch.setattr("serfiq_core.training.adapt_head.HeadScorer", HalfSilent)
    found = adapt(pack, recogniser, PHOTOGRAPHS, faces_of, subjects_known=True)
    assert found.adaptation.held_out == without.adaptation.held_out
    assert found.adaptation.edc == without.adaptation.edc


def test_unlabelled_photographs_give_a_head_and_no_curve(pack):
    unlabelled = [replace(each, subject=each.name) for each in PHOTOGRAPHS]
    adapted = adapt(pack, load_recogniser(pack), unlabelled, faces_of)
    assert adapted.adaptation.edc == ()
    assert 0.5 < adapted.adaptation.mean_cosine < 0.9999


def test_a_rate_it_was_trained_with_is_kept_and_another_is_chosen_anew(pack):
    recogniser = load_recogniser(pack)
    chosen = adapt(pack, recogniser, PHOTOGRAPHS, faces_of)
    assert chosen.dropout_rate != pack.manifest.recogniser.dropout_rate
    entry = replace(pack.manifest.recogniser, trained_with_dropout=True)
    trained = replace(pack, manifest=replace(pack.manifest, recogniser=entry))
    kept = adapt(trained, recogniser, PHOTOGRAPHS, faces_of)
    assert kept.dropout_rate == entry.dropout_rate


@pytest.mark.parametrize(
    ("photographs", "subjects_known", "complaint"),
    [
        (PHOTOGRAPHS[:1], False, "are too few"),
        (PHOTOGRAPHS[:300], False, "392 columns is fitted to as many faces at least"),
        (PHOTOGRAPHS[::EACH], True, "have 0 mated and"),
    ],
)
def test_too_few_are_refused_before_any_is_looked_at(pack, photographs, subjects_known, complaint):
    def nobody(_photographs):
        pytest.fail("photographs were prepared")

    with pytest.raises(TrainingError, match=complaint):
        adapt(pack, load_recogniser(pack), photographs, nobody, subjects_known=subjects_known)


def test_an_adapted_pack_can_be_adapted_again(pack, tmp_path):
    once = install(
        adapt(pack, load_recogniser(pack), PHOTOGRAPHS, faces_of), pack, "once", tmp_path / "packs"
    )
    again = adapt(once, load_recogniser(once), PHOTOGRAPHS, faces_of)
    twice = install(again, once, "twice", tmp_path / "packs")
    verify(twice)
    assert twice.manifest.adaptation.of_recogniser == recogniser_checksum(once.manifest)
    assert set(twice.manifest.files) == {"recogniser.onnx", "head.safetensors"}


# --- photographs → faces


class Preparer:
    """Photographs are their own names. Stands for worker processes."""

    def __init__(self, *_arguments):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        pass

    def start(self):
        return self

    def wait_until_ready(self):
        pass

    def prepare(self, data, *, aligned=False) -> PreparedCapture:
        if data == b"broken":
            raise UndecodableImageError("the image ends early")
        if data == b"nobody":
            return PreparedCapture(0, None, None)
        landmarks = np.zeros((5, 2), np.float32)
        return PreparedCapture(1, Face((0, 0, 9, 9), 0.9, landmarks), face_of(data.decode()))


def written(folder, names, contents=None):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((contents or {}).get(name, name.encode()))
    return folder


def test_photographs_without_a_face_are_told_and_the_order_is_kept(tmp_path):
    names = ["a/1.jpg", "a/2.jpg", "b/1.jpg", "b/2.jpg", "c/1.jpg"]
    written(tmp_path, names[:-1], {"a/2.jpg": b"broken", "b/1.jpg": b"nobody"})
    photographs = [Photograph(tmp_path / name, name, name[0]) for name in names]
    skipped, done = {}, []
    batches = list(
        face_batches(
            photographs,
            Preparer(),
            workers=2,
            skipped=lambda name, why: skipped.update({name: why}),
            advance=done.append,
        )
    )
    [(shown, faces)] = batches
    assert [each.name for each in shown] == ["a/1.jpg", "b/2.jpg"]
    assert (faces[1] == face_of("b/2.jpg")).all()
    assert skipped == {
        "a/2.jpg": "the image ends early",
        "b/1.jpg": "no face was found",
        "c/1.jpg": "cannot be read: No such file or directory",
    }
    assert sum(done) == 5


# --- the command


@pytest.fixture
def here(pack, monkeypatch):
    monkeypatch.setenv("SERFIQ_DEVICE", "cpu")
    monkeypatch.setenv("SERFIQ_PACKS_DIR", str(pack.folder.parent))
    monkeypatch.setattr("serfiq_core.preparation.workers.PreparationWorkers", Preparer)


def run(*arguments):
    return CliRunner().invoke(cli, ["train", "adapt-head", *map(str, arguments)])


@pytest.mark.usefixtures("here")
def test_the_command_makes_a_pack_of_a_folder_per_subject(pack, tmp_path):
    images = written(tmp_path / "images", [*NAMES, "notes.txt"], {NAMES[0]: b"nobody"})
    result = run("small", "--images", images, "--by-subject", "--fit-rate", 0.1)
    assert result.exit_code == 0, result.output
    assert f"skipped {NAMES[0]}: no face was found" in result.output
    assert f"files passed over in {images}: 1 (first: notes.txt)" in result.output
    assert "FNMR of the subjects held out" in result.output
    assert "`serfiq packs check small-adapted --faces PHOTOGRAPHS`" in result.output
    assert "`serfiq calibrate PHOTOGRAPHS --pack small-adapted`" in result.output
    made = find_pack("small-adapted", pack.folder.parent).manifest
    assert made.adaptation.fit_rate == 0.1
    assert made.adaptation.edc
    result = run("small", "--images", images)
    assert isinstance(result.exception, PackError)
    assert "small-adapted exists already" in str(result.exception)


@pytest.mark.usefixtures("here")
def test_the_command_takes_unlabelled_photographs_from_folders_within_folders(pack, tmp_path):
    images = written(tmp_path / "images", [f"2026/{name}" for name in NAMES])
    result = run("small", "--images", images, "--name", "mine")
    assert result.exit_code == 0, result.output
    assert "FNMR" not in result.output
    assert find_pack("mine", pack.folder.parent).manifest.adaptation.edc == ()


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("names", "options", "complaint"),
    [
        (["notes.txt"], [], "holds no photograph"),
        (["notes.txt"], ["--by-subject"], "names no photograph"),
        (["a/1.jpg", "a/2.jpg"], ["--by-subject"], "one subject only"),
        (NAMES[:8], [], "are too few|392 columns"),
    ],
)
def test_images_that_cannot_be_fitted_to_are_refused(tmp_path, names, options, complaint):
    images = written(tmp_path / "images", names)
    result = run("small", "--images", images, *options)
    assert isinstance(result.exception, SerfiqError)
    assert not isinstance(result.exception, CaptureError)
    assert result.exception.args[0]
    with pytest.raises(SerfiqError, match=complaint):
        raise result.exception


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("rate", ["0", "1", "-0.1", "nan"])
def test_a_fit_rate_out_of_range_is_a_wrong_call(tmp_path, rate):
    result = run("small", "--images", tmp_path, "--fit-rate", rate)
    assert result.exit_code == 2
    assert "'--fit-rate': must lie between 0 and 1" in result.output
