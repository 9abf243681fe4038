"""What the scripts of this folder share: their arguments, LFW's photographs, packs, and one ready to score."""

import argparse
from pathlib import Path
from typing import Any

from app.commands.options import packs_dir_from
from serfiq_core.evaluation.subject_split import split_by_subject
from serfiq_core.evaluation.subjects import Photograph, read_photographs
from serfiq_core.importing.new_pack import Provenance
from serfiq_core.importing.onnx_file import import_onnx_pack
from serfiq_core.importing.reference_faces import reference_faces
from serfiq_core.loading import load_pipeline
from serfiq_core.packs.pack import Pack, read_pack
from serfiq_core.packs.registry import find_pack
from serfiq_core.pipeline import Pipeline
from serfiq_core.recognition.recogniser import Preprocessing

Photographs = tuple[Photograph, ...]

IMAGENET = Preprocessing("rgb", (123.675, 116.28, 103.53), (58.395, 57.12, 57.375))

PACK_NAMES = ("pack", "student", "teacher")


def parser(description: str | None, *positional: str) -> argparse.ArgumentParser:
    """Of a script whose docstring is its help; all but packs are paths."""
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in positional:
        made.add_argument(name, type=str if name in PACK_NAMES else Path)
    return made


def photographs_of_lfw(data: Path) -> Photographs:
    """Of everybody."""
    return read_photographs(data / "lfw" / "manifest.csv", data / "lfw" / "images")


def halves_of_lfw(data: Path) -> tuple[Photographs, Photographs]:
    """Photographs of train subjects, and of test subjects."""
    return split_by_subject(photographs_of_lfw(data))


def pack_of(name: str) -> Pack:
    """That the environment's folder of packs has, or that is embedded."""
    return find_pack(name, packs_dir_from(None))


def imported_mobilefacenet(data: Path, packs: Path, name: str, dropout_rate: float | None) -> Pack:
    """As `serfiq packs import` has it, unless it is there; None lets the importer choose the rate."""
    if not (packs / name).exists():
        import_onnx_pack(
            data / "weights" / "mobilefacenet_ms1m.onnx", name, packs,
            preprocessing=IMAGENET, provenance=Provenance("1", "Apache-2.0", "its authors"),
            dropout_rate=dropout_rate, faces=reference_faces(),
        )  # fmt: skip
    return read_pack(packs / name)


def pipeline_of(pack: str, **options: Any) -> Pipeline:
    """On the CPU and in float32, so that figures do not depend on what the machine is good at."""
    return load_pipeline(pack_of(pack), device="cpu", precision="float32", **options)
