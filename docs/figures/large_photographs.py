"""What decoding large photographs at reduced scale does to scores: the figures of docs/method.md.

    python docs/figures/large_photographs.py PACK DATA

60 photographs of subjects whom `serfiq train compact` keeps out, enlarged to 4000×4000. Each is
prepared as a JPEG, which is decoded at reduced scale, and once more as a PNG of the very pixels of that JPEG, which is
decoded in full. DATA holds `lfw/` and `weights/`.
"""

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
from common import halves_of_lfw, parser, pipeline_of
from PIL import Image

from serfiq_core.correlation import spearman
from serfiq_core.detection.mtcnn import MtcnnDetector
from serfiq_core.detection.scrfd import ScrfdDetector
from serfiq_core.pipeline import Pipeline
from serfiq_core.preparation.prepare import Preparation

PHOTOGRAPHS = 60
SIDE_PX = 4000


def enlarged(path: Path) -> tuple[bytes, bytes]:
    """The photograph as a large JPEG, and what a decoder makes of it as a PNG."""
    jpeg, png = io.BytesIO(), io.BytesIO()
    with Image.open(path) as image:
        image.resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC).save(jpeg, "JPEG", quality=92)
    with Image.open(jpeg) as image:
        image.save(png, "PNG", compress_level=1)
    return jpeg.getvalue(), png.getvalue()


def raw_scores(
    pipeline: Pipeline, preparation: Preparation, captures: tuple[bytes, bytes]
) -> tuple[float, ...] | None:
    """Of the face in each; None where one shows none."""
    faces = [preparation.prepare(capture).aligned for capture in captures]
    if any(face is None for face in faces):
        return None
    return tuple(each.sampled.raw_score for each in pipeline.score(faces))


def print_row(name: str, scores: npt.NDArray[np.float64]) -> None:
    rho = spearman(*scores.T)
    second, largest = np.sort(np.abs(scores[:, 0] - scores[:, 1]))[-2:]
    print(f"{name}: {len(scores)} photographs, Spearman {rho:.4f}", end=", ")
    print(f"largest differences {largest:.4f} and {second:.4f}", end=", ")
    print(f"standard deviation {scores[:, 1].std():.4f}")


def main() -> None:
    options = parser(__doc__, "pack", "data").parse_args()
    _, tested = halves_of_lfw(options.data)
    chosen = np.random.default_rng(0).choice(len(tested), PHOTOGRAPHS, replace=False)
    pipeline = pipeline_of(options.pack)
    preparations = {
        "MTCNN": Preparation(MtcnnDetector()),
        "SCRFD": Preparation(ScrfdDetector(options.data / "weights" / "det_500m.onnx")),
    }
    scores: dict[str, list[tuple[float, ...]]] = {name: [] for name in preparations}
    for place in chosen:
        captures = enlarged(tested[place].path)
        for name, preparation in preparations.items():
            found = raw_scores(pipeline, preparation, captures)
            if found is not None:
                scores[name].append(found)
    for name, rows in scores.items():
        print_row(name, np.array(rows))


if __name__ == "__main__":
    main()
