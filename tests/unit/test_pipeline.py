"""The whole way with the embedded pack, on the portrait that scikit-image carries."""

import dataclasses
import io
import math

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image, ImageFilter

from serfiq_core.calibration.calibration import Calibration, PercentileMap
from serfiq_core.decisions.profiles import Profile, read_profiles
from serfiq_core.errors import (
    ChecksumError,
    ConfigurationError,
    DeviceMemoryError,
    NotAlignedError,
    OptionUnavailableError,
)
from serfiq_core.loading import choose_device, load_pipeline
from serfiq_core.packs.registry import embedded_pack
from serfiq_core.pipeline import Pipeline
from serfiq_core.types import FaceScores, PreparedCapture, Score
from tests.faces import lfw_crops, lfw_paths


@pytest.fixture(scope="module")
def pipeline():
    return load_pipeline(embedded_pack(), device="cpu")


def jpeg(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=92)
    return file.getvalue()


PORTRAIT = Image.fromarray(skimage.data.astronaut())


def test_a_photograph_in_a_quality_score_out(pipeline):
    (assessment,) = pipeline.assess([jpeg(PORTRAIT)])
    assert assessment.faces_found == 1
    assert assessment.decision.verdict in ("accept", "review")
    assert assessment.quality_score is not None
    assert 5 < assessment.quality_score <= 100
    assert assessment.scores is not None
    drawn, limit = assessment.scores.sampled, assessment.scores.closed_form
    assert limit is not None
    assert drawn.standard_error is not None
    assert drawn.mean_distance == pytest.approx(limit.mean_distance, rel=0.05)
    assert np.linalg.norm(assessment.scores.embedding) == pytest.approx(1, abs=1e-5)
    assert assessment.scores.instability_map is not None
    assert assessment.scores.instability_map.shape == (7, 7)
    assert assessment.scores.instability_map.sum() == pytest.approx(1, abs=1e-5)


def test_a_ruined_photograph_scores_lower(pipeline):
    small = PORTRAIT.crop((130, 20, 330, 220))
    tiny = small.resize((24, 24)).resize((200, 200))
    clean, blocky = pipeline.assess([jpeg(small), jpeg(tiny)])
    if blocky.scores is not None:
        assert blocky.quality_score < clean.quality_score
    assert blocky.decision.verdict != "accept"


def test_a_photograph_without_a_face_is_a_rejection_with_a_reason(pipeline):
    grey = Image.new("RGB", (320, 240), (90, 90, 90))
    (assessment,) = pipeline.assess([jpeg(grey)])
    assert (assessment.faces_found, assessment.face, assessment.scores) == (0, None, None)
    assert [reason.code for reason in assessment.decision.reasons] == ["no_face"]
    assert assessment.decision.verdict == "reject"


def test_a_score_does_not_change_with_the_batch_it_travels_in(pipeline, shared_data):
    faces = list(lfw_crops(shared_data, 24))
    together = pipeline.score(faces)
    for face, scores in zip(faces, together, strict=True):
        (alone,) = pipeline.score([face])
        assert scores.sampled.raw_score == pytest.approx(alone.sampled.raw_score, abs=1e-6)
        # In bfloat16, where it is chosen, sums that are split otherwise show in the sixth digit.
        assert scores.closed_form.raw_score == pytest.approx(alone.closed_form.raw_score, abs=1e-5)


def test_each_face_of_a_batch_has_its_own_embedding_and_map(pipeline):
    face = PORTRAIT.crop((150, 30, 300, 180)).resize((112, 112))
    unlike = (face, face.filter(ImageFilter.GaussianBlur(4)), face.rotate(30))
    faces = [np.asarray(each) for each in unlike]
    alone = [pipeline.score([each])[0] for each in faces]
    for place, scores in enumerate(pipeline.score(faces)):
        cosines = [scores.embedding @ each.embedding for each in alone]
        apart = [np.abs(scores.instability_map - each.instability_map).sum() for each in alone]
        assert np.argmax(cosines) == np.argmin(apart) == place
        assert sorted(cosines)[-2] < 0.99 < 0.999 < cosines[place]
        assert apart[place] < 0.01 < 0.05 < sorted(apart)[1]


