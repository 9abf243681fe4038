"""What travels between the rooms: frozen values, and the protocols of exchangeable parts.

Shape letters: `B` images, `m` passes, `F` features, `E` embedding size, `H W` pixels.
This file computes nothing and knows no torch at run time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

Pixels = npt.NDArray[np.uint8]
"""`H × W × 3`, RGB."""

AlignedFace = npt.NDArray[np.uint8]
"""`112 × 112 × 3`, RGB, the face in the ArcFace template."""

ALIGNED_SIDE_PX = 112

Estimator = Literal["sampled", "closed_form"]
Convention = Literal["paper", "mean"]
"""What the sum over pairs is divided by: equation (1)'s m²/2, or the authors' number of pairs."""

FEWEST_PASSES = 3
"""The standard error leaves one pass out and needs a pair to remain."""

MOST_PASSES = 10_000
"""That may be asked for: of so many the mask bank over 25,088 features is 1 GB."""

Precision = Literal["float32", "bfloat16", "float16"]
"""Of the recogniser's arithmetic; scores are computed in a higher one."""
PrecisionChoice = Literal["auto", Precision]

DeviceName = Literal["auto", "cpu", "cuda"]
"""`auto` is a GPU when there is one."""

ColourOrder = Literal["rgb", "bgr"]
"""Of the channels that a recogniser takes."""

MobileFaceNetSite = Literal["map", "values"]
"""Where dropout applies in a MobileFaceNet; `recognition/mobilefacenet.py`."""

NO_CALIBRATION = "none"
"""The calibration's id in every record, where a pack has none."""

FaceChoice = Literal["largest", "central"]
"""Which face of several a capture is about: the one with the largest box, as at an enrolment desk,
or the one whose box lies nearest the middle of the image, as where it was cut out around somebody.
"""

Stage = Literal["wait", "decode", "detect", "align", "components", "queue", "inference", "decide"]
Verdict = Literal["accept", "review", "reject"]
Refusal = Literal["review", "reject"]
"""Those that need a reason."""

ReasonCode = Literal[
    "no_face",
    "multiple_faces",
    "face_too_small",
    "face_too_large",
    "face_cropped",
    "low_detection_score",
    "low_quality",
    "extreme_pose",
    "blurred",
    "too_dark",
    "too_bright",
    "uneven_light",
    "low_contrast",
    "compressed",
    "unnatural_colour",
    "not_assessed",
]
ReasonKind = Literal["usefulness", "attribute", "assessment"]
"""What a reason is about: the capture is of little use to the recogniser; one property of it is
off; something could not be assessed."""

ComponentName = Literal[
    "SingleFacePresent",
    "InterEyeDistance",
    "HeadSize",
    "LeftwardCropOfTheFaceImage",
    "RightwardCropOfTheFaceImage",
    "MarginAboveOfTheFaceImage",
    "MarginBelowOfTheFaceImage",
    "HeadPoseYaw",
    "HeadPosePitch",
    "HeadPoseRoll",
    "LuminanceMean",
    "LuminanceVariance",
    "UnderExposurePrevention",
    "OverExposurePrevention",
    "DynamicRange",
    "IlluminationUniformity",
    "Sharpness",
    "CompressionArtifacts",
    "NaturalColour",
]
"""As ISO/IEC 29794-5 and its open reference implementation, OFIQ, spell them."""

DegradationKind = Literal["blur", "down_scaling", "noise", "occlusion", "darkness", "jpeg"]
SuitabilityVerdict = Literal["suitable", "weak", "unsuitable"]


@dataclass(frozen=True, slots=True)
class Sample:
    """One capture, decoded: upright (EXIF orientation applied), 8-bit RGB.

    `reduction`: each pixel stands for `reduction × reduction` of the file's.
    """

    pixels: Pixels
    reduction: int = 1


@dataclass(frozen=True, slots=True)
class Face:
    """One detection, in the pixels of the sample it was found in.

    `box_px`: left, top, right, bottom. `detection_score`: in [0, 1].
    `landmarks_px`: `5 × 2` float32, x and y of left eye, right eye, nose tip, left mouth corner,
    right mouth corner, left and right as seen in the image.
    """

    box_px: tuple[float, float, float, float]
    detection_score: float
    landmarks_px: npt.NDArray[np.float32]

    @property
    def width_px(self) -> float:
        """Width of the box."""
        return self.box_px[2] - self.box_px[0]

    @property
    def height_px(self) -> float:
        """Height of the box."""
        return self.box_px[3] - self.box_px[1]

    @property
    def inter_eye_distance_px(self) -> float:
        """Distance between the eye centres, ISO/IEC 29794-5."""
        return float(np.linalg.norm(self.landmarks_px[1] - self.landmarks_px[0]))

    def scaled(self, factor: float) -> Face:
        """The same face where every pixel has become `factor × factor`."""
        left, top, right, bottom = self.box_px
        return Face(
            box_px=(left * factor, top * factor, right * factor, bottom * factor),
            detection_score=self.detection_score,
            landmarks_px=self.landmarks_px * np.float32(factor),
        )


