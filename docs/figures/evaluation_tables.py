"""The tables of docs/evaluation.md, from what `serfiq evaluate` wrote: evaluation_tables.py SUMMARY.JSON …"""

import json
import sys
from pathlib import Path
from typing import Any

FMRS = (1e-3, 1e-4)
COLUMNS = ("method", "5 %", "10 %", "20 %", "30 %", "50 %")
AREAS = ("relative area to 20 %", "to 50 %", "minus sampled, to 20 %")


def number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def interval(found: dict[str, float | None], digits: int) -> str:
    """A value with the ends of its interval, where too few subjects fail for any: without."""
    value, low, high = (number(found[name], digits) for name in ("value", "low", "high"))
    return value if found["low"] is None else f"{value} [{low}, {high}]"


def row(method: dict[str, Any]) -> list[str]:
    cells = [method["method"]]
    for each in method["fnmr_at_discard"]:
        cells.append(interval(each, 4) if each["discard"] == 0.2 else number(each["value"], 4))
    cells += [interval(area["relative"], 2) for area in method["partial_areas"]]
    return [*cells, interval(method["partial_areas"][0]["difference"], 2)]


def print_tables(summary: dict[str, Any]) -> None:
    start = {point["fmr"]: point["fnmr"] for point in summary["points"]}
    for fmr in FMRS:
        pack = summary["about"]["pack"]
        print(f"\n**`{pack}`**, FMR {fmr:g}; nothing discarded: {interval(start[fmr], 4)}\n")
        print("| " + " | ".join((*COLUMNS, *AREAS)) + " |\n" + "|---" * 9 + "|")
        for method in summary["methods"]:
            if method["fmr"] == fmr:
                print("| " + " | ".join(row(method)) + " |")


if __name__ == "__main__":
    for path in sys.argv[1:]:
        print_tables(json.loads(Path(path).read_text(encoding="utf-8")))
