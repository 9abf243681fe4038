"""MTCNN and SCRFD on 500 photographs: both find the face, and a recogniser cannot tell whose
landmarks it was aligned by."""

import numpy as np
import pytest
import torch

from serfiq_core.align import align
from serfiq_core.detection.mtcnn import MtcnnDetector
from serfiq_core.detection.scrfd import ScrfdDetector
from serfiq_core.recognition import mobilefacenet
from serfiq_core.recognition.recogniser import Preprocessing, Recogniser
from serfiq_core.recognition.weights import read_state_dict
from tests.faces import lfw_paths
from tests.photographs import photograph, sample

PHOTOGRAPHS = 500
PREPROCESSING = Preprocessing(
    "rgb", (0.485 * 255, 0.456 * 255, 0.406 * 255), (0.229 * 255, 0.224 * 255, 0.225 * 255)
)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """The networks are so small that sharing their work out takes longer than doing it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def photographs(shared_data):
    return [photograph(path) for path in lfw_paths(shared_data, PHOTOGRAPHS, seed=2)]


@pytest.fixture(scope="module")
def aligned_by(shared_data, photographs):
    """Detector → photograph → aligned largest face, where one was found."""
    detectors = {
        "mtcnn": MtcnnDetector(),
        "scrfd": ScrfdDetector(shared_data / "weights" / "det_500m.onnx"),
    }
    found = {name: {} for name in detectors}
    for name, detector in detectors.items():
        for index, pixels in enumerate(photographs):
            faces = detector.detect(sample(pixels))
            if faces:
                found[name][index] = align(pixels, faces[0].landmarks_px)
    return found


@pytest.fixture(scope="module")
def recogniser(shared_data):
    state = read_state_dict(shared_data / "weights" / "mobilefacenet_ms1m.pt")
    network = mobilefacenet.load(state)
    return Recogniser(network.backbone, network.head, PREPROCESSING, dropout_rate=0.05)


@pytest.mark.parametrize("name", ["mtcnn", "scrfd"])
def test_a_face_is_found_in_99_of_100(aligned_by, name):
    assert len(aligned_by[name]) >= 0.99 * PHOTOGRAPHS


def test_the_recogniser_sees_the_same_face(aligned_by, recogniser):
    both = sorted(aligned_by["mtcnn"].keys() & aligned_by["scrfd"].keys())
    first, second = (
        torch.cat(
            [
                recogniser.embeddings(torch.from_numpy(np.stack(faces[start : start + 50])))
                for start in range(0, len(faces), 50)
            ]
        )
        for faces in ([aligned_by[name][index] for index in both] for name in ("mtcnn", "scrfd"))
    )
    assert (first * second).sum(dim=1).mean() >= 0.95
