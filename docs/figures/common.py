"""What the scripts of this folder share: their arguments, LFW's photographs, a pack ready to score."""

import argparse
from pathlib import Path
from typing import Any

from app.commands.options import packs_dir_from
from serfiq_core.evaluation.subject_split import split_by_subject
from serfiq_core.evaluation.subjects import Photograph, read_photographs
from serfiq_core.loading import load_pipeline
from serfiq_core.packs.registry import find_pack
from serfiq_core.pipeline import Pipeline

Photographs = tuple[Photograph, ...]

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
    return tuple(read_photographs(data / "lfw" / "manifest.csv", data / "lfw" / "images"))


def halves_of_lfw(data: Path) -> tuple[Photographs, Photographs]:
    """Photographs of train subjects, and of test subjects."""
    return split_by_subject(photographs_of_lfw(data))


def pipeline_of(pack: str, **options: Any) -> Pipeline:
    """On the CPU and in float32, so that figures do not depend on what the machine is good at."""
    found = find_pack(pack, packs_dir_from(None))
    return load_pipeline(found, device="cpu", precision="float32", **options)
