"""What the plots draw, read from the lines that are drawn."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from serfiq_core.evaluation import plots
from tests.evaluations import made_up_evaluation

EVALUATION = made_up_evaluation()


@pytest.fixture
def drawn(monkeypatch):
    """The axes of every plot that was made."""
    seen = []
    save = Figure.savefig

    def savefig(figure, *arguments, **options):
        seen.extend(figure.axes)
        save(figure, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", savefig)
    return seen


def labels(axes):
    return axes.get_xlabel(), axes.get_ylabel()


def heights(line, places):
    """Of a line as it is drawn, steps and all; none of `places` may be where it jumps."""
    corners = line.get_path().vertices
    rising = corners if corners[0, 0] < corners[-1, 0] else corners[::-1]
    return np.interp(places, *rising.T).tolist()


def test_an_edc_is_a_staircase_and_nothing_is_interpolated(drawn):
    plots.edc_plot(EVALUATION.figures[:1], "0.01")
    [axes] = drawn
    assert labels(axes) == ("mated pairs discarded", "FNMR")
    ours, ideal = axes.get_lines()
    assert (ours.get_label(), ideal.get_label()) == ("sampled", "ideal line")
    # tests/unit/test_edc.py has the curve: each FNMR holds from its own share up to the next one's.
    found = heights(ours, [0, 0.05, 0.099, 0.101, 0.2, 0.299, 0.301, 0.35, 0.45, 0.499])
    expected = [4 / 10] * 3 + [3 / 9] * 3 + [2 / 7] * 2 + [2 / 6] * 2
    assert found == pytest.approx(expected)
    assert heights(ideal, [0, 0.1, 0.3, 0.45]) == pytest.approx([0.4, 0.3, 0.1, 0])


def test_a_det_has_fmr_across_and_fnmr_upwards(drawn):
    plots.det_plot(EVALUATION)
    [axes] = drawn
    assert labels(axes) == ("FMR", "FNMR")
    curve, *points = axes.get_lines()
    assert curve.get_xydata().tolist() == [[0.8, 0.05], [0.4, 0.2], [0.1, 0.6]]
    # At an FMR of 0.6 no more may match: the threshold is that of 0.4, and not that of 0.8.
    assert heights(curve, [0.15, 0.35, 0.45, 0.6, 0.75]) == pytest.approx([0.6, 0.6, *3 * [0.2]])
    found = [point.get_xydata().tolist() for point in points]
    assert found == [[[point.fmr_reached, point.fnmr.value]] for point in EVALUATION.points]


def test_similarities_are_shares_of_each_kind_of_pair_under_its_name(drawn):
    plots.similarity_plot(EVALUATION)
    [axes] = drawn
    assert labels(axes) == ("cosine similarity", "share of pairs per 0.02")
    shares = {}
    for patch in axes.patches:
        values, edges, _ = patch.get_data()
        shares[patch.get_label()] = {
            round(float(edges[place]), 2): values[place] for place in np.flatnonzero(values)
        }
    assert shares == {"non-mated": {-1: 0.1, 0: 0.9}, "mated": {0.5: 0.75, 0.52: 0.25}}
    limits = [line.get_xdata()[0] for line in axes.get_lines()]
    assert limits == [point.comparison_threshold for point in EVALUATION.points]
