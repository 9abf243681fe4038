"""Real faces for tests: crops of ../shared/data/lfw, clean and degraded."""

import csv
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

CENTRE_CROP_PX = (69, 69, 181, 181)
"""LFW deep-funneled puts the face here: 112×112, near enough to the ArcFace template."""


def lfw_paths(shared_data: Path, count: int, seed: int = 0) -> list[Path]:
    """`count` photographs, drawn without replacement."""
    with (shared_data / "lfw" / "manifest.csv").open(encoding="utf-8") as file:
        names = [row["path"] for row in csv.DictReader(file)]
    drawn = np.random.default_rng(seed).choice(names, count, replace=False)
    return [shared_data / "lfw" / "images" / name for name in drawn]


def lfw_crops(shared_data: Path, count: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    """`count × 112 × 112 × 3` RGB, clean."""
    return np.stack([_crop(path) for path in lfw_paths(shared_data, count, seed)])


def degraded(crops: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Every crop with one of: nothing, blur, noise, down-scaling; from mild to ruinous."""
    rng = np.random.default_rng(0)
    return np.stack([_degrade(crop, index % 4, rng) for index, crop in enumerate(crops)])


def _crop(path: Path) -> npt.NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB").crop(CENTRE_CROP_PX))


def _degrade(
    crop: npt.NDArray[np.uint8], kind: int, rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    image = Image.fromarray(crop)
    if kind == 1:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 6)))
    elif kind == 2:
        noisy = crop + rng.normal(0, rng.uniform(5, 80), crop.shape)
        return np.clip(noisy, 0, 255).astype(np.uint8)
    elif kind == 3:
        side = int(rng.uniform(10, 80))
        image = image.resize((side, side)).resize((112, 112))
    return np.asarray(image)
