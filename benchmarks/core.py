"""What a quality score costs on a CPU. `python -m benchmarks.core [--only FIGURE] [--precision P]`.

One JSON object a line on stdout, a table on stderr; exits with 1 when a target was missed.
"""

import argparse
import io
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import get_args

import skimage.data
import torch
from PIL import Image

from benchmarks import memory, overhead, pipelines, precision
from benchmarks.measure import Figure, report
from benchmarks.recognisers import compact_recogniser, iresnet_recogniser
from serfiq_core.allocation import keep_freed_memory
from serfiq_core.recognition.inference import choose_precision
from serfiq_core.types import Precision, PrecisionChoice


@dataclass(frozen=True, slots=True)
class Measurement:
    """What is run together: the figures it gives, or their beginnings, and what it lacks."""

    figures: tuple[str, ...]
    run: Callable[[Precision], list[Figure]]
    missing: Callable[[], str | None] = lambda: None


def overheads_ir50(precision: Precision) -> list[Figure]:
    """IResNet-50."""
    recogniser = iresnet_recogniser(50, precision)
    return overhead.overheads("ir50", recogniser, 15, sampled_at_most=1.25, closed_at_most=1.02)


def overheads_ir100(precision: Precision) -> list[Figure]:
    """IResNet-100."""
    recogniser = iresnet_recogniser(100, precision)
    return overhead.overheads("ir100", recogniser, 11, sampled_at_most=1.15, closed_at_most=1.02)


def overheads_compact(precision: Precision) -> list[Figure]:
    """The embedded pack."""
    recogniser = compact_recogniser(precision)
    return overhead.overheads(
        "compact", recogniser, 41, sampled_at_most=1.5, milliseconds_at_most=2.5
    )


def stages(_: Precision) -> list[Figure]:
    """One 640×480 JPEG."""
    return pipelines.stage_shares(_desk_photograph())


def components(_: Precision) -> list[Figure]:
    """The same JPEG, and one of 250×250."""
    portrait = Image.fromarray(skimage.data.astronaut()).crop((80, 0, 330, 250))
    return pipelines.components_shares({"640x480": _desk_photograph(), "250x250": _jpeg(portrait)})


def _desk_photograph() -> bytes:
    canvas = Image.new("RGB", (640, 480), (96, 104, 112))
    canvas.paste(Image.fromarray(skimage.data.astronaut()).resize((480, 480)), (80, 0))
    return _jpeg(canvas)


def _jpeg(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=92)
    return file.getvalue()


MEASUREMENTS = (
    Measurement(
        ("overhead_sampled_ir50", "overhead_closed_ir50", "milliseconds_per_face_ir50"),
        overheads_ir50,
    ),
    Measurement(
        ("overhead_sampled_ir100", "overhead_closed_ir100", "milliseconds_per_face_ir100"),
        overheads_ir100,
    ),
    Measurement(
        ("overhead_sampled_compact", "overhead_closed_compact", "milliseconds_per_face_compact"),
        overheads_compact,
    ),
    Measurement(("speedup_over_authors_ir50",), overhead.speedup_over_authors_ir50),
    Measurement(("growth_m1000",), overhead.growth_m1000),
    Measurement(
        ("pipeline_over_insightface",),
        pipelines.pipeline_over_insightface,
        pipelines.shared_data_is_missing,
    ),
    Measurement(("peak_memory_bytes",), memory.peak_memory),
    Measurement(
        ("precision_spearman", "precision_cosine"),
        precision.precision_figures,
        pipelines.shared_data_is_missing,
    ),
    Measurement(("stage_share",), stages),
    Measurement(("components_share",), components),
)
"""In the order of docs/benchmarks.md."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the measurements and report them. Returns 1 when a target was missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.core", description=__doc__)
    names = [name for measurement in MEASUREMENTS for name in measurement.figures]
    parser.add_argument("--only", choices=names, metavar="FIGURE", help=", ".join(names))
    parser.add_argument("--precision", choices=get_args(PrecisionChoice), default="auto")
    options = parser.parse_args(arguments)
    keep_freed_memory()
    precision_in_use = choose_precision(options.precision, torch.device("cpu"))
    print(f"precision: {precision_in_use}; threads: {torch.get_num_threads()}", file=sys.stderr)
    missed = False
    for measurement in MEASUREMENTS:
        if options.only is not None and options.only not in measurement.figures:
            continue
        if missing := measurement.missing():
            print(f"{', '.join(measurement.figures)}: left out, {missing}", file=sys.stderr)
            continue
        figures = measurement.run(precision_in_use)
        shown = [f for f in figures if options.only is None or f.figure.startswith(options.only)]
        missed |= report(shown)
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
