"""What a quality score costs on top of an embedding. `python -m benchmarks.core [--only FIGURE]`.

Random weights where no weights are published: the time of a network does not depend on them.
"""

import argparse
import io
import sys
from collections.abc import Callable, Sequence

import skimage.data
import torch
from PIL import Image
from torch import nn

from benchmarks.measure import Figure, interleaved_seconds, ratio, report
from serfiq_core.loading import load_pipeline, load_recogniser
from serfiq_core.packs.registry import default_packs_dir, find_pack
from serfiq_core.recognition import iresnet
from serfiq_core.recognition.network import Network
from serfiq_core.score import PAPER_PASSES, ClosedForm, mask_bank, sampled
from serfiq_core.types import Stage

RATE = 0.4
BATCH = 16
DEVICE = "cpu"


def _overheads(name: str, network: Network, repetitions: int, targets: bool) -> list[Figure]:
    """Backbone + head + score over the backbone alone, `B = 16`.

    Backbone and score are timed apart, in turn, and added: the difference of two long times would
    drown a short one.
    """
    inputs = torch.randn(BATCH, 3, 112, 112)
    head, backbone = network.head, network.backbone
    masks = mask_bank(PAPER_PASSES, head.feature_count, RATE, 0)
    closed_form = ClosedForm(head, RATE)
    with torch.no_grad():
        features = backbone(inputs)
        seconds = interleaved_seconds(
            {
                "backbone": lambda: backbone(inputs),
                "sampled": lambda: sampled(features, head, masks),
                "closed": lambda: closed_form(features),
            },
            repetitions,
        )
    alone = seconds["backbone"]

    def whole(score: str) -> list[float]:
        return [a + b for a, b in zip(alone, seconds[score], strict=True)]

    limit = 1.02 if targets else None
    return [
        ratio(f"overhead_sampled_{name}", DEVICE, whole("sampled"), alone),
        ratio(f"overhead_closed_{name}", DEVICE, whole("closed"), alone, at_most=limit),
    ]


def overheads_compact() -> list[Figure]:
    """The embedded pack."""
    recogniser = load_recogniser(find_pack("compact", default_packs_dir()))
    return _overheads("compact", Network(recogniser.backbone, recogniser.head), 31, False)


def overheads_ir50() -> list[Figure]:
    """IResNet-50, random weights."""
    return _overheads("ir50", _iresnet50(), 11, True)


def speedup_over_authors_ir50() -> list[Figure]:
    """The authors' algorithm, one image: `m` copies through the whole network, with dropout.

    Their published code sends the copies in one batch and takes the mean over pairs.
    """
    network = _iresnet50()
    image = torch.randn(1, 3, 112, 112)
    masks = mask_bank(PAPER_PASSES, network.head.feature_count, RATE, 0)

    def authors() -> torch.Tensor:
        copies = image.expand(PAPER_PASSES, -1, -1, -1)
        dropped = nn.functional.dropout(network.backbone(copies), RATE)
        embeddings = nn.functional.normalize(network.head.embed(dropped))
        return 2 * torch.sigmoid(-torch.pdist(embeddings).mean())

    with torch.no_grad():
        seconds = interleaved_seconds(
            {
                "authors": authors,
                "ours": lambda: sampled(network.backbone(image), network.head, masks, "mean"),
            },
            5,
        )
    return [ratio("speedup_over_authors_ir50", DEVICE, seconds["authors"], seconds["ours"])]


def stages() -> list[Figure]:
    """Share of each stage in the whole way of one 640×480 JPEG with the embedded pack."""
    pipeline = load_pipeline(find_pack("compact", default_packs_dir()), device="cpu")
    capture = _photograph_640x480()
    seconds: dict[Stage, list[float]] = {}
    pipeline.observe = lambda stage, taken: seconds.setdefault(stage, []).append(taken)
    totals = interleaved_seconds({"whole": lambda: pipeline.assess([capture])}, 21)["whole"]
    return [
        ratio(f"stage_share_{stage}", DEVICE, taken[1:], totals)  # the first was the warm-up
        for stage, taken in seconds.items()
    ]


def _iresnet50() -> Network:
    return iresnet.load(iresnet.IResNet(50).state_dict(), 50)


def _photograph_640x480() -> bytes:
    canvas = Image.new("RGB", (640, 480), (96, 104, 112))
    canvas.paste(Image.fromarray(skimage.data.astronaut()).resize((480, 480)), (80, 0))
    file = io.BytesIO()
    canvas.save(file, "JPEG", quality=92)
    return file.getvalue()


MEASUREMENTS: dict[str, Callable[[], list[Figure]]] = {
    "compact": overheads_compact,
    "ir50": overheads_ir50,
    "authors": speedup_over_authors_ir50,
    "stages": stages,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the measurements and report them. Returns 1 when a target was missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.core", description=__doc__)
    parser.add_argument("--only", choices=MEASUREMENTS)
    only = parser.parse_args(arguments).only
    missed = False
    for name, measure in MEASUREMENTS.items():
        if only in (None, name):
            figures = measure()
            report(figures)
            missed |= any(figure.met is False for figure in figures)
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
