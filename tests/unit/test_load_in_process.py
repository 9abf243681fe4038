"""From settings to a pipeline: it scores and decides by what they say."""

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

from app.commands.measuring import Measuring
from app.loading import load_in_process, workers_of
from app.settings import Settings
from serfiq_core.loading import load_for_inference
from serfiq_core.packs.registry import embedded_pack
from serfiq_core.scoring.score import Sampled, mask_bank
from tests.encoded import encoded
from tests.lax_profile import with_a_lax_profile

PORTRAIT = Image.fromarray(skimage.data.astronaut())
FACE = np.array(PORTRAIT.crop((150, 30, 300, 180)).resize((112, 112)))


def test_it_scores_with_their_passes_seed_and_convention():
    pipeline = load_in_process(Settings(device="cpu", passes=10, seed=7, convention="mean"))
    recogniser, _ = load_for_inference(embedded_pack(), torch.device("cpu"), "auto")
    bank = mask_bank(10, recogniser.head.feature_count, recogniser.dropout_rate, 7)
    with torch.no_grad():
        features = recogniser.features(torch.from_numpy(FACE[None]))
        expected = Sampled(recogniser.head, bank, "mean")(features)
    [scores] = pipeline.score([FACE])
    assert scores.sampled.mean_distance == pytest.approx(float(expected.mean_distance), rel=1e-5)
    assert scores.sampled.raw_score == pytest.approx(float(expected.raw_score), rel=1e-5)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_it_computes_in_their_precision(precision):
    assert load_in_process(Settings(device="cpu", precision=precision)).info.precision == precision


def test_their_shadow_profile_decides_beside_the_one_in_force():
    pipeline = load_in_process(Settings(device="cpu", shadow_profile="identification"))
    prepared = pipeline.prepare(encoded(PORTRAIT, "JPEG"))
    [scores] = pipeline.score([prepared.aligned])
    assessment = pipeline.decide(prepared, scores)
    asked_for = pipeline.decide(prepared, scores, profile="identification")
    assert assessment.decision.profile == "enrolment"
    assert assessment.shadow == asked_for.decision


def test_workers_and_evaluations_look_for_the_faces_of_the_profiles_in_force(tmp_path):
    path = with_a_lax_profile(tmp_path)
    for shadow, wanted_px in ((None, 0), ("lax", 35)):
        settings = Settings(profiles_path=path, shadow_profile=shadow)
        [worker, *_] = workers_of(settings, embedded_pack())._workers
        assert worker._command[-1] == f"{wanted_px:.1f}"
        assert Measuring(settings, embedded_pack(), (), "largest")._wanted_px() == wanted_px