class Detector(Protocol):
    """Finds the faces of a sample. Safe to call from several threads."""

    @property
    def working_side_px(self) -> int:
        """A photograph is reduced by whole factors as long as its longer side keeps so many."""
        ...

    def detect(self, sample: Sample) -> list[Face]:
        """All faces found, the largest box first; empty when there is none.

        In pixels of the sample, whatever its reduction.
        """
        ...


class StochasticHead(Protocol):
    """What is repeated with one mask after another: all that drawing needs to know of a head."""

    @property
    def feature_count(self) -> int:
        """`F`: how many values a mask covers."""
        ...

    @property
    def embedding_size(self) -> int:
        """`E`."""
        ...

    def under_masks(self, bank: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
        """The output under each mask: `bank` `m × F` → a map from `B` inputs to `B × m × E`."""
        ...


class DropoutHead(StochasticHead, Protocol):
    """The affine map `y = W x + β` behind the dropout, as the estimators see it.

    `W` is `E × F` and may never exist as one matrix: it is reached only through these products.
    """

    @property
    def bias(self) -> torch.Tensor:
        """`β`: `E`."""
        ...

    @property
    def weight(self) -> torch.Tensor | None:
        """`W`, `E × F`, where it lies there as one matrix."""
        ...

    @property
    def squared_column_norms(self) -> torch.Tensor:
        """`‖w_k‖²` for every feature: `F`."""
        ...

    @property
    def map_shape(self) -> tuple[int, int, int] | None:
        """`C, H, W` of the map whose flattening the features are, or None."""
        ...

    def embed(self, features: torch.Tensor) -> torch.Tensor:
        """`W x + β` for each row: `N × F` → `N × E`."""
        ...

    @property
    def precision(self) -> torch.dtype:
        """Of the weights. What the products give is float32."""
        ...

    def multiply_transposed(self, vectors: torch.Tensor) -> torch.Tensor:
        """`Wᵀ v` for each row: `N × E` → `N × F`."""
        ...


@dataclass(frozen=True, slots=True)
class Score:
    """How far the stochastic embeddings of one face scatter.

    `raw_score`: equation (1) of Terhörst et al., CVPR 2020, in [0, 1], higher is better.
    `mean_distance`: mean Euclidean distance between two stochastic embeddings, in [0, 2].
    `standard_error`: of `raw_score`, from the draw of the masks; None for the closed form, which
    draws none.
    """

    raw_score: float
    mean_distance: float
    standard_error: float | None

    @property
    def scatters(self) -> bool:
        """Whether it says anything of a face.

        A recogniser that answers with nothing, or with its bias alone, scatters not at all: that is
        no quality.
        """
        return 0 < self.mean_distance < inf


@dataclass(frozen=True, slots=True)
class ScoredIn:
    """How a face was computed: what moves the last bits of its scores, and nothing else.

    Kernels are chosen by the size of the batch, and sums are split among the threads. The faces
    beside it make no difference: the same place among others gives the same bits.
    """

    batch_size: int = 1
    batch_index: int = 0
    threads: int = 1


@dataclass(frozen=True, slots=True)
class FaceScores:
    """What the recogniser says of one aligned face.

    `embedding`: `E` float32, unit norm.
    `instability_map`: `h × w` float32, how far each position is noise, as shares that sum to 1;
    None when the features are no spatial map. `gradient_map`: `28 × 28` float32, likewise; None
    unless it was asked for and could be computed.
    """

    sampled: Score
    closed_form: Score
    embedding: npt.NDArray[np.float32]
    instability_map: npt.NDArray[np.float32] | None
    gradient_map: npt.NDArray[np.float32] | None = None
    scored_in: ScoredIn = ScoredIn()

    def by(self, estimator: Estimator) -> Score:
        """The estimator's score."""
        return self.sampled if estimator == "sampled" else self.closed_form


@dataclass(frozen=True, slots=True)
class Component:
    """One named property of a capture, ISO/IEC 29794-5.

    `native_value`: as measured, in `unit`. `value`: mapped to 0–100, higher is better; None where
    neither the standard nor OFIQ gives a mapping. `approximate`: computed from less than the
    standard asks for (5 landmarks, not 98).
    """

    name: ComponentName
    native_value: float
    unit: str
    value: float | None
    approximate: bool


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a decision is not `accept`.

    `verdict`: what this reason alone leads to. `value`: what was seen, in `unit`; `limit`: the one
    that it broke. Both are None where there is nothing to compare. `component`: the one that the
    limit is on, or that could not be assessed.
    """

    code: ReasonCode
    verdict: Refusal
    value: float | None = None
    limit: float | None = None
    unit: str | None = None
    component: ComponentName | None = None

    @property
    def kind(self) -> ReasonKind:
        """What it is about."""
        if self.code == "not_assessed":
            return "assessment"
        return "usefulness" if self.code == "low_quality" else "attribute"


@dataclass(frozen=True, slots=True)
class Decision:
    """What an enrolment system should do with a capture.

    `reasons`: the gravest first; none means `accept`.
    """

    verdict: Verdict
    reasons: tuple[Reason, ...]
    profile: str
    profile_version: str


@dataclass(frozen=True, slots=True)
class Assessment:
    """Everything said of one capture.

    `faces_found` and `face` are None when the capture came aligned and no detector ran.
    `quality_score`: 0 to 100; None when it could not be computed.
    `estimator`: the one that `quality_score` and the decision come from.
    `aligned`: the face that was scored, None when there is none.
    `image_sha256`: of the capture's bytes, lower-case hexadecimal.
    `components`: those that could be computed.
    `shadow`: what a profile that only counts would have decided; None when none runs beside.
    """

    faces_found: int | None
    face: Face | None
    scores: FaceScores | None
    estimator: Estimator
    quality_score: float | None
    decision: Decision
    aligned: AlignedFace | None = None
    image_sha256: str = ""
    components: tuple[Component, ...] = ()
    shadow: Decision | None = None

    @property
    def deciding_score(self) -> Score | None:
        """The score that the decision comes from; None when there is none."""
        return None if self.scores is None else self.scores.by(self.estimator)


@dataclass(frozen=True, slots=True)
class PreparedCapture:
    """A capture on its way to the recogniser: decoded, searched for faces, aligned.

    `faces_found` is None when the capture came aligned. `aligned` is None when no face was found.
    `seconds`: what each stage took. `components`: those that could be computed.
    `image_sha256`: of the capture's bytes; `Pipeline.prepare` adds it.
    """

    faces_found: int | None
    face: Face | None
    aligned: AlignedFace | None
    seconds: Mapping[Stage, float] = field(default_factory=dict)
    components: tuple[Component, ...] = ()
    image_sha256: str = ""


class Preparer(Protocol):
    """Makes captures ready for the recogniser. Safe to call from several threads."""

    def prepare(self, data: bytes, *, aligned: bool = False) -> PreparedCapture:
        """Decode a capture, find its faces and align the one that it is about.

        Args:
            data: the bytes of a JPEG, PNG, WebP or BMP file.
            aligned: the image is an aligned face already, 112×112; no detector runs.

        Raises:
            CaptureError: the bytes cannot be decoded, or are not an aligned face.
        """
        ...


@dataclass(frozen=True, slots=True)
class MeanRho:
    """Spearman's ρ of a degradation's severity with the score, within a face, averaged over faces.

    −1: the score always falls; +1: it always rises. `low`, `high`: the 95 % interval of the mean.
    """

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class SuitabilityFigures:
    """What the suitability check measured.

    `faces`: how many. `spread`: standard deviation of the clean faces' sampled scores.
    `standard_error`: their median. `agreement`: rank correlation of the two estimators over the
    clean faces.
    """

    faces: int
    spread: float
    standard_error: float
    agreement: float
    sampled: Mapping[DegradationKind, MeanRho]
    closed_form: Mapping[DegradationKind, MeanRho]


@dataclass(frozen=True, slots=True)
class Suitability:
    """Whether a recogniser reacts to dropout sensibly, as measured.

    `reasons`: why it is not `suitable`, in words. `recogniser_checksum`: of what was measured,
    see `serfiq_core.packs.manifest.recogniser_checksum`. `passes`: `m`.
    """

    verdict: SuitabilityVerdict
    reasons: tuple[str, ...]
    recogniser_checksum: str
    dropout_rate: float
    passes: int
    measured: SuitabilityFigures


@dataclass(frozen=True, slots=True)
class PipelineInfo:
    """What a score depends on, besides the image: enough to repeat it.

    `files`: name → SHA-256. `pack_checksum`: SHA-256 of the manifest, which names those.
    `verdict`: the pack's measured suitability, or None when the recogniser, as it is, never was.
    `profiles`: name → version. `detector`: which, and its settings that the pack does not fix.
    `software_version`: of this package. `libraries`: name → version of those that compute.
    `device_name`: of the hardware behind `device`, as far as its arithmetic goes.
    `same_person_cosine`: the least between captures of one person, or None when it was never
    measured.
    """

    pack: str
    pack_version: str
    pack_checksum: str
    licence: str
    licence_source: str
    files: dict[str, str]
    verdict: Suitability | None
    device: str
    precision: Precision
    estimator: Estimator
    convention: Convention
    passes: int
    dropout_rate: float
    seed: int
    feature_count: int
    embedding_size: int
    map_shape: tuple[int, int, int] | None
    calibration: str
    profiles: dict[str, str]
    detector: str
    software_version: str
    libraries: dict[str, str]
    device_name: str
    same_person_cosine: float | None = None
