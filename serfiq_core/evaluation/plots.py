"""The plots of a report, as SVG to be put inside HTML. This file computes nothing."""

import io
from collections.abc import Sequence

import matplotlib
import matplotlib.ticker
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from serfiq_core.evaluation.edc import Values
from serfiq_core.evaluation.error_rates import HISTOGRAM_EDGES
from serfiq_core.evaluation.figures import Evaluation
from serfiq_core.evaluation.method_figures import BAND_DISCARDS, MethodFigures

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d31", "#7f7f7f")
"""Okabe and Ito's, told apart by most who are colour-blind; then by line."""
LINES = ("-", "--", ":")

BANDED = 2
"""Bands of more methods would hide each other; the tables have them all."""


def edc_plot(figures: Sequence[MethodFigures], fmr: str) -> str:
    """FNMR over the discarded share at one FMR, each method a staircase."""
    figure, axes = _axes("mated pairs discarded", "FNMR")
    for place, each in enumerate(figures):
        colour = COLOURS[place % len(COLOURS)]
        line = LINES[place // len(COLOURS) % len(LINES)]
        shown = each.curve.discarded <= BAND_DISCARDS[-1]
        discarded = np.append(each.curve.discarded[shown], BAND_DISCARDS[-1])
        fnmr = np.append(each.curve.fnmr[shown], each.curve.fnmr[shown][-1])
        axes.step(discarded, fnmr, where="post", color=colour, linestyle=line, label=each.method)
        if place < BANDED:
            axes.fill_between(BAND_DISCARDS, *each.band, step="post", color=colour, alpha=0.15)
    start = float(figures[0].curve.fnmr[0])
    ideal = np.maximum(start - BAND_DISCARDS, 0)
    axes.plot(BAND_DISCARDS, ideal, "-.", color="black", linewidth=0.9, label="ideal line")
    axes.set_xlim(0, BAND_DISCARDS[-1])
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1))
    axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)
    return _svg(figure, f"Error versus discard at an FMR of {fmr}")


def det_plot(evaluation: Evaluation) -> str:
    """FNMR over FMR, both logarithmic."""
    figure, axes = _axes("FMR", "FNMR")
    curve = evaluation.det
    shown = (curve.fmr > 0) & (curve.fnmr > 0)
    # Between two points the threshold is that of the smaller FMR: no more may match.
    axes.step(curve.fmr[shown], curve.fnmr[shown], where="pre", color=COLOURS[0])
    for point in evaluation.points:
        axes.plot(point.fmr_reached, point.fnmr.value, "o", color=COLOURS[1])
    if shown.any():  # a recogniser without an error has nothing to show in logarithms
        axes.set_xscale("log")
        axes.set_yscale("log")
    axes.grid(True, which="major", linewidth=0.3)
    return _svg(figure, "Detection error trade-off of the recogniser")


def similarity_plot(evaluation: Evaluation) -> str:
    """How similar mated and non-mated pairs are."""
    figure, axes = _axes("cosine similarity", "share of pairs per 0.02")
    merged = 20
    edges = HISTOGRAM_EDGES[::merged]
    both = (evaluation.non_mated_histogram, evaluation.mated_histogram)
    for counts, words, colour in zip(both, ("non-mated", "mated"), COLOURS, strict=False):
        shares = counts.reshape(-1, merged).sum(axis=1) / counts.sum()
        axes.stairs(shares, edges, fill=True, alpha=0.5, color=colour, label=words)
    for point in evaluation.points:
        axes.axvline(point.comparison_threshold, color="black", linewidth=0.7, linestyle=":")
    axes.legend(frameon=False)
    return _svg(figure, "Similarities of mated and non-mated pairs")


def score_plot(method: str, scores: Values) -> str:
    """The distribution of one method's scores: finite, of any size, however near to each other."""
    figure, axes = _axes(method, "photographs", (3.2, 2.0))
    places = _places(scores)
    axes.hist(places, bins=50, range=(0, 1), color=COLOURS[0])
    ends = [int(np.argmin(scores)), int(np.argmax(scores))]
    axes.set_xticks(places[ends], [f"{scores[end]:.4g}" for end in ends])
    axes.tick_params(labelsize=8)
    return _svg(figure, f"Scores of {method}")


def _places(scores: Values) -> Values:
    """Where scores lie between the lowest, 0, and the highest, 1; in the middle if all are one.

    Bins of the scores themselves have no width where neighbouring numbers are all there is, and
    one that is infinite where the range is beyond the largest number.
    """
    scaled = scores / (np.abs(scores).max() or 1.0)
    low, high = scaled.min(), scaled.max()
    return (scaled - low) / (high - low) if high > low else np.full(len(scores), 0.5)


def _axes(x: str, y: str, size: tuple[float, float] = (8.0, 4.2)) -> tuple[Figure, Axes]:
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _svg(figure: Figure, title: str) -> str:
    stream = io.StringIO()
    # Text stays text: it can be searched, and takes the page's font. Ids are the same in every run.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "serfiq"}):
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    # The XML prologue has no place inside HTML.
    head = f'<svg role="img" aria-label="{title}" '
    return head + text[text.index("<svg") + len("<svg ") :]
