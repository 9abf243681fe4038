"""What is measured of a face: the scores that the service gives it, and the baselines by hand."""

import math

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image, ImageFilter

from serfiq_core.loading import load_for_inference, load_pipeline
from serfiq_core.measuring import Scorer, laplacian_variance
from serfiq_core.packs.registry import embedded_pack

CPU = torch.device("cpu")
PASSES = (100, 10)


@pytest.fixture(scope="module")
def faces():
    """The astronaut's, and ever more blurred ones."""
    face = Image.fromarray(skimage.data.astronaut()).crop((150, 30, 300, 180)).resize((112, 112))
    return [np.asarray(face.filter(ImageFilter.GaussianBlur(sigma))) for sigma in range(4)]


@pytest.fixture(scope="module")
def recogniser():
    return load_for_inference(embedded_pack(), CPU, "float32")[0]


@pytest.mark.parametrize(("convention", "seed"), [("paper", 0), ("mean", 7)])
def test_a_face_has_the_scores_that_the_service_gives_it(faces, recogniser, convention, seed):
    measured = Scorer(recogniser, PASSES, convention, seed)(faces)
    for passes, name in zip(PASSES, ("sampled", "sampled_10"), strict=True):
        service = load_pipeline(
            embedded_pack(),
            device="cpu",
            precision="float32",
            convention=convention,
            passes=passes,
            seed=seed,
        )
        divisor_ratio = (passes - 1) / passes if convention == "paper" else 1
        for ours, theirs in zip(measured, service.score(faces), strict=True):
            drawn, limit = theirs.sampled, theirs.closed_form
            assert ours.scores[name] == pytest.approx(drawn.raw_score, rel=1e-9)
            assert ours.scores["closed_form"] == pytest.approx(limit.raw_score, rel=1e-9)
            np.testing.assert_allclose(ours.embedding, theirs.embedding, rtol=0, atol=1e-7)
            assert drawn.raw_score == pytest.approx(
                2 / (1 + math.exp(divisor_ratio * drawn.mean_distance))
            )
            assert limit.raw_score == pytest.approx(2 / (1 + math.exp(limit.mean_distance)))


def test_the_embedding_norm_is_that_before_normalisation(faces, recogniser):
    measured = Scorer(recogniser, PASSES, "paper", 0)(faces)
    features = recogniser.features(torch.from_numpy(np.stack(faces)))
    norms = recogniser.head.embed(features).norm(dim=1)
    assert [each.scores["embedding_norm"] for each in measured] == pytest.approx(norms.tolist())
    assert norms.std() > 0.01 * norms.mean()


def test_sharpness_is_the_variance_of_the_laplacian():
    # Of one red pixel: its luminance is 0.299 · 255, rounded to 76, and the Laplacian has −4 · 76
    # there, 76 at its four neighbours, and 0 elsewhere; its mean is 0.
    face = np.zeros((7, 7, 3), np.uint8)
    face[3, 3] = (255, 0, 0)
    assert laplacian_variance(face) == pytest.approx((16 + 4) * 76**2 / 49)
