"""What HTTP costs, how the service compares, what it withstands. `python -m benchmarks.serve`.

Real processes, real sockets, all on this machine: client and server share its cores.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import event_loop_cost, over_in_process, over_litserve, overload
from benchmarks.full_load import Scale
from benchmarks.measure import Figure, report
from benchmarks.photographs import photograph_folder

Measurement = Callable[[Scale], list[Figure]]

MEASUREMENTS: dict[Measurement, tuple[str, ...]] = {
    over_in_process.measure: over_in_process.FIGURES,
    over_litserve.measure: over_litserve.FIGURES,
    overload.measure: overload.FIGURES,
    event_loop_cost.measure: event_loop_cost.FIGURES,
}
"""With the names of what each gives."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the measurements and reports them. Returns 1 when a target was missed."""
    options = _parser().parse_args(arguments)
    missed = False
    with photograph_folder(options.photographs) as folder:
        scale = Scale(folder, options.rounds, options.round_seconds, options.seconds)
        for measure, names in MEASUREMENTS.items():
            if options.only is None or options.only in names:
                figures = [f for f in measure(scale) if options.only in (None, f.figure)]
                missed |= report(figures)
    return int(missed)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serve", description=__doc__)
    names = [name for measurement in MEASUREMENTS.values() for name in measurement]
    parser.add_argument("--only", choices=names, metavar="FIGURE", help=", ".join(names))
    parser.add_argument("--photographs", type=Path, metavar="DIR", help="JPEGs to send")
    parser.add_argument("--rounds", type=int, default=5, help="of each comparison (%(default)s)")
    parser.add_argument(
        "--round-seconds", type=float, default=10.0, help="of each round (%(default)s)"
    )
    parser.add_argument(
        "--seconds", type=float, default=60.0, help="of each load, at least 4 (%(default)s)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