def test_a_score_does_not_change_from_run_to_run(pipeline):
    again = load_pipeline(embedded_pack(), device="cpu")
    first, second = (p.assess([jpeg(PORTRAIT)])[0].scores for p in (pipeline, again))
    assert first.sampled == second.sampled
    assert first.closed_form == second.closed_form


def test_the_estimators_agree_on_the_quality_of_real_photographs(pipeline, shared_data):
    captures = [path.read_bytes() for path in lfw_paths(shared_data, 12)]
    drawn = pipeline.assess(captures)
    limit = load_pipeline(embedded_pack(), device="cpu", estimator="closed_form").assess(captures)
    for left, right in zip(drawn, limit, strict=True):
        assert left.faces_found == right.faces_found
        assert left.quality_score == pytest.approx(right.quality_score, abs=15)


@pytest.mark.parametrize("passes", [3, 100])
@pytest.mark.parametrize("convention", ["paper", "mean"])
@pytest.mark.parametrize(("estimator", "quality_score"), [("sampled", 25), ("closed_form", 80)])
def test_one_calibration_serves_both_estimators_every_m_and_both_conventions(
    pipeline, passes, convention, estimator, quality_score
):
    """The map is asked at `2/(1 + e^D)`, whatever the raw score is: 0.25 at ln 7, 0.8 at ln 1.5."""
    hundredfold = Calibration("made up", "a" * 64, 0.4, PercentileMap("made up", (0.0, 1.0)))
    info = dataclasses.replace(
        pipeline.info, passes=passes, convention=convention, estimator=estimator
    )
    ours = Pipeline(pipeline._recogniser, pipeline, hundredfold, read_profiles(), info)
    scores = FaceScores(
        sampled=Score(0.5, math.log(7), 0.01),
        closed_form=Score(0.6, math.log(1.5), None),
        embedding=np.eye(1, 128, dtype=np.float32)[0],
        instability_map=None,
    )
    capture = PreparedCapture(None, None, None)
    for chosen in (None, estimator):
        found = ours.decide(capture, scores, estimator=chosen).quality_score
        assert found == pytest.approx(quality_score, abs=1e-9)


def test_a_profile_in_the_shadow_decides_beside_the_one_asked_for(pipeline):
    lax, strict = (Profile(f"from-{at}", "1", at, at, "accept") for at in (10, 90))
    calibration = Calibration("made up", "a" * 64, 0.4, PercentileMap("made up", (0.0, 1.0)))
    ours = Pipeline(
        pipeline._recogniser, pipeline, calibration, {lax.name: lax}, pipeline.info, shadow=strict
    )
    scores = FaceScores(
        Score(0.5, math.log(3), 0.01), None, np.eye(1, 128, dtype=np.float32)[0], None
    )
    assessment = ours.decide(PreparedCapture(None, None, None), scores)
    assert assessment.quality_score == pytest.approx(50)
    assert (assessment.decision.profile, assessment.decision.verdict) == ("from-10", "accept")
    assert (assessment.shadow.profile, assessment.shadow.verdict) == ("from-90", "reject")


def test_an_aligned_face_needs_no_detector(pipeline):
    aligned = PORTRAIT.crop((150, 30, 300, 180)).resize((112, 112))
    (assessment,) = pipeline.assess([jpeg(aligned)], aligned=True)
    assert assessment.faces_found is None
    assert assessment.scores is not None
    with pytest.raises(NotAlignedError, match="112"):
        pipeline.assess([jpeg(PORTRAIT)], aligned=True)


def test_a_profile_that_does_not_exist_is_refused(pipeline):
    with pytest.raises(OptionUnavailableError, match=r"no profile gala; there are enrolment"):
        pipeline.assess([jpeg(PORTRAIT)], profile="gala")


def test_a_pack_without_calibration_accepts_nothing(pipeline):
    pack = embedded_pack()
    bare = dataclasses.replace(pack, manifest=dataclasses.replace(pack.manifest, calibration=None))
    (assessment,) = load_pipeline(bare, device="cpu").assess([jpeg(PORTRAIT)])
    assert assessment.scores is not None
    assert assessment.quality_score is None
    assert assessment.decision.verdict == "reject"
    assert "not_assessed" in [reason.code for reason in assessment.decision.reasons]


