"""A pipeline without a model, for tests: this project's own, and those of whoever builds on it.

It decodes and decides for real; in between it makes up its answers from the pixels alone, the same
ones on every machine. It knows no torch and needs no weights.
"""

import hashlib
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from serfiq_core.align import check_aligned
from serfiq_core.decisions.decide import decide
from serfiq_core.decisions.objections import OBJECTIONS
from serfiq_core.decisions.profiles import read_profiles
from serfiq_core.decode import decode
from serfiq_core.errors import OptionUnavailableError
from serfiq_core.types import (
    ALIGNED_SIDE_PX,
    AlignedFace,
    Assessment,
    Component,
    ComponentName,
    Estimator,
    Face,
    FaceScores,
    PipelineInfo,
    Pixels,
    PreparedCapture,
    Score,
    Stage,
)

EMBEDDING_SIZE = 8
MAP_SIDE = 7
GRADIENT_GRID, CELL_PX = 28, 4

FAKE_INFO = PipelineInfo(
    pack="fake",
    pack_version="1",
    pack_checksum="0" * 64,
    licence="Apache-2.0",
    licence_source="part of this package",
    files={},
    verdict=None,
    device="cpu",
    precision="float32",
    estimator="sampled",
    convention="paper",
    passes=100,
    dropout_rate=0.4,
    seed=0,
    feature_count=4 * MAP_SIDE**2,
    embedding_size=EMBEDDING_SIZE,
    map_shape=(4, MAP_SIDE, MAP_SIDE),
    calibration="fake",
    profiles={profile.name: profile.version for profile in read_profiles().values()},
    detector="fake",
    software_version="1",
    libraries={},
    device_name="fake",
    # Its embeddings have no negative value: all its captures are of one person.
    same_person_cosine=0.1,
)

FAKE_NATIVE_VALUES: dict[ComponentName, float] = {
    "SingleFacePresent": 0.0,
    "InterEyeDistance": 120.0,
    "HeadSize": 0.5,
    "LeftwardCropOfTheFaceImage": 1.0,
    "RightwardCropOfTheFaceImage": 1.0,
    "MarginAboveOfTheFaceImage": 1.0,
    "MarginBelowOfTheFaceImage": 1.0,
    "HeadPoseYaw": 0.0,
    "HeadPosePitch": 0.0,
    "HeadPoseRoll": 0.0,
    "LuminanceMean": 0.3,
    "LuminanceVariance": 0.02,
    "UnderExposurePrevention": 0.0,
    "OverExposurePrevention": 0.0,
    "DynamicRange": 7.0,
    "IlluminationUniformity": 1.0,
    "Sharpness": 0.6,
    "CompressionArtifacts": 1.0,
    "NaturalColour": 0.0,
}
"""Of a capture that no profile objects to."""

FAKE_COMPONENTS = tuple(
    Component(name, value, "", 100.0, approximate=False)
    for name, value in FAKE_NATIVE_VALUES.items()
)
FAKE_COMPONENTS_OF_ALIGNED = tuple(
    component for component in FAKE_COMPONENTS if not OBJECTIONS[component.name].needs_detection
)


