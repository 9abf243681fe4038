"""What a quality score costs on a GPU. `python -m benchmarks.gpu [--only FIGURE]`.

Batches of 64 faces in half precision. Random weights: the time of a network does not depend on
them. Networks and scores run as the service runs them, as CUDA graphs; the authors' algorithm does
as they published it. It needs torch, numpy and `serfiq_core`, and but for the last figures nothing
that only the service needs.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import torch
from torch import nn

from benchmarks.measure import Figure, Workload, measured, ratio, report
from benchmarks.roofline import masked_product_work, measured_rates, median_seconds, seconds_of
from serfiq_core.gpu.cuda_graph import Recorded, record
from serfiq_core.recognition import compact, iresnet
from serfiq_core.recognition.inference import DTYPES, for_inference
from serfiq_core.recognition.masked_product import (
    BitMasks,
    masked_product,
    masked_product_torch,
)
from serfiq_core.recognition.network import Network
from serfiq_core.recognition.recogniser import Preprocessing, Recogniser
from serfiq_core.scoring.closed_form import ClosedForm
from serfiq_core.scoring.score import PAPER_PASSES, Sampled, mask_bank
from serfiq_core.types import Convention, Precision

OnDevice = Callable[[torch.Tensor], torch.Tensor]
"""Features → what an estimator leaves to be told on the CPU."""

Measurement = Callable[[str, Precision], list[Figure]]

BATCH = 64
RATE = 0.4
MANY_PASSES = 1000
REPETITIONS = 51
WARM_UPS = 10
"""Of each workload before the first is timed: clocks rise, kernels are compiled and chosen."""

PEAK_MEMORY_LIMIT_BYTES = 2 * 1024**3
PEAK_MEMORY_REPETITIONS = 5
AUTHORS_REPETITIONS = 5

EXIT_TARGET_MISSED = 1
EXIT_NO_GPU = 2

PREPROCESSING = Preprocessing("rgb", (127.5, 127.5, 127.5), (127.5, 127.5, 127.5))


@dataclass(frozen=True)
class Bench:
    """One network on the GPU, a batch of aligned faces there, and both estimators.

    `depth`: of an IResNet; None for the embedded pack's network.
    """

    depth: int | None
    precision: Precision

    @cached_property
    def recogniser(self) -> Recogniser:
        """Random weights, the same on every run."""
        torch.manual_seed(0)
        network = self._network()
        recogniser = Recogniser(network.backbone, network.head, PREPROCESSING, RATE)
        return for_inference(recogniser, torch.device("cuda"), self.precision)

    @cached_property
    def aligned(self) -> torch.Tensor:
        """`B × 112 × 112 × 3` uint8, noise."""
        return torch.randint(256, (BATCH, 112, 112, 3), dtype=torch.uint8, device="cuda")

    def sampled(self, passes: int = PAPER_PASSES, convention: Convention = "paper") -> Sampled:
        """The first estimator."""
        head = self.recogniser.head
        return Sampled(head, mask_bank(passes, head.feature_count, RATE, seed=0), convention)

    def closed_form(self) -> ClosedForm:
        """The second estimator."""
        return ClosedForm(self.recogniser.head, RATE)

    def features(self) -> torch.Tensor:
        """The backbone alone: `B × F` in its precision."""
        return self.recogniser.unconverted_features(self.aligned)

    def _network(self) -> Network:
        if self.depth is None:
            return compact.load(compact.Compact().state_dict())
        return iresnet.load(iresnet.IResNet(self.depth).state_dict(), self.depth)


def seconds_on_gpu(
    workloads: dict[str, Workload], repetitions: int = REPETITIONS
) -> dict[str, list[float]]:
    """Of each workload, in turn, by the device's own clock.

    Each runs once more before: while the device is at that, the processor launches what is timed.
    """
    for _ in range(WARM_UPS):
        for workload in workloads.values():
            workload()
    seconds: dict[str, list[float]] = {name: [] for name in workloads}
    for _ in range(repetitions):
        for name, workload in workloads.items():
            workload()
            seconds[name].append(seconds_of(workload))
    return seconds


def overhead(name: str, bench: Bench, score: OnDevice, limit: float) -> list[Figure]:
    """Backbone + head + score over the backbone alone; and what a face takes with the score."""
    alone, whole = record(bench.features), record(lambda: score(bench.features()))
    seconds = seconds_on_gpu({"alone": alone.replay, "whole": whole.replay})
    each = [1000 * batch / BATCH for batch in seconds["whole"]]
    return [
        ratio(name, "cuda", seconds["whole"], seconds["alone"], at_most=limit),
        measured(name.replace("overhead", "milliseconds_per_face"), "cuda", each),
    ]


def whole_way(name: str, bench: Bench) -> list[Figure]:
    """Both scores and embeddings over embeddings alone: from faces on the CPU to numbers there."""
    recogniser, sampled, closed_form = bench.recogniser, bench.sampled(), bench.closed_form()
    faces = bench.aligned.cpu().pin_memory()

    def compute(aligned: torch.Tensor) -> list[torch.Tensor]:
        features = recogniser.unconverted_features(aligned)
        embeddings = nn.functional.normalize(recogniser.head.embed(features))
        return [sampled.row_means(features), closed_form.mean_distances(features), embeddings]

    alone = Recorded(lambda aligned: [recogniser.embeddings(aligned)], bench.aligned.device)
    whole = Recorded(compute, bench.aligned.device)

    def scores() -> None:
        row_means, distances, _ = whole(faces)
        sampled.estimate(row_means)
        closed_form.estimate(distances)

    seconds = seconds_on_gpu({"alone": lambda: alone(faces), "whole": scores})
    each = [1000 * batch / BATCH for batch in seconds["whole"]]
    return [
        ratio(name, "cuda", seconds["whole"], seconds["alone"]),
        measured(f"milliseconds_per_face_{name}", "cuda", each),
    ]


def speedup_over_authors(name: str, bench: Bench) -> list[Figure]:
    """The authors' algorithm over ours, for the same 64 faces, in the same precision.

    Their published code takes a face at a time, sends `m` copies of it through the whole network in
    one batch, with dropout, and takes the mean over pairs. Ours takes the faces in one batch.
    """
    recogniser, sampled = bench.recogniser, bench.sampled(convention="mean")

    def authors() -> None:
        for face in torch.split(bench.aligned, 1):
            copies = recogniser.features(face.expand(PAPER_PASSES, -1, -1, -1))
            embeddings = recogniser.head.embed(nn.functional.dropout(copies, RATE))
            distances = torch.pdist(nn.functional.normalize(embeddings))
            (2 * torch.sigmoid(-distances.mean())).cpu()

    ours = record(lambda: sampled.row_means(bench.features()))
    seconds = seconds_on_gpu({"authors": authors, "ours": ours.replay}, AUTHORS_REPETITIONS)
    return [ratio(name, "cuda", seconds["authors"], seconds["ours"], at_least=75)]


def growth_m1000(name: str, bench: Bench) -> list[Figure]:
    """Head and score at m = 1000 over m = 100: ten times the work."""
    features = bench.features()
    # Held to the end: graphs read their masks.
    estimators = [bench.sampled(passes) for passes in (PAPER_PASSES, MANY_PASSES)]
    few, many = (record(partial(sampled.row_means, features)) for sampled in estimators)
    seconds = seconds_on_gpu({"few": few.replay, "many": many.replay})
    return [ratio(name, "cuda", seconds["many"], seconds["few"], at_most=11)]


def peak_memory(name: str, bench: Bench) -> list[Figure]:
    """Most bytes allocated above the loaded model: a batch with both estimators, and its graph."""
    sampled, closed_form = bench.sampled(), bench.closed_form()
    faces = bench.aligned.cpu()

    def compute(aligned: torch.Tensor) -> list[torch.Tensor]:
        features = bench.recogniser.unconverted_features(aligned)
        return [sampled.row_means(features), closed_form.mean_distances(features)]

    def once() -> int:
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        recorded = Recorded(compute, bench.aligned.device)
        recorded(faces)
        return torch.cuda.max_memory_allocated() - before

    once()  # libraries take their workspaces at first use and keep them
    peaks = [once() for _ in range(PEAK_MEMORY_REPETITIONS)]
    return [measured(name, "cuda", peaks, at_most=PEAK_MEMORY_LIMIT_BYTES)]


def precision_figures(precision: Precision) -> list[Figure]:
    """Of 500 faces of LFW with real recognisers, where their photographs and files are."""
    from benchmarks import pipelines  # need what the service needs
    from benchmarks import precision as on_faces

    if missing := pipelines.shared_data_is_missing():
        print(f"precision: left out, {missing}", file=sys.stderr)
        return []
    return on_faces.precision_figures(precision, "cuda")


def print_roofline(precision: Precision) -> None:
    """The sampled head's product at IResNet size against the rates of this device, on stderr."""
    device, dtype = torch.device("cuda"), DTYPES[precision]
    images, passes, size = BATCH, PAPER_PASSES, (iresnet.EMBEDDING_SIZE, iresnet.FEATURE_COUNT)
    features = torch.randn(images, size[1], device=device)
    weight = torch.randn(size, device=device).to(dtype) / size[1] ** 0.5
    bias = torch.randn(size[0], device=device)
    masks = BitMasks.pack(mask_bank(passes, size[1], RATE, seed=0)).to(device)
    work = masked_product_work(images, passes, size[1], size[0], weight.itemsize)
    rates = measured_rates(device, dtype)
    floor = rates.fewest_seconds(work)
    lines = [
        f"{torch.cuda.get_device_name()}, torch {torch.__version__}, {precision}",
        f"matrix product {rates.operations / 1e12:.0f} · 10¹² operations a second,"
        f" copy {rates.bytes_moved / 1e12:.2f} · 10¹² bytes a second",
        f"sampled head: {work.operations / 1e9:.0f} · 10⁹ operations,"
        f" {work.bytes_moved / 1e6:.0f} · 10⁶ bytes, no sooner than {floor * 1e3:.3f} ms",
    ]
    for name, product in (("as used", masked_product), ("torch", masked_product_torch)):
        seconds = median_seconds(partial(product, features, masks, weight, bias))
        lines.append(
            f"  {name:8} {seconds * 1e3:.3f} ms, {floor / seconds:.0%} of what is possible"
        )
    print(*lines, sep="\n", file=sys.stderr)