def test_an_answer_of_nothing_is_not_taken_for_stability(pipeline):
    (scores,) = pipeline.score([np.asarray(PORTRAIT.resize((112, 112)))])
    capture = pipeline.prepare(jpeg(PORTRAIT))
    for embedding in (np.zeros(128, np.float32), np.full(128, np.nan, np.float32)):
        silent = dataclasses.replace(scores, embedding=embedding)
        decision = pipeline.decide(capture, silent).decision
        assert decision.verdict == "reject"
        assert "not_assessed" in [reason.code for reason in decision.reasons]


@pytest.mark.parametrize("estimator", ["sampled", "closed_form"])
def test_a_face_that_stirs_no_feature_is_not_taken_for_stable(monkeypatch, estimator):
    """Every pass then gives the head's bias, which is an embedding and never moves."""
    pipeline = load_pipeline(embedded_pack(), device="cpu", estimator=estimator)
    head = pipeline._recogniser.head
    assert head.bias.any()
    monkeypatch.setattr(
        pipeline._recogniser, "features", lambda faces: torch.zeros(len(faces), head.feature_count)
    )
    [assessment] = pipeline.assess([jpeg(PORTRAIT)])
    assert assessment.scores is not None
    assert assessment.scores.embedding.any()
    assert assessment.quality_score is None
    assert assessment.decision.verdict == "reject"


def raise_cuda(_: torch.Tensor) -> torch.Tensor:
    raise torch.OutOfMemoryError("CUDA out of memory")


def raise_cublas(_: torch.Tensor) -> torch.Tensor:
    raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")


@pytest.mark.parametrize(
    "full",
    [
        raise_cuda,
        raise_cublas,
        pytest.param(lambda _: torch.empty(10**15), id="the processor's allocator"),
        pytest.param(lambda _: np.empty(10**15), id="numpy"),
    ],
)
def test_a_batch_that_does_not_fit_is_said_in_the_words_of_the_core(monkeypatch, full):
    pipeline = load_pipeline(embedded_pack(), device="cpu")
    monkeypatch.setattr(pipeline._recogniser, "features", full)
    face = np.asarray(PORTRAIT.resize((112, 112)))
    with pytest.raises(DeviceMemoryError, match="2 faces do not fit"):
        pipeline.score([face, face])


def test_other_errors_of_a_batch_are_no_lack_of_memory(monkeypatch):
    pipeline = load_pipeline(embedded_pack(), device="cpu")

    def broken(_: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(pipeline._recogniser, "features", broken)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        pipeline.score([np.asarray(PORTRAIT.resize((112, 112)))])


def test_every_stage_is_observed(pipeline):
    seen = []
    pipeline.observe = lambda stage, seconds: seen.append((stage, seconds))
    try:
        pipeline.assess([jpeg(PORTRAIT)])
    finally:
        pipeline.observe = None
    assert [stage for stage, _ in seen] == [
        "decode",
        "detect",
        "align",
        "components",
        "inference",
        "decide",
    ]
    assert all(seconds >= 0 for _, seconds in seen)


def test_a_changed_file_is_not_loaded(tmp_path):
    embedded = embedded_pack()
    for file in embedded.folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    with (tmp_path / embedded.manifest.recogniser.file).open("r+b") as file:
        file.seek(1000)
        file.write(b"\0\1\2\3")
    with pytest.raises(ChecksumError, match=r"compact\.safetensors"):
        load_pipeline(dataclasses.replace(embedded, folder=tmp_path))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_an_error():
    assert choose_device("auto").type == "cpu"
    with pytest.raises(ConfigurationError, match="no GPU"):
        choose_device("cuda")


def test_blur_lowers_the_score_of_an_aligned_face(pipeline):
    face = PORTRAIT.crop((150, 30, 300, 180)).resize((112, 112))
    blurred = face.filter(ImageFilter.GaussianBlur(6))
    sharp_scores, blurred_scores = pipeline.score([np.asarray(face), np.asarray(blurred)])
    assert blurred_scores.closed_form.raw_score < sharp_scores.closed_form.raw_score
