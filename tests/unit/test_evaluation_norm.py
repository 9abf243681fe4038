"""The scripts behind docs/evaluation.md: what they call norm and score is norm and score."""

import importlib
import sys

import numpy as np
import pytest
import torch
from torch import nn

from serfiq_core.recognition.head import AffineHead
from serfiq_core.recognition.recogniser import Preprocessing, Recogniser
from tests.conftest import REPOSITORY
from tests.order_zero import order_zero

RATE = 0.3


@pytest.fixture(scope="module")
def scripts():
    sys.path.insert(0, str(REPOSITORY / "docs" / "figures"))
    yield [importlib.import_module(name) for name in ("evaluation_dropout", "evaluation_norm")]
    sys.path.remove(str(REPOSITORY / "docs" / "figures"))


@pytest.fixture(scope="module")
def recogniser():
    torch.manual_seed(0)
    backbone = nn.Sequential(nn.AvgPool2d(16), nn.Flatten())  # 3 × 7 × 7
    head = AffineHead(nn.Sequential(nn.Flatten(), nn.Linear(147, 8)), 147, (3, 7, 7))
    return Recogniser(backbone, head, Preprocessing("rgb", (0.0,) * 3, (255.0,) * 3), RATE)


def test_the_ends_rank_as_the_norm_and_as_the_closed_form_do(scripts, recogniser):
    dropout, norm = scripts
    faces = np.random.default_rng(0).integers(0, 256, (40, 112, 112, 3)).astype(np.uint8)
    faces = (faces * np.linspace(0.2, 1, 40)[:, None, None, None]).astype(np.uint8)
    measured = dropout.Scorer([recogniser], [RATE, 0.5])(list(faces))
    site = dropout.site_of(recogniser)
    assert site == "3×7×7"
    found = [norm.ratios(each.scores, site, {**norm.ENDS, "half": 0.5}) for each in measured]

    def order(values):
        return np.argsort(np.asarray(values)).tolist()

    features = recogniser.features(torch.from_numpy(faces))
    outputs = recogniser.head.embed(features)
    closed_form = -order_zero(recogniser.head, RATE, features)
    assert order([each["norm"] for each in found]) == order(outputs.norm(dim=1))
    assert order([each["score"] for each in found]) == order(closed_form)
    assert order(outputs.norm(dim=1)) != order(closed_form)
    for each in found:
        assert each["half"] == pytest.approx((each["norm"] + each["score"]) / 2)
    embeddings = nn.functional.normalize(outputs).numpy()
    np.testing.assert_array_equal(np.stack([each.embedding for each in measured]), embeddings)


def test_every_rate_has_its_passes_and_only_the_ends_a_thousand(scripts, recogniser):
    dropout, _ = scripts
    names = dict(dropout._estimators(recogniser, [0.1, 0.2, 0.4]))
    assert len(names) == 3 * 3 + 2
    assert "3×7×7, 0.1, 1000" in names
    assert "3×7×7, 0.2, 1000" not in names
    assert "3×7×7, 0.4, closed form" in names
