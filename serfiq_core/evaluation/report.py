"""`report.html`: plots and tables for people, in one file that asks the network for nothing.

The words are in `report.html.j2`, which escapes every name. This file computes nothing.
"""

import base64
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from serfiq_core.evaluation import plots
from serfiq_core.evaluation.bootstrap import LEVEL_PERCENT, Interval
from serfiq_core.evaluation.cohorts import COHORT_DISCARD
from serfiq_core.evaluation.edc import Values
from serfiq_core.evaluation.figures import Evaluation
from serfiq_core.evaluation.gate import Gate
from serfiq_core.evaluation.method_figures import DISCARDS, LIMITS
from serfiq_core.evaluation.thumbnail import Thumbnail

LEFT_OUT_SHOWN = 50
"""Of the photographs left out; `summary.json` names them all."""


def render(
    evaluation: Evaluation,
    methods: Mapping[str, Values],
    *,
    about: Mapping[str, Any],
    left_out: Mapping[str, str],
    gates: Sequence[Gate],
    faces: Mapping[str, Sequence[Thumbnail]],
) -> str:
    """The report, as HTML.

    Args:
        evaluation: what it shows.
        methods: the scores, for their histograms.
        about: name → value, shown at the top.
        left_out: photograph → why.
        gates: the conditions, and what came of them.
        faces: heading → faces shown under it; none unless the user asked for them.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"rate": rate, "share": share, "plain": plain, "data_uri": data_uri}
    return environment.get_template("report.html.j2").render(
        evaluation=evaluation,
        edc_plots={
            point.fmr: Markup(
                plots.edc_plot(
                    [f for f in evaluation.figures if f.fmr == point.fmr], f"{point.fmr:g}"
                )
            )
            for point in evaluation.points
        },
        det_plot=Markup(plots.det_plot(evaluation)),
        similarity_plot=Markup(plots.similarity_plot(evaluation)),
        score_plots=[Markup(plots.score_plot(name, s)) for name, s in methods.items()],
        constant={name for name, s in methods.items() if s.min() == s.max()},
        about=about,
        left_out=left_out,
        left_out_shown=LEFT_OUT_SHOWN,
        gates=gates,
        faces=faces,
        discards=DISCARDS,
        limits=LIMITS,
        level=LEVEL_PERCENT,
        cohort_discard=COHORT_DISCARD,
    )


def rate(found: Interval) -> str:
    """`0.0123 [0.0100, 0.0150]`."""
    return _with_ends(found, lambda value: f"{value:.4f}")


def share(found: Interval) -> str:
    """`12.3 % [10.0 %, 15.0 %]`."""
    return _with_ends(found, lambda value: f"{100 * value:.1f} %")


def plain(value: float) -> str:
    """Three digits behind the point, or what stands for none."""
    return f"{value:.3f}" if math.isfinite(value) else "–"


def data_uri(jpeg: bytes) -> str:
    """An image inside the page."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()


def _with_ends(found: Interval, form: Any) -> str:
    def one(value: float) -> str:
        if math.isnan(value):
            return "–"
        return "never" if math.isinf(value) else str(form(value))

    return f"{one(found.value)} [{one(found.low)}, {one(found.high)}]"