def _sampled(depth: int | None, limit: float) -> Measurement:
    def measure(name: str, precision: Precision) -> list[Figure]:
        bench = Bench(depth, precision)
        return overhead(name, bench, bench.sampled().row_means, limit)

    return measure


def _closed(depth: int, limit: float) -> Measurement:
    def measure(name: str, precision: Precision) -> list[Figure]:
        bench = Bench(depth, precision)
        return overhead(name, bench, bench.closed_form().mean_distances, limit)

    return measure


MEASUREMENTS: dict[str, Measurement] = {
    "overhead_sampled_ir50": _sampled(50, 1.10),
    "overhead_closed_ir50": _closed(50, 1.01),
    "overhead_sampled_ir100": _sampled(100, 1.05),
    "overhead_closed_ir100": _closed(100, 1.01),
    "overhead_sampled_compact": _sampled(None, 1.25),
    "whole_way_ir50": lambda name, p: whole_way(name, Bench(50, p)),
    "whole_way_compact": lambda name, p: whole_way(name, Bench(None, p)),
    "speedup_over_authors_ir50": lambda name, p: speedup_over_authors(name, Bench(50, p)),
    "growth_m1000": lambda name, p: growth_m1000(name, Bench(50, p)),
    "peak_memory_bytes": lambda name, p: peak_memory(name, Bench(50, p)),
    "precision": lambda _, p: precision_figures(p),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the measurements and report them.

    Returns:
        1 when a target was missed, 2 when there is no GPU.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--only", choices=MEASUREMENTS, metavar="FIGURE")
    parser.add_argument("--precision", choices=("float16", "bfloat16"), default="float16")
    chosen = parser.parse_args(arguments)
    if not torch.cuda.is_available():
        print("benchmarks.gpu needs an NVIDIA GPU, and torch finds none here.", file=sys.stderr)
        return EXIT_NO_GPU
    missed = False
    with torch.no_grad():
        print_roofline(chosen.precision)
        for name, measure in MEASUREMENTS.items():
            if chosen.only in (None, name):
                missed |= report(measure(name, chosen.precision))
    return EXIT_TARGET_MISSED if missed else 0


if __name__ == "__main__":
    sys.exit(main())