class FakePipeline:
    """Behaves like `serfiq_core.pipeline.Pipeline`.

    An image of one colour holds no face; any other holds one, that fills its middle and whose
    components are good.

    Args:
        info: what it says of itself. Without `map_shape` there is no instability map.
        before_prepare: called at the start of `prepare`; may block or raise.
        before_score: called with the number of faces at the start of `score`; may block or raise.
        shadow_profile: decided by beside the profile asked for, by name; None for none.
    """

    def __init__(
        self,
        info: PipelineInfo = FAKE_INFO,
        before_prepare: Callable[[], None] = lambda: None,
        before_score: Callable[[int], None] = lambda _: None,
        shadow_profile: str | None = None,
    ) -> None:
        self.info = info
        self.observe: Callable[[Stage, float], None] | None = None
        self._profiles = read_profiles()
        self._shadow = None if shadow_profile is None else self._profiles[shadow_profile]
        self._before_prepare = before_prepare
        self._before_score = before_score

    def prepare(self, data: bytes, *, aligned: bool = False) -> PreparedCapture:
        """As `Pipeline.prepare`.

        Raises:
            CaptureError: the bytes cannot be decoded, or are not an aligned face.
        """
        self._before_prepare()
        sample = decode(data)
        pixels = sample.pixels
        sha256 = hashlib.sha256(data).hexdigest()
        self._tell("decode")
        if aligned:
            face = check_aligned(sample)
            return PreparedCapture(
                None, None, face, components=FAKE_COMPONENTS_OF_ALIGNED, image_sha256=sha256
            )
        self._tell("detect")
        if (pixels == pixels[0, 0]).all():
            return PreparedCapture(0, None, None, image_sha256=sha256)
        self._tell("align")
        self._tell("components")
        return PreparedCapture(
            1,
            _middle(pixels),
            _shrunk(pixels),
            components=FAKE_COMPONENTS,
            image_sha256=sha256,
        )

    def score(self, faces: Sequence[AlignedFace]) -> list[FaceScores]:
        """As `Pipeline.score`: made up from each face's pixels, whatever the batch."""
        self._before_score(len(faces))
        self._tell("inference")
        return [self._score(face) for face in faces]

    def gradient_map(self, face: AlignedFace) -> npt.NDArray[np.float32] | None:
        """As `Pipeline.gradient_map`: each cell's share of the light."""
        cells = face.reshape(GRADIENT_GRID, CELL_PX, GRADIENT_GRID, CELL_PX, 3)
        light = cells.sum((1, 3, 4)).astype(np.float32) + 1
        shares: npt.NDArray[np.float32] = light / light.sum(dtype=np.float32)
        return shares

    def decide(
        self,
        prepared: PreparedCapture,
        scores: FaceScores | None,
        *,
        estimator: Estimator | None = None,
        profile: str | None = None,
    ) -> Assessment:
        """As `Pipeline.decide`; `quality_score` is a hundred times `raw_score`.

        Raises:
            OptionUnavailableError: there is no profile of that name.
        """
        chosen: Estimator = estimator or self.info.estimator
        name = profile or next(iter(self._profiles))
        if name not in self._profiles:
            raise OptionUnavailableError(f"there is no profile {name}")
        quality_score = None
        if scores is not None:
            quality_score = 100 * scores.by(chosen).raw_score
        decision = decide(self._profiles[name], prepared, quality_score)
        shadow = None if self._shadow is None else decide(self._shadow, prepared, quality_score)
        self._tell("decide")
        return Assessment(
            prepared.faces_found,
            prepared.face,
            scores,
            chosen,
            quality_score,
            decision,
            prepared.aligned,
            prepared.image_sha256,
            components=prepared.components,
            shadow=shadow,
        )

    def _score(self, face: AlignedFace) -> FaceScores:
        digest = hashlib.sha256(face.tobytes()).digest()
        draw = np.frombuffer(digest, np.uint8)[:EMBEDDING_SIZE].astype(np.float32) + 1
        fraction = int.from_bytes(digest[-4:], "big") / 2**32
        cells = np.full((MAP_SIDE, MAP_SIDE), 1 / MAP_SIDE**2, np.float32)
        return FaceScores(
            sampled=Score(fraction, 1 - fraction, 0.001),
            closed_form=Score(fraction, 1 - fraction, None),
            embedding=draw / np.linalg.norm(draw),
            instability_map=cells if self.info.map_shape is not None else None,
        )

    def _tell(self, stage: Stage) -> None:
        if self.observe is not None:
            self.observe(stage, 0.0)


def _middle(pixels: Pixels) -> Face:
    height, width = pixels.shape[:2]
    box = (0.25 * width, 0.25 * height, 0.75 * width, 0.75 * height)
    places = np.array([(0.35, 0.4), (0.65, 0.4), (0.5, 0.5), (0.4, 0.65), (0.6, 0.65)])
    return Face(box, 0.99, (places * (width, height)).astype(np.float32))


def _shrunk(pixels: Pixels) -> AlignedFace:
    """Every so-many-th pixel."""
    rows = np.linspace(0, pixels.shape[0] - 1, ALIGNED_SIDE_PX).astype(int)
    columns = np.linspace(0, pixels.shape[1] - 1, ALIGNED_SIDE_PX).astype(int)
    return np.ascontiguousarray(pixels[rows][:, columns])
