"""What explaining costs, and whether a score repeats to the bit: the figures of docs/explaining.md.

    python docs/figures/explaining.py DATA

With `compact` and the MobileFaceNet. The table of covered regions there is printed by
`pytest -s tests/unit/test_maps_on_faces.py`. DATA holds `lfw/` and `weights/`.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from time import process_time

import numpy as np
from common import halves_of_lfw, imported_mobilefacenet, parser

from serfiq_core.detection.mtcnn import MtcnnDetector
from serfiq_core.loading import load_pipeline
from serfiq_core.packs.registry import find_pack
from serfiq_core.pipeline import Pipeline, torch_threads
from serfiq_core.preparation.prepare import Preparation
from serfiq_core.types import AlignedFace, FaceScores, Precision

FACES = 16
PREPARED = 30
REPETITIONS = 15


def print_costs(name: str, pipeline: Pipeline, faces: list[AlignedFace]) -> None:
    """Milliseconds of one core, for one face."""
    with torch_threads(1):
        score = _milliseconds(lambda: pipeline.score(faces[:1]))
        gradient = _milliseconds(lambda: pipeline.gradient_map(faces[0]))
    print(f"{name}: a score takes {score:.1f} ms of a core, a gradient map {gradient:.1f}")


def _milliseconds(work: Callable[[], object]) -> float:
    times = []
    for _ in range(REPETITIONS):
        started = process_time()
        work()
        times.append(process_time() - started)
    return float(np.median(times)) * 1000


def print_differences(name: str, pipeline: Pipeline, faces: list[AlignedFace]) -> None:
    """Of the mean distance: with the size of the batch, and with the threads."""
    found = {
        (threads, size): _distances(pipeline, faces, threads, size)
        for threads in (1, 2)
        for size in (1, 2, 3, 5, 8, 16)
    }
    by_size = max(np.abs(found[1, size] - found[1, 1]).max() for _, size in found)
    by_threads = max(np.abs(found[2, size] - found[1, size]).max() for _, size in found)
    print(f"{name}: differs by {by_size:.1e} with the batch size, {by_threads:.1e} with threads")


def _distances(pipeline: Pipeline, faces: list[AlignedFace], threads: int, size: int) -> np.ndarray:
    with torch_threads(threads):
        batches = [pipeline.score(faces[i : i + size]) for i in range(0, len(faces), size)]
    return np.array(
        [
            (each.sampled.mean_distance, each.closed_form.mean_distance)
            for batch in batches
            for each in batch
        ]
    )


def print_repeated(name: str, pipeline: Pipeline, faces: list[AlignedFace]) -> None:
    """Whether a face has the same bits beside others as in its place among copies of itself."""
    same = []
    for threads in (1, 2, 3):
        with torch_threads(threads):
            for size in (1, 2, 5, 7, 16):
                for place, scores in enumerate(pipeline.score(faces[:size])):
                    among_copies = pipeline.score([faces[place]] * size)[place]
                    same.append(_bits(scores) == _bits(among_copies))
    print(f"{name}: {sum(same)} of {len(same)} the same to the bit among copies")


def _bits(scores: FaceScores) -> tuple[object, ...]:
    assert scores.instability_map is not None
    estimates = (scores.sampled, scores.closed_form)
    arrays = (scores.embedding.tobytes(), scores.instability_map.tobytes())
    return (*estimates, *arrays)


def print_landmarks(preparation: Preparation, captures: list[bytes]) -> None:
    """In how many photographs they depend on the number of threads."""
    differ = 0
    for capture in captures:
        seen = set()
        for threads in (1, 2, 4):
            with torch_threads(threads):
                face = preparation.prepare(capture).face
            seen.add(None if face is None else face.landmarks_px.tobytes())
        differ += len(seen) > 1
    print(f"landmarks differ with the threads in {differ} of {len(captures)} photographs")


def main() -> None:
    data = parser(__doc__, "data").parse_args().data
    _, tested = halves_of_lfw(data)
    chosen = np.random.default_rng(0).choice(len(tested), PREPARED, replace=False)
    captures = [tested[place].path.read_bytes() for place in chosen]
    with tempfile.TemporaryDirectory() as packs:
        imported_mobilefacenet(data, Path(packs), "mobilefacenet", None)
        cases: list[tuple[str, Precision]] = [
            ("compact", "float32"), ("compact", "bfloat16"),
            ("mobilefacenet", "float32"), ("mobilefacenet", "bfloat16"),
        ]  # fmt: skip
        for name, precision in cases:
            pack = find_pack(name, Path(packs))
            pipeline = load_pipeline(pack, device="cpu", precision=precision)
            prepared = [pipeline.prepare(capture).aligned for capture in captures]
            faces = [face for face in prepared if face is not None][:FACES]
            case = f"{name}, {precision}"
            if precision == "float32":
                print_costs(case, pipeline, faces)
            print_differences(case, pipeline, faces)
            print_repeated(case, pipeline, faces)
    print_landmarks(Preparation(MtcnnDetector()), captures)


if __name__ == "__main__":
    main()
