"""From a pack on disk to a pipeline that runs: checksums, networks, detector, calibration, device.

This is the one file that knows which manifest entry becomes which class. It starts no thread and
knows no HTTP.
"""

import logging
import platform
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np
import PIL
import torch

from serfiq_core.calibration.calibration import Calibration, read_calibration
from serfiq_core.decisions.profiles import (
    EMBEDDED_PROFILES,
    Profile,
    in_force,
    read_profiles,
    smallest_inter_eye_distance_px,
)
from serfiq_core.detection.mtcnn import MtcnnDetector, minimum_face_px
from serfiq_core.detection.scrfd import ScrfdDetector
from serfiq_core.errors import ConfigurationError, UnsuitableError
from serfiq_core.packs.manifest import RecogniserEntry
from serfiq_core.packs.pack import DetectorFile, Pack, verify, verify_file
from serfiq_core.pipeline import Pipeline
from serfiq_core.preparation.prepare import Preparation
from serfiq_core.recognition.adapted_head import read_adapted_head
from serfiq_core.recognition.inference import (
    choose_precision,
    for_inference,
    gives_numbers,
    has_bfloat16,
)
from serfiq_core.recognition.known_networks import network_of
from serfiq_core.recognition.network import Network
from serfiq_core.recognition.onnx_import import import_onnx
from serfiq_core.recognition.recogniser import Preprocessing, Recogniser
from serfiq_core.recognition.weights import read_state_dict
from serfiq_core.scoring.score import PAPER_PASSES
from serfiq_core.types import (
    NO_CALIBRATION,
    Convention,
    Detector,
    DeviceName,
    Estimator,
    FaceChoice,
    PipelineInfo,
    Precision,
    PrecisionChoice,
    Preparer,
)

log = logging.getLogger(__name__)


def load_pipeline(
    pack: Pack,
    *,
    device: DeviceName = "auto",
    precision: PrecisionChoice = "auto",
    estimator: Estimator = "sampled",
    convention: Convention = "paper",
    passes: int = PAPER_PASSES,
    seed: int = 0,
    profiles_path: Path | None = None,
    shadow_profile: str | None = None,
    preparation: Callable[[], Preparer] | None = None,
    allow_unsuitable: bool = False,
) -> Pipeline:
    """Verify a pack and make a pipeline of it.

    Args:
        pack: from `packs.registry.find_pack`.
        device: `auto` takes a GPU when there is one.
        precision: of the recogniser's arithmetic; `auto` is the fastest that the device is good at
            and the network has numbers in.
        estimator: whose score decides.
        convention: what the sum over pairs is divided by.
        passes: `m`.
        seed: of the mask bank.
        profiles_path: the operator's own profiles instead of the embedded ones.
        shadow_profile: decided by beside the profile asked for, by name; None for none.
        preparation: makes what prepares captures, as soon as the pack is verified; when None, they
            are prepared in this process.
        allow_unsuitable: take a pack that failed the suitability check all the same.

    Raises:
        UnsuitableError: the pack failed the suitability check.
        ChecksumError: a file of the pack is not the one its manifest names.
        PackError: the files do not make a recogniser or a detector.
        ConfigurationError: the calibration or the profiles are wrong, or there is no such device or
            shadow profile.
    """
    if not allow_unsuitable:
        refuse_unsuitable(pack)
    verify(pack)
    profiles = read_profiles(profiles_path or EMBEDDED_PROFILES)
    shadow = None if shadow_profile is None else _shadow(profiles, shadow_profile)
    wanted_px = smallest_inter_eye_distance_px(in_force(profiles, shadow_profile))
    if shadow is not None:
        _warn_of_unsought_faces(pack, shadow, wanted_px)
    preparer = preparation() if preparation else load_preparation(pack, wanted_px)
    target = choose_device(device)
    recogniser, chosen = load_for_inference(pack, target, precision)
    calibration = load_calibration(pack)
    manifest = pack.manifest
    info = PipelineInfo(
        pack=manifest.name,
        pack_version=manifest.version,
        pack_checksum=pack.checksum,
        licence=manifest.licence,
        licence_source=manifest.licence_source,
        files=dict(manifest.files),
        verdict=manifest.standing_verdict,
        device=str(target),
        precision=chosen,
        estimator=estimator,
        convention=convention,
        passes=passes,
        dropout_rate=recogniser.dropout_rate,
        seed=seed,
        feature_count=recogniser.head.feature_count,
        embedding_size=recogniser.head.embedding_size,
        map_shape=recogniser.head.map_shape,
        calibration=NO_CALIBRATION if calibration is None else calibration.id,
        profiles={profile.name: profile.version for profile in profiles.values()},
        detector=describe_detector(pack, wanted_px),
        software_version=version("serfiq"),
        libraries=libraries(),
        device_name=_device_name(target),
        same_person_cosine=manifest.same_person_cosine,
    )
    return Pipeline(recogniser, preparer, calibration, profiles, info, shadow=shadow)


def libraries() -> dict[str, str]:
    """Those that compute: name → version."""
    return {
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "pillow": PIL.__version__,
        "torch": torch.__version__,
    }


