"""The service's pipeline: captures are prepared in processes of their own."""

import gc
from contextlib import ExitStack

import pytest
from PIL import Image

from app.loading import load_with_workers
from app.settings import Settings
from tests.encoded import encoded
from tests.photographs import astronaut


@pytest.fixture(scope="module")
def pipeline():
    with ExitStack() as ended_by:
        yield load_with_workers(Settings(device="cpu", prepare_workers=1), ended_by)
    gc.unfreeze()


def test_it_prepares_and_scores(pipeline):
    prepared = pipeline.prepare(encoded(Image.fromarray(astronaut()), "JPEG"))
    [scores] = pipeline.score([prepared.aligned])
    assert 0 < scores.sampled.raw_score < 1


def test_the_garbage_collector_does_not_go_through_it(pipeline):
    assert all(each is not pipeline for each in gc.get_objects())
