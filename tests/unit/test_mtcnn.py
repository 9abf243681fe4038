"""MTCNN: its cascade level by level, what it looks for, its weights."""

import hashlib
import importlib.metadata
import pickle
import sys

import numpy as np
import pytest
import torch

from serfiq_core.detection import mtcnn, mtcnn_weights
from serfiq_core.detection.boxes import shift, squares, suppress
from serfiq_core.detection.mtcnn import (
    BOX_PER_INTER_EYE_DISTANCE,
    DEFAULT_MINIMUM_FACE_PX,
    LEVEL_OVERLAP,
    PROPOSAL_OVERLAP,
    PROPOSAL_SCORE,
    WORKING_SIDE_PX,
    MtcnnDetector,
    _crops,
    minimum_face_px,
)
from serfiq_core.detection.mtcnn_networks import (
    OutputNetwork,
    ProposalNetwork,
    RefinementNetwork,
)
from serfiq_core.detection.mtcnn_pyramid import (
    SMALLEST_FACE_SHARE,
    canvas,
    scales,
    windows_at,
)
from serfiq_core.errors import ChecksumError, WeightsError
from serfiq_core.resizing import halved
from serfiq_core.types import Sample
from tests.photographs import (
    astronaut,
    enlarged,
    portrait_tiles,
    sample,
)


@pytest.fixture(scope="module")
def detector():
    return MtcnnDetector()


@pytest.fixture(scope="module")
def face(detector):
    (face,) = detector.detect(sample(astronaut()))
    return face


class TestOneFace:
    def test_the_box_holds_the_landmarks_and_little_more(self, face):
        left, top, right, bottom = face.box_px
        assert (face.landmarks_px > (left, top)).all()
        assert (face.landmarks_px < (right, bottom)).all()
        assert 70 < face.width_px < 110
        assert 0.99 < face.detection_score <= 1

    def test_a_face_cut_by_the_edge_is_found_beyond_it(self, detector):
        (cut,) = detector.detect(sample(astronaut()[90:, 190:]))
        assert cut.box_px[1] < 0

    def test_a_read_only_image_is_taken(self, detector, face):
        pixels = astronaut().copy()
        pixels.flags.writeable = False
        assert detector.detect(sample(pixels))[0].box_px == face.box_px

    def test_faces_smaller_than_asked_for_are_left_out(self, face):
        assert MtcnnDetector(minimum_face_px=2 * face.width_px).detect(sample(astronaut())) == []


def test_the_largest_comes_first(detector):
    small = np.zeros((500, 250, 3), np.uint8)
    small[100:225, 60:185] = enlarged(portrait_tiles(1)[0], 0.5)
    large = enlarged(portrait_tiles(1)[0], 2)
    faces = detector.detect(sample(np.hstack((small, large))))
    widths = [face.width_px * face.height_px for face in faces]
    assert len(faces) >= 2
    assert widths == sorted(widths, reverse=True)
    assert faces[0].box_px[0] > 250 > faces[-1].box_px[0]


def test_noise_has_no_face(detector):
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    assert detector.detect(sample(noise)) == []


def test_the_smallest_face_of_a_reduced_photograph_fills_the_last_network():
    assert WORKING_SIDE_PX * SMALLEST_FACE_SHARE == 48


