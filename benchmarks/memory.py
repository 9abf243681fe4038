"""Memory above the loaded model, while one large batch is scored on a CPU."""

import subprocess
import sys
from pathlib import Path

import torch

from benchmarks.measure import Figure, measured
from benchmarks.recognisers import RATE, iresnet_recogniser, random_faces
from serfiq_core.scoring.closed_form import ClosedForm
from serfiq_core.scoring.score import PAPER_PASSES, Sampled, mask_bank
from serfiq_core.types import Precision

BATCH = 64
LIMIT_BYTES = 1024**3
REPETITIONS = 3


def peak_memory(precision: Precision) -> list[Figure]:
    """IResNet-50, 64 faces, m = 100; each time in a process of its own, whose heap is fresh."""
    command = [sys.executable, "-m", "benchmarks.memory", precision]
    peaks = [
        float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        for _ in range(REPETITIONS)
    ]
    return [measured("peak_memory_bytes", "cpu", peaks, at_most=LIMIT_BYTES)]


@torch.no_grad()
def _measure(precision: Precision) -> int:
    recogniser = iresnet_recogniser(50, precision)
    masks = mask_bank(PAPER_PASSES, recogniser.head.feature_count, RATE, 0)
    sampled, closed_form = Sampled(recogniser.head, masks), ClosedForm(recogniser.head, RATE)
    faces = random_faces(BATCH)
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts here: proc(5)
    loaded = _status_bytes("VmRSS")
    features = recogniser.features(faces)
    sampled(features)
    closed_form(features)
    return _status_bytes("VmHWM") - loaded


def _status_bytes(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    kilobytes = next(line for line in lines if line.startswith(f"{name}:")).split()[1]
    return 1024 * int(kilobytes)


if __name__ == "__main__":
    print(_measure(sys.argv[1]))  # type: ignore[arg-type]
