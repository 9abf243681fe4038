"""`pack.toml`: what a pack says of itself, read strictly and written back.

    name = "compact"                  the folder has the same name
    version = "1"
    licence = "Apache-2.0"
    licence_source = "LICENSE of this repository"
    calibration = "calibration.toml"  optional; listed under [files] like every other file
    same_person_cosine = 0.3          optional: the least between captures of one person

    [files]
    "compact.safetensors" = "<SHA-256, 64 hexadecimal digits>"

    [recogniser]
    format = "compact"                compact, iresnet18|34|50|100|200, mobilefacenet or onnx
    file = "compact.safetensors"
    input_size = 112
    colour_order = "rgb"              or "bgr"
    mean = [127.5, 127.5, 127.5]      in 8-bit pixel values
    std = [128.0, 128.0, 128.0]
    dropout_rate = 0.4
    trained_with_dropout = true
    dropout_site = "map"              optional: onnx, a tensor's name; mobilefacenet, map or values
    head = "head.safetensors"         optional: takes the place of the file's own dropout head

    [detector]
    kind = "mtcnn"                    or "scrfd", with `file`

    [verdict]                         optional: see verdict.py

    [adaptation]                      there when recogniser.head is: see adaptation.py

This file knows names and numbers only; it opens no weights and no network.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal, cast, get_args

import tomli_w

from serfiq_core.errors import ManifestError
from serfiq_core.packs.adaptation import Adaptation, read_adaptation
from serfiq_core.packs.verdict import read_verdict, verdict_table
from serfiq_core.toml.table import Table, read_toml
from serfiq_core.types import ALIGNED_SIDE_PX, ColourOrder, MobileFaceNetSite, Suitability

MANIFEST_NAME = "pack.toml"

StateDictFormat = Literal[
    "compact",
    "iresnet18",
    "iresnet34",
    "iresnet50",
    "iresnet100",
    "iresnet200",
    "mobilefacenet",
]
RecogniserFormat = Literal[StateDictFormat, "onnx"]
DetectorKind = Literal["mtcnn", "scrfd"]

PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
"""Pack and file names. No separator, no leading dot, so no `..`; 128 characters leave room for the
suffixes of temporary names under the 255 that file systems allow."""


@dataclass(frozen=True, slots=True)
class RecogniserEntry:
    """How to read the recogniser. `mean` and `std` are in 8-bit pixel values, 0 to 255.

    `dropout_site`: for `onnx`, the tensor dropout is applied to, or None for the one the importer
    finds; for `mobilefacenet`, `map` or `values`. `head`: a file whose matrix and bias take the
    place of those in `file`; None for a recogniser as it was trained.
    """

    format: RecogniserFormat
    file: str
    input_size: int
    colour_order: ColourOrder
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    dropout_rate: float
    trained_with_dropout: bool
    dropout_site: str | None = None
    head: str | None = None


@dataclass(frozen=True, slots=True)
class DetectorEntry:
    """Which detector finds the faces. `file` belongs to `scrfd` alone."""

    kind: DetectorKind
    file: str | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """A whole `pack.toml`. `files`: name → SHA-256, lower-case hexadecimal.

    `same_person_cosine`: the least cosine between embeddings of one person, in (0, 1); None when it
    was not measured. `adaptation`: how `recogniser.head` came to be, and what it changed.
    """

    name: str
    version: str
    licence: str
    licence_source: str
    files: Mapping[str, str]
    recogniser: RecogniserEntry
    detector: DetectorEntry = field(default_factory=lambda: DetectorEntry("mtcnn"))
    calibration: str | None = None
    verdict: Suitability | None = None
    same_person_cosine: float | None = None
    adaptation: Adaptation | None = None

    @property
    def weights_checksum(self) -> str:
        """SHA-256 that a calibration is tied to: of the adapted head where there is one.

        Such a head was fitted to the file beside it and fits no other.
        """
        return self.files[self.recogniser.head or self.recogniser.file]

    @property
    def standing_verdict(self) -> Suitability | None:
        """The verdict, unless it was given on another recogniser, or on this one read otherwise."""
        verdict = self.verdict
        if verdict is None or verdict.recogniser_checksum != recogniser_checksum(self):
            return None
        return verdict


def recogniser_checksum(manifest: Manifest) -> str:
    """SHA-256 of all that a score depends on in a pack: `[recogniser]` and its files' checksums.

    Calibration and detector do not enter it.
    """
    entry = manifest.recogniser
    described = {**_present(**asdict(entry)), "sha256": manifest.files[entry.file]}
    if entry.head is not None:
        described["head_sha256"] = manifest.files[entry.head]
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()


def parse_manifest(text: str, path: str) -> Manifest:
    """Read a manifest; `path` is named in the messages.

    Raises:
        ManifestError: not TOML, or a key is missing, unknown, of another type or out of range.
    """
    root = Table(read_toml(text, path, ManifestError), path, ManifestError)
    files = _files(root.table("files"))
    manifest = Manifest(
        name=_plain_name(root, "name"),
        version=root.text("version"),
        licence=root.text("licence"),
        licence_source=root.text("licence_source"),
        files=files,
        recogniser=_recogniser(root.table("recogniser"), files),
        detector=_detector(root.table("detector"), files),
        calibration=_listed_file(root, "calibration", files) if "calibration" in root else None,
        verdict=read_verdict(root.table("verdict")) if "verdict" in root else None,
        same_person_cosine=_same_person_cosine(root),
        adaptation=read_adaptation(root.table("adaptation")) if "adaptation" in root else None,
    )
    root.finish()
    if (manifest.adaptation is None) != (manifest.recogniser.head is None):
        raise root.problem("adaptation", "and recogniser.head go together")
    return manifest


def write_manifest(manifest: Manifest, folder: Path) -> None:
    """Write `pack.toml` into `folder`.

    Raises:
        ManifestError: what would be written could not be read back.
    """
    text = format_manifest(manifest)
    parse_manifest(text, MANIFEST_NAME)
    (folder / MANIFEST_NAME).write_text(text, encoding="utf-8")


def format_manifest(manifest: Manifest) -> str:
    """The text of `pack.toml`, which `parse_manifest` reads back to an equal manifest."""
    document: dict[str, object] = {
        "name": manifest.name,
        "version": manifest.version,
        "licence": manifest.licence,
        "licence_source": manifest.licence_source,
        "calibration": manifest.calibration,
        "same_person_cosine": manifest.same_person_cosine,
        "files": dict(manifest.files),
        "recogniser": _present(**asdict(manifest.recogniser)),
        "detector": _present(**asdict(manifest.detector)),
    }
    if manifest.verdict is not None:
        document["verdict"] = verdict_table(manifest.verdict)
    if manifest.adaptation is not None:
        document["adaptation"] = asdict(manifest.adaptation)
    return tomli_w.dumps(_present(**document))


def _present(**values: object) -> dict[str, object]:
    """TOML has no null: what is None is left out."""
    return {key: value for key, value in values.items() if value is not None}


def _files(table: Table) -> dict[str, str]:
    files: dict[str, str] = {}
    for name in table.names():
        _check_plain(table, name, name)
        files[name] = table.sha256(name)
    return files


def _recogniser(table: Table, files: Mapping[str, str]) -> RecogniserEntry:
    entry = RecogniserEntry(
        format=cast(RecogniserFormat, table.choice("format", get_args(RecogniserFormat))),
        file=_listed_file(table, "file", files),
        input_size=_input_size(table),
        colour_order=cast(ColourOrder, table.choice("colour_order", get_args(ColourOrder))),
        mean=table.three_numbers("mean"),
        std=table.three_numbers("std"),
        dropout_rate=table.number("dropout_rate"),
        trained_with_dropout=table.flag("trained_with_dropout"),
        dropout_site=table.optional_text("dropout_site"),
        head=_listed_file(table, "head", files) if "head" in table else None,
    )
    table.finish()
    if not 0 < entry.dropout_rate < 1:
        raise table.problem("dropout_rate", f"must lie between 0 and 1, not {entry.dropout_rate}")
    if min(entry.std) <= 0:
        raise table.problem("std", f"must be positive, not {list(entry.std)}")
    _check_site(table, entry)
    return entry


def _check_site(table: Table, entry: RecogniserEntry) -> None:
    if entry.dropout_site is None or entry.format == "onnx":
        return
    if entry.format != "mobilefacenet":
        raise table.problem("dropout_site", f"cannot be chosen for the format {entry.format}")
    if entry.dropout_site not in get_args(MobileFaceNetSite):
        complaint = f"must be map or values for a mobilefacenet, not {entry.dropout_site!r}"
        raise table.problem("dropout_site", complaint)


def _detector(table: Table, files: Mapping[str, str]) -> DetectorEntry:
    kind = cast(DetectorKind, table.choice("kind", get_args(DetectorKind)))
    entry = DetectorEntry(kind, _listed_file(table, "file", files) if kind == "scrfd" else None)
    table.finish()
    return entry


def _same_person_cosine(table: Table) -> float | None:
    if "same_person_cosine" not in table:
        return None
    cosine = table.number("same_person_cosine")
    if not 0 < cosine < 1:
        raise table.problem("same_person_cosine", f"must lie between 0 and 1, not {cosine:g}")
    return cosine


def _input_size(table: Table) -> int:
    if (size := table.number("input_size")) != ALIGNED_SIDE_PX:
        raise table.problem("input_size", f"must be {ALIGNED_SIDE_PX}, not {size:g}")
    return ALIGNED_SIDE_PX


def _listed_file(table: Table, key: str, files: Mapping[str, str]) -> str:
    name = _plain_name(table, key)
    if name not in files:
        raise table.problem(key, f"names {name}, which is not listed under [files]")
    return name


def _plain_name(table: Table, key: str) -> str:
    name = table.text(key)
    _check_plain(table, key, name)
    return name


def _check_plain(table: Table, key: str, name: str) -> None:
    if not PLAIN_NAME.fullmatch(name) or name == MANIFEST_NAME:
        complaint = f"must be a plain name of letters, digits, '.', '_' and '-', not {name!r}"
        raise table.problem(key, complaint)
