"""Bits repeat in the recorded place, whoever was there."""

import io

import pytest
import skimage.data
import torch
from PIL import Image

from serfiq_core.loading import load_pipeline
from serfiq_core.packs.registry import embedded_pack
from serfiq_core.repeating import repeat
from serfiq_core.types import FaceScores, ScoredIn
from tests.faces import degraded, lfw_crops


@pytest.fixture(scope="module")
def pipeline():
    return load_pipeline(embedded_pack(), device="cpu")


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def bits(scores: FaceScores) -> tuple[object, ...]:
    assert scores.instability_map is not None
    maps = scores.embedding.tobytes(), scores.instability_map.tobytes()
    return scores.sampled, scores.closed_form, *maps


@pytest.mark.parametrize("count", [1, 2])
def test_a_face_beside_itself_has_the_bits_it_had_in_company(pipeline, threads, shared_data, count):
    threads(count)
    faces = list(degraded(lfw_crops(shared_data, 7)))
    for size in (1, 3, 7):
        for index, scores in enumerate(pipeline.score(faces[:size])):
            assert scores.scored_in == ScoredIn(size, index, count)
            again = pipeline.score([faces[index]] * size)[index]
            assert bits(again) == bits(scores)


def test_a_capture_repeats_to_the_bit_whatever_the_threads_now(pipeline, threads):
    stream = io.BytesIO()
    Image.fromarray(skimage.data.astronaut()).save(stream, "JPEG")
    data = stream.getvalue()
    threads(1)
    [first] = pipeline.assess([data])
    threads(2)
    assert first.scores is not None
    again = repeat(
        pipeline,
        data,
        aligned=False,
        scored_in=first.scores.scored_in,
        estimator="sampled",
        profile=first.decision.profile,
    )
    assert torch.get_num_threads() == 2
    assert again.scores is not None
    assert bits(again.scores) == bits(first.scores)
    assert again.scores.scored_in == first.scores.scored_in
    assert (again.quality_score, again.decision) == (first.quality_score, first.decision)
    assert again.image_sha256 == first.image_sha256