def refuse_unsuitable(pack: Pack) -> None:
    """Refuse a pack whose verdict is `unsuitable`.

    Raises:
        UnsuitableError: it is; says why, and how to use the pack all the same.
    """
    verdict = pack.manifest.standing_verdict
    if verdict is not None and verdict.verdict == "unsuitable":
        raise UnsuitableError(
            f"{pack.manifest.name} failed the suitability check: {'; '.join(verdict.reasons)}. "
            "To use it all the same, give --allow-unsuitable or set SERFIQ_ALLOW_UNSUITABLE=true"
        )


def load_recogniser(pack: Pack) -> Recogniser:
    """The recogniser of a pack, on the CPU.

    Raises:
        PackError: the weights or the graph do not make the network the manifest names.
    """
    entry = pack.manifest.recogniser
    network = _network(entry, pack.recogniser_path)
    head = network.head
    if entry.head is not None:
        head = read_adapted_head(pack.folder / entry.head, head)
    preprocessing = Preprocessing(entry.colour_order, entry.mean, entry.std)
    return Recogniser(network.backbone, head, preprocessing, entry.dropout_rate)


def load_for_inference(
    pack: Pack, device: torch.device, choice: PrecisionChoice
) -> tuple[Recogniser, Precision]:
    """The recogniser of a pack on a device, and the precision that it computes in.

    Where `auto` is float16, and the network has no numbers in it, `auto` is bfloat16 or, on devices
    without that, float32; the log says so.

    Raises:
        PackError: as for `load_recogniser`.
        ConfigurationError: as for `choose_precision`.
    """
    precision = choose_precision(choice, device)
    recogniser = for_inference(load_recogniser(pack), device, precision)
    if choice != "auto" or precision != "float16" or gives_numbers(recogniser):
        return recogniser, precision
    precision = "bfloat16" if has_bfloat16(device) else "float32"
    name = pack.manifest.name
    log.warning("%s gives no numbers in float16: it computes in %s", name, precision)
    return for_inference(load_recogniser(pack), device, precision), precision


def load_preparation(
    pack: Pack, inter_eye_distance_px: float = 0.0, choice: FaceChoice = "largest"
) -> Preparation:
    """What prepares captures in the calling process, by the detector that `load_detector` gives."""
    return Preparation(load_detector(pack, inter_eye_distance_px), choice)


def load_detector(pack: Pack, inter_eye_distance_px: float = 0.0) -> Detector:
    """As `open_detector`, of a pack."""
    return open_detector(pack.detector_file, inter_eye_distance_px)


def open_detector(file: DetectorFile | None, inter_eye_distance_px: float = 0.0) -> Detector:
    """A detector. It runs on the CPU: the device belongs to the recogniser's thread.

    Args:
        file: of a pack; None for the one that brings its own.
        inter_eye_distance_px: the least that any profile in force takes; faces far too small for it
            may be left out, which is faster.

    Raises:
        PackError: the detector's weights are missing or damaged.
        ChecksumError: they are not those that the manifest names.
    """
    if file is not None:
        verify_file(file.path, file.checksum)
        return ScrfdDetector(file.path)
    return MtcnnDetector(minimum_face_px=minimum_face_px(inter_eye_distance_px))


def describe_detector(pack: Pack, inter_eye_distance_px: float) -> str:
    """Kind and settings of what `load_detector` gives; its files are in the pack's checksum."""
    if pack.detector_file is not None:
        return "scrfd"
    return f"mtcnn minimum_face_px={minimum_face_px(inter_eye_distance_px):.2f}"


def load_calibration(pack: Pack) -> Calibration | None:
    """The calibration of a pack, or None when it has none.

    Raises:
        ConfigurationError: it is damaged, or of another recogniser.
    """
    entry, name = pack.manifest.recogniser, pack.manifest.calibration
    if name is None:
        return None
    checksum = pack.manifest.weights_checksum
    return read_calibration(pack.folder / name, checksum, entry.dropout_rate)


def choose_device(name: DeviceName) -> torch.device:
    """The device of a name; `auto` is a GPU when there is one.

    Raises:
        ConfigurationError: a GPU is asked for and there is none.
    """
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise ConfigurationError("the device cuda was asked for, and torch sees no GPU")
    return torch.device("cuda" if available and name != "cpu" else "cpu")


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"


def _shadow(profiles: Mapping[str, Profile], name: str) -> Profile:
    if name not in profiles:
        raise ConfigurationError(
            f"there is no profile {name} to run in the shadow; there are {', '.join(profiles)}"
        )
    return profiles[name]


def _warn_of_unsought_faces(pack: Pack, shadow: Profile, wanted_px: float) -> None:
    its_px = smallest_inter_eye_distance_px([shadow])
    sought = describe_detector(pack, wanted_px)
    if its_px < wanted_px and describe_detector(pack, its_px) != sought:
        log.warning(
            "the shadow profile %s takes smaller faces than are looked for (%s): what is counted "
            "of it is without them, and so is the answer to who asks for it",
            shadow.name,
            sought,
        )


def _network(entry: RecogniserEntry, path: Path) -> Network:
    if entry.format == "onnx":
        imported = import_onnx(path, entry.dropout_site)
        return Network(imported.backbone, imported.head)
    return network_of(entry.format, read_state_dict(path), entry.dropout_site)
