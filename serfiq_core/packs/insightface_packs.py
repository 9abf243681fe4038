"""The catalogue of InsightFace's packs: which files they hold, with what checksums and licence.

Where they are published is the `insightface` library's knowledge, asked for when it is needed.
This file fetches nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from serfiq_core.errors import PackNotFoundError

LICENCE = "InsightFace pretrained models: non-commercial research only"
LICENCE_SOURCE = "README of the insightface package, section License"
LICENCE_TEXT = (
    "The code of the insightface library is under the MIT License. The pretrained models are not: "
    "InsightFace provides them for non-commercial research purposes only, whether they are "
    "downloaded automatically or manually. Any other use needs a licence from InsightFace."
)

ARCFACE_PIXEL_RANGE = 127.5
"""`(pixel − 127.5) / 127.5`, RGB: the convention of ArcFace's published networks, and what
insightface's ArcFaceONNX does for these."""

MAX_ARCHIVE_BYTES = 512 << 20
"""For the archive and for what it unpacks to: the largest, antelopev2, unpacks to 407 MB."""


@dataclass(frozen=True, slots=True)
class PublishedPack:
    """One pack as published. `archive_sha256` also is its version: releases carry no other."""

    name: str
    archive_sha256: str
    recogniser_file: str
    detector_file: str
    files: Mapping[str, str]

    @property
    def version(self) -> str:
        """The first digits of the archive's checksum."""
        return f"sha256-{self.archive_sha256[:12]}"


DET_10G = "5838f7fe053675b1c7a08b633df49e7af5495cee0493c7dcf6697200b85b5b91"
DET_2_5G = "041f73f47371333d1d17a6fee6c8ab4e6aecabefe398ff32cca4e2d5eaee0af9"
DET_500M = "5e4447f50245bbd7966bd6c0fa52938c61474a04ec7def48753668a9d8b4ea3a"
W600K_R50 = "4c06341c33c2ca1f86781dab0e829f88ad5b64be9fba56e56bc9ebdefc619e43"
W600K_MBF = "9cc6e4a75f0e2bf0b1aed94578f144d15175f357bdc05e815e5c4a02b319eb4f"
GLINTR100 = "4ab1d6435d639628a6f3e5008dd4f929edf4c4124b1a7169e1048f9fef534cdf"

PUBLISHED = (
    PublishedPack(
        name="buffalo_l",
        archive_sha256="80ffe37d8a5940d59a7384c201a2a38d4741f2f3c51eef46ebb28218a7b0ca2f",
        recogniser_file="w600k_r50.onnx",
        detector_file="det_10g.onnx",
        files={"w600k_r50.onnx": W600K_R50, "det_10g.onnx": DET_10G},
    ),
    PublishedPack(
        name="buffalo_m",
        archive_sha256="d98264bd8f2dc75cbc2ddce2a14e636e02bb857b3051c234b737bf3b614edca9",
        recogniser_file="w600k_r50.onnx",
        detector_file="det_2.5g.onnx",
        files={"w600k_r50.onnx": W600K_R50, "det_2.5g.onnx": DET_2_5G},
    ),
    PublishedPack(
        name="buffalo_sc",
        archive_sha256="57d31b56b6ffa911c8a73cfc1707c73cab76efe7f13b675a05223bf42de47c72",
        recogniser_file="w600k_mbf.onnx",
        detector_file="det_500m.onnx",
        files={"w600k_mbf.onnx": W600K_MBF, "det_500m.onnx": DET_500M},
    ),
    PublishedPack(
        name="antelopev2",
        archive_sha256="8e182f14fc6e80b3bfa375b33eb6cff7ee05d8ef7633e738d1c89021dcf0c5c5",
        recogniser_file="glintr100.onnx",
        detector_file="scrfd_10g_bnkps.onnx",
        files={"glintr100.onnx": GLINTR100, "scrfd_10g_bnkps.onnx": DET_10G},
    ),
)
CATALOGUE: Mapping[str, PublishedPack] = {pack.name: pack for pack in PUBLISHED}


def find_published(name: str, catalogue: Mapping[str, PublishedPack]) -> PublishedPack:
    """Look a pack up.

    Raises:
        PackNotFoundError: no such pack is published; says which are.
    """
    if name not in catalogue:
        raise PackNotFoundError(f"{name!r} cannot be pulled; these can: {', '.join(catalogue)}")
    return catalogue[name]


def archive_url(name: str, base_url: str | None) -> str:
    """Where the archive is: under `base_url`, a mirror, or where the insightface library says."""
    if base_url is not None:
        return f"{base_url.rstrip('/')}/{name}.zip"
    # Imported here: it takes a second and brings OpenCV and onnxruntime along.
    from insightface.utils.storage import model_zoo_download_url

    return str(model_zoo_download_url(f"{name}.zip"))
