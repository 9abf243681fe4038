"""What the two maps say of real faces of which a part is covered.

The figures are in docs/explaining.md. Eight faces, six regions, six ways to cover each.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
import torch

from serfiq_core.loading import load_detector, load_recogniser
from serfiq_core.maps.gradient_map import CELL_PX, gradient_map
from serfiq_core.maps.instability_map import instability_map
from serfiq_core.packs.registry import embedded_pack
from serfiq_core.preparation.prepare import Preparation
from serfiq_core.recognition import mobilefacenet
from serfiq_core.recognition.inference import for_inference
from serfiq_core.recognition.recogniser import Preprocessing, Recogniser
from serfiq_core.recognition.weights import read_state_dict
from serfiq_core.scoring.closed_form import ClosedForm
from serfiq_core.types import AlignedFace
from tests.faces import lfw_paths

FACES = 8
CELL_OF_MAP_PX = 16

REGIONS = {
    "left eye": (slice(40, 72), slice(24, 56)),
    "nose": (slice(56, 88), slice(40, 72)),
    "mouth": (slice(80, 112), slice(40, 72)),
    "forehead": (slice(8, 40), slice(40, 72)),
    "both eyes": (slice(40, 64), slice(16, 96)),
    "lower half": (slice(72, 112), slice(8, 104)),
}
"""Rows and columns of the aligned face, in pixels."""


def covered(face: AlignedFace, region: tuple[slice, slice]) -> list[AlignedFace]:
    """Black, grey, white, the region's mean colour, noise, a chequer board."""
    part = face[region]
    height, width = part.shape[:2]
    squares = (np.add.outer(np.arange(height) // 4, np.arange(width) // 4) % 2)[:, :, None]
    noise = np.random.default_rng(0).integers(0, 256, part.shape)
    faces = []
    for cover in (0, 128, 255, part.mean((0, 1)), noise, 255 * squares):
        changed = face.copy()
        changed[region] = cover
        faces.append(changed)
    return faces


@dataclass
class Case:
    recogniser: Recogniser
    closed_form: ClosedForm

    def instability(self, faces: list[AlignedFace]) -> npt.NDArray[np.float32]:
        """Per pixel: `N × 112 × 112`."""
        features = self.recogniser.features(torch.from_numpy(np.stack(faces)))
        maps = instability_map(features, self.recogniser.head, self.recogniser.dropout_rate)
        assert maps is not None
        return spread(maps.numpy(), CELL_OF_MAP_PX)

    def gradient(self, face: AlignedFace) -> npt.NDArray[np.float32]:
        """`28 × 28`."""
        found = gradient_map(
            face,
            self.recogniser.differentiable_features,
            lambda features: self.closed_form(features).mean_distance,
            torch.device("cpu"),
        )
        assert found is not None
        return found

    def distance(self, faces: list[AlignedFace]) -> npt.NDArray[np.float64]:
        """Mean distances, `N`."""
        features = self.recogniser.features(torch.from_numpy(np.stack(faces)))
        return self.closed_form(features).mean_distance.numpy()


def spread(maps: npt.NDArray[np.float32], cell_px: int) -> npt.NDArray[np.float32]:
    """Each cell's share divided evenly among its pixels."""
    return np.repeat(np.repeat(maps, cell_px, -2), cell_px, -1) / cell_px**2


@pytest.fixture(scope="module")
def faces(shared_data):
    preparation = Preparation(load_detector(embedded_pack()))
    captures = [path.read_bytes() for path in lfw_paths(shared_data, FACES, seed=5)]
    found = [preparation.prepare(capture).aligned for capture in captures]
    return [face for face in found if face is not None]


@pytest.fixture(scope="module", params=["compact", "mobilefacenet"])
def case(request, shared_data):
    if request.param == "compact":
        recogniser = load_recogniser(embedded_pack())
    else:
        state = read_state_dict(shared_data / "weights" / "mobilefacenet_ms1m.pt")
        network = mobilefacenet.load(state)
        mean, std = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
        preprocessing = Preprocessing("rgb", mean, std)
        recogniser = Recogniser(network.backbone, network.head, preprocessing, 0.1)
    recogniser = for_inference(recogniser, torch.device("cpu"), "float32")
    return Case(recogniser, ClosedForm(recogniser.head, recogniser.dropout_rate))


def test_covering_a_region_raises_its_share_of_the_instability(case, faces):
    risen = {}
    for name, region in REGIONS.items():
        rows, columns = region
        clean = case.instability(faces)[:, rows, columns].sum((1, 2))
        outcomes = []
        for face, before in zip(faces, clean, strict=True):
            after = case.instability(covered(face, region))[:, rows, columns].sum((1, 2))
            outcomes += list(after > before)
        risen[name] = float(np.mean(outcomes))
    print({name: round(share, 2) for name, share in risen.items()})
    assert np.mean(list(risen.values())) >= 0.75
    assert min(risen.values()) > 0.5


def test_the_score_hangs_on_the_cells_of_a_large_gradient(case, faces):
    """Faint noise in the quarter of the cells with the largest shares moves the mean distance more
    than in the quarter with the smallest."""
    noise = np.random.default_rng(1).choice([-4, 4], (8, 112, 112, 3))
    outcomes = []
    for face in faces:
        shares = spread(case.gradient(face), CELL_PX)
        moved = []
        for part in (shares >= np.quantile(shares, 0.75), shares <= np.quantile(shares, 0.25)):
            changed = np.clip(face + noise * part[:, :, None], 0, 255).astype(np.uint8)
            moved.append(np.abs(case.distance(list(changed)) - case.distance([face])).mean())
        outcomes.append(moved[0] > moved[1])
    assert np.mean(outcomes) >= 0.9


def test_covering_a_region_need_not_raise_its_share_of_the_gradient(case, faces):
    """It tells where the score is sensitive, and a covered region has little left to be sensitive
    to: docs/explaining.md warns of reading it as the map of what is wrong."""
    outcomes = []
    for rows, columns in REGIONS.values():
        for face in faces[:3]:
            clean = spread(case.gradient(face), CELL_PX)[rows, columns].sum()
            for changed in covered(face, (rows, columns))[::2]:
                outcomes.append(
                    spread(case.gradient(changed), CELL_PX)[rows, columns].sum() > clean
                )
    print("gradient", round(float(np.mean(outcomes)), 2))
    assert np.mean(outcomes) < 0.5