def proposals_level_by_level(detector, halves, minimum_face_px):
    """P-Net as it was published: each level for itself, and what they found put together."""
    pyramid = canvas(halves, minimum_face_px)
    boxes, scores = [], []
    for level in pyramid.levels:
        rows = slice(level.top_px, level.top_px + level.height_px // 2 * 2)
        columns = slice(level.left_px, level.left_px + level.width_px // 2 * 2)
        alone = np.ascontiguousarray(pyramid.pixels[None, rows, columns])
        probability, features = detector._propose(detector._to_input(alone))
        likely = (probability[0] > PROPOSAL_SCORE).nonzero(as_tuple=True)
        offsets = detector._propose.offsets_at(features[0, :, likely[0], likely[1]].T).numpy()
        windows = windows_at(likely[0].numpy(), likely[1].numpy())
        level_scores = probability[0][likely].numpy()
        kept = suppress(windows, level_scores, LEVEL_OVERLAP, "union")
        boxes.append(shift(windows[kept], offsets[kept]) / np.float32(level.scale))
        scores.append(level_scores[kept])
    boxes, scores = np.concatenate(boxes), np.concatenate(scores)
    return squares(boxes[suppress(boxes, scores, PROPOSAL_OVERLAP, "union")])


@pytest.mark.parametrize(("height", "width"), [(512, 512), (301, 512), (512, 211), (97, 83)])
def test_one_inference_proposes_what_the_levels_do_one_by_one(detector, height, width):
    top, left = min(60, 512 - height), min(180, 512 - width)
    halves = halved(astronaut()[top : top + height, left : left + width])
    with torch.no_grad():
        together = detector._proposals(halves, DEFAULT_MINIMUM_FACE_PX)
        expected = proposals_level_by_level(detector, halves, DEFAULT_MINIMUM_FACE_PX)
    assert len(expected) > 1
    np.testing.assert_allclose(together, expected, atol=1e-2)


def test_a_canvas_looked_at_in_parts_proposes_the_same(detector, monkeypatch):
    halves = halved(astronaut())
    with torch.no_grad():
        whole = detector._proposals(halves, DEFAULT_MINIMUM_FACE_PX)
        for pixels in (1, 30_000, 100_001):
            monkeypatch.setattr(mtcnn, "PIXELS_PER_INFERENCE", pixels)
            parts = detector._proposals(halves, DEFAULT_MINIMUM_FACE_PX)
            np.testing.assert_allclose(parts, whole, atol=1e-2)


class TestMinimumFace:
    def test_it_is_about_half_of_the_smallest_that_would_do(self):
        for wanted_px in (35, 60, 90, 120):
            half_px = BOX_PER_INTER_EYE_DISTANCE * wanted_px / 2
            assert minimum_face_px(wanted_px) == pytest.approx(half_px, rel=0.2)

    def test_it_is_never_below_the_default(self):
        assert minimum_face_px(0) == minimum_face_px(10) == DEFAULT_MINIMUM_FACE_PX

    def test_the_larger_levels_are_those_of_the_default(self):
        every = scales(480, 640, DEFAULT_MINIMUM_FACE_PX)
        fewer = scales(480, 640, minimum_face_px(35))
        assert 0 < len(fewer) < len(every)
        np.testing.assert_allclose(fewer, every[-len(fewer) :])

    def test_a_face_somewhat_too_small_is_still_found(self, detector, face):
        wanted_px = 35
        small = enlarged(astronaut(), 0.6 * wanted_px / face.inter_eye_distance_px)
        (found,) = MtcnnDetector(minimum_face_px=minimum_face_px(wanted_px)).detect(sample(small))
        assert 0.5 * wanted_px < found.inter_eye_distance_px < 0.7 * wanted_px

    def test_it_is_said_in_pixels_of_the_file(self, face):
        detector = MtcnnDetector(minimum_face_px=2 * face.width_px)
        assert detector.detect(sample(astronaut())) == []
        assert len(detector.detect(Sample(astronaut(), reduction=4))) == 1


class TestCrops:
    def test_they_are_black_beyond_the_image(self):
        halves = halved(np.full((40, 60, 3), 200, np.uint8))
        wanted = np.array(
            [(-10, -10, 10, 10), (10, 10, 30, 30), (50, 30, 70, 50), (90, 90, 110, 110)]
        )
        crops = _crops(halves, wanted.astype(np.float32), side_px=20)
        lit = (crops == 200).all(axis=3)
        assert [int(each.sum()) for each in lit] == [100, 400, 100, 0]
        assert lit[0, 10:, 10:].all()
        assert lit[2, :10, :10].all()

    @pytest.mark.parametrize("side_px", [48, 70, 96, 133, 300])
    def test_large_boxes_are_averaged_not_skipped_through(self, side_px):
        noise = np.random.default_rng(0).integers(0, 256, (400, 400, 3), np.uint8)
        box = np.array([(37, 21, 37 + side_px, 21 + side_px)], np.float32)
        (crop,) = _crops(halved(noise), box, side_px=24)
        pixels_in_one = (side_px / 24) ** 2
        assert crop.std() < 1.5 * noise.std() / pixels_in_one**0.5

    @pytest.mark.parametrize("side_px", [12, 30, 48, 70, 96, 133, 300])
    def test_they_show_what_lies_in_the_box(self, side_px):
        ramp = np.linspace(20, 230, 400)
        image = np.repeat(ramp.round().astype(np.uint8)[None, :, None], 400, axis=0).repeat(3, 2)
        box = np.array([(37, 21, 37 + side_px, 21 + side_px)], np.float32)
        (crop,) = _crops(halved(image), box, side_px=24)
        centres = 37 + (np.arange(24) + 0.5) * side_px / 24 - 0.5
        # Each halving rounds once more.
        expected = np.interp(centres, np.arange(400), ramp)
        np.testing.assert_allclose(crop[12, :, 0], expected, atol=2)


class TestNetworks:
    @pytest.mark.parametrize(
        ("network", "side", "shapes"),
        [
            (ProposalNetwork(), 12, [(2, 1, 1), (2, 32, 1, 1)]),
            (RefinementNetwork(), 24, [(2,), (2, 4)]),
            (OutputNetwork(), 48, [(2,), (2, 4), (2, 2, 5)]),
        ],
    )
    def test_each_input_gives_one_answer(self, network, side, shapes):
        outputs = network(torch.zeros(2, 3, side, side))
        assert [tuple(output.shape) for output in outputs] == shapes

    @pytest.mark.parametrize("height", [12, 13, 40])
    @pytest.mark.parametrize("width", [12, 15, 31])
    def test_the_first_of_p_net_is_torchs_own(self, height, width):
        body = ProposalNetwork().body
        with torch.no_grad():
            body[1].weight.copy_(torch.linspace(-1.3, 1.1, 10))
        x = torch.randn(2, 3, height, width).to(memory_format=torch.channels_last)
        convolved = body[0](x)
        expected = torch.nn.functional.max_pool2d(torch.prelu(convolved, body[1].weight), 2)
        assert torch.equal(body[2](body[1](convolved)), expected)
        assert body[:3](x).is_contiguous(memory_format=torch.channels_last)

    def test_the_first_dense_layer_takes_the_map_as_width_height_channels(self):
        layer = OutputNetwork().body[11]
        kernel = np.random.default_rng(0).normal(size=(1152, 256)).astype(np.float32)
        arranged = mtcnn_weights._arranged(kernel, layer)
        maps = np.random.default_rng(1).normal(size=(1, 128, 3, 3)).astype(np.float32)
        by_definition = maps.transpose(0, 3, 2, 1).reshape(1, -1) @ kernel
        np.testing.assert_allclose(maps.reshape(1, -1) @ arranged.T, by_definition, rtol=1e-4)


class TestWeights:
    def test_reading_them_imports_no_tensorflow_and_not_the_package(self, detector):
        assert "mtcnn" not in sys.modules
        assert "tensorflow" not in sys.modules

    def test_a_missing_package_is_named(self, monkeypatch):
        monkeypatch.setattr(mtcnn_weights, "DISTRIBUTION", "no-such-distribution")
        with pytest.raises(WeightsError, match=r"no-such-distribution==1\.0\.0"):
            MtcnnDetector()

    def test_a_missing_file_is_named(self, monkeypatch):
        monkeypatch.setattr(mtcnn_weights, "FOLDER", "no/such/folder")
        with pytest.raises(WeightsError, match=r"pnet\.lz4"):
            MtcnnDetector()

    def test_a_changed_file_is_never_unpickled(self, monkeypatch, tmp_path):
        class Trap:
            def __reduce__(self):
                return (pytest.fail, ("the file was unpickled",))

        class Distribution:
            def locate_file(self, name):
                return tmp_path / name

        folder = tmp_path / mtcnn_weights.FOLDER
        folder.mkdir(parents=True)
        changed = pickle.dumps(Trap())
        (folder / "pnet.lz4").write_bytes(changed)
        monkeypatch.setattr(importlib.metadata, "distribution", lambda name: Distribution())
        with pytest.raises(ChecksumError, match=hashlib.sha256(changed).hexdigest()):
            MtcnnDetector()
