"""The files an evaluation leaves: what is in them, and what must not be."""

import csv
import json
import os
import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest

from serfiq_core.evaluating import METHODS
from serfiq_core.evaluation import edc_specification, files, gate, plots, report
from serfiq_core.evaluation.bootstrap import draws_of_subjects
from serfiq_core.evaluation.cohorts import cohort_rates
from serfiq_core.evaluation.comparisons import Comparisons
from serfiq_core.evaluation.edc_specification import MatedPair
from serfiq_core.evaluation.error_rates import Pairs, all_non_mated, mated_pairs, similarities
from serfiq_core.evaluation.figures import evaluate
from serfiq_core.evaluation.method_figures import DISCARDS
from serfiq_core.evaluation.subjects import Photograph
from serfiq_core.evaluation.thumbnail import Thumbnail
from tests.conftest import REPOSITORY
from tests.evaluations import made_up_evaluation

ABOUT = {"pack": "<b>ours</b>"}


def photographs(subjects, cohorts):
    return [
        Photograph(None, f"<i>{place}</i>.jpg", f"s{subject}", cohort)
        for place, (subject, cohort) in enumerate(zip(subjects, cohorts, strict=True))
    ]


@pytest.fixture(scope="module")
def comparisons():
    """Forty subjects with three noisy photographs each; the noise is what a score should see."""
    rng = np.random.default_rng(0)
    subjects = np.repeat(np.arange(40), 3)
    noise = rng.uniform(0.1, 1.2, size=(120, 1))
    embeddings = rng.normal(size=(40, 16))[subjects] + noise * rng.normal(size=(120, 16))
    embeddings = (embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)).astype(np.float32)
    mated = mated_pairs(subjects)
    return noise[:, 0], Comparisons(
        subjects=subjects,
        cohorts=["north" if subject < 20 else "south" for subject in subjects],
        mated=mated,
        mated_similarities=similarities(embeddings, mated),
        non_mated=all_non_mated(embeddings, subjects, 0.01),
    )


@pytest.fixture(scope="module")
def methods(comparisons):
    noise, _ = comparisons
    rng = np.random.default_rng(1)
    return {
        "sampled": -noise,
        "ties": -noise.round(1),
        "random": rng.random(120),
        "same": np.full(120, 0.5),
    }


@pytest.fixture(scope="module")
def evaluation(comparisons, methods):
    return evaluate(comparisons[1], methods, [0.01, 1e-3, 1e-4], resamples=50)


def test_a_score_that_sees_the_noise_beats_one_that_knows_nothing(evaluation):
    ours, random = evaluation.of("sampled", 0.01), evaluation.of("random", 0.01)
    assert ours.areas[0].area.value < 0.95 * random.areas[0].area.value
    assert ours.areas[0].relative.high < 1
    assert evaluation.spearman["sampled"] > 0.4 > abs(evaluation.spearman["random"])
    for found in (*ours.fnmr, ours.halving, *(area.area for area in ours.areas)):
        assert found.low <= found.value <= found.high
    low, high = ours.band
    assert (low <= high).all()
    assert low[0] < ours.curve.fnmr[0] < high[0]


def test_methods_are_held_against_the_first_in_the_same_draws(comparisons, methods, evaluation):
    for ours in evaluation.figures:
        first = evaluation.of("sampled", ours.fmr)
        for area, its in zip(ours.areas, first.areas, strict=True):
            assert area.difference.value == area.relative.value - its.relative.value
            if ours is first:
                assert (area.difference.low, area.difference.high) == (0, 0)
    # Whatever subjects are drawn, a score that sees the noise stays ahead of one that does not.
    area = evaluation.of("random", 0.01).areas[0]
    assert 0 < area.difference.low < area.difference.value < area.difference.high
    # Two scores that rank nearly alike share their luck: the difference is surer than either.
    noise, pairs = comparisons
    near = -noise + np.random.default_rng(2).normal(0, 0.005, len(noise))
    both = {"near": near, "sampled": -noise, "ties": methods["ties"]}
    turned = evaluate(pairs, both, [0.01], resamples=50)
    area = turned.of("sampled", 0.01).areas[0]
    assert area.difference.high - area.difference.low < (area.relative.high - area.relative.low) / 2
    # What a method does by itself does not depend on which is the first.
    for method in ("sampled", "ties"):
        relative, before = (e.of(method, 0.01).areas[0].relative for e in (turned, evaluation))
        assert relative == before


def by_specification(c, quality, limit, draws):
    """FNMR at each discard, partial and relative area at each limit, halving; in exact fractions.

    Each subject's pairs count as often as it was drawn.
    """
    pairs = [
        MatedPair(quality[first], quality[second], bool(similarity >= limit))
        for first, second, similarity in zip(
            c.mated.first, c.mated.second, c.mated_similarities, strict=True
        )
        for _ in range(draws[c.subjects[first]])
    ]
    steps = edc_specification.edc(pairs)
    shares = (Fraction(5, 100), Fraction(1, 10), Fraction(2, 10), Fraction(3, 10), Fraction(5, 10))
    fnmr = [edc_specification.fnmr_at_discard(steps, share) for share in shares]
    areas = []
    for end in (Fraction(2, 10), Fraction(5, 10)):
        under = edc_specification.partial_area(steps, end)
        # The ideal line falls from FNMR by as much as is discarded, and then is 0.
        start, falls = steps[0].fnmr, min(steps[0].fnmr, end)
        ideal = falls * (start + start - falls) / 2
        areas.append((under, (under - ideal) / (start * end - ideal)))
    halved = edc_specification.halving_discard(steps)
    found = [*fnmr, *areas[0], *areas[1], np.inf if halved is None else halved]
    return [float(each) for each in found]


@pytest.mark.parametrize("seed", range(3))
def test_the_figures_of_each_method_are_those_of_its_staircase(comparisons, methods, seed):
    c = comparisons[1]
    # Subjects with two pairs and with three: what counts pairs is not what counts subjects.
    kept = np.flatnonzero(np.arange(120) % 5)
    c = replace(
        c,
        mated=Pairs(c.mated.first[kept], c.mated.second[kept]),
        mated_similarities=c.mated_similarities[kept],
    )
    # The interval of one resample is what is found in it.
    one_draw = evaluate(c, methods, [0.05, 0.01], seed=seed, resamples=1)
    [draws] = draws_of_subjects(40, 1, seed)
    for ours in one_draw.figures:
        assert [area.limit for area in ours.areas] == [0.2, 0.5]
        found = [*ours.fnmr, *(i for a in ours.areas for i in (a.area, a.relative)), ours.halving]
        [point] = [each for each in one_draw.points if each.fmr == ours.fmr]
        quality, limit = methods[ours.method], point.comparison_threshold
        fails, times = c.mated_similarities < limit, draws[c.subjects[c.mated.first]]
        assert point.fnmr.value == fails.mean() > 0
        assert point.fnmr.low == pytest.approx(np.repeat(fails, times).mean())
        expected = by_specification(c, quality, limit, np.ones(40, int))
        assert [each.value for each in found] == pytest.approx(expected, abs=1e-12)
        expected = by_specification(c, quality, limit, draws)
        assert [each.low for each in found] == pytest.approx(expected, abs=1e-12)


def test_an_fmr_that_the_pairs_cannot_tell_is_refused_and_the_others_are_not(evaluation):
    assert [point.fmr for point in evaluation.points] == [0.01, 1e-3]
    assert "needs at least 10,000 non-mated pairs" in evaluation.refused[1e-4]


def test_an_fmr_of_few_false_matches_is_warned_of(evaluation, comparisons, methods):
    # 120² − 40 · 3² halved: 7,020 non-mated pairs.
    [warning] = of_false_matches(evaluation)
    assert warning.startswith("false matches at an FMR of 0.001: only 7 of 7,020 non-mated pairs;")
    assert warning in files.summary(evaluation, ABOUT, {}, ())["warnings"]
    assert f"Beware: {warning}." in report.render(
        evaluation, methods, about=ABOUT, left_out={}, gates=(), faces={}
    )
    # Thirty are enough, one fewer is not.
    fmrs = (30 / 7020, 29.9 / 7020)
    [warning] = of_false_matches(evaluate(comparisons[1], methods, fmrs, resamples=2))
    assert "only 29 of 7,020" in warning


def of_false_matches(evaluation):
    return [each for each in evaluation.warnings if each.startswith("false matches")]


@pytest.mark.parametrize("failing", [0, 1, 9, 10, 29, 30])
def test_how_sure_the_shape_of_a_curve_is_few_failing_subjects_cannot_tell(comparisons, failing):
    c = comparisons[1]
    fails = c.subjects[c.mated.first] < failing
    c = replace(c, mated_similarities=np.where(fails, -1, 1).astype(np.float32))
    rng = np.random.default_rng(0)
    methods = {"sampled": rng.random(120), "other": rng.random(120)}
    found = evaluate(c, methods, [0.01], resamples=20)
    assert found.points[0].failing_subjects == failing
    warned = [each for each in found.warnings if each.startswith("subjects with failing pairs")]
    assert [f"FMR of 0.01: only {failing};" in each for each in warned] == [True] * (failing < 30)
    other = found.of("other", 0.01)
    for each in (other.areas[0].relative, other.areas[0].difference, other.halving):
        assert np.isnan(ends(each)).all() == (failing < 10)
    for each in (found.points[0].fnmr, *other.fnmr, other.areas[0].area):
        assert not np.isnan(ends(each)).any()


def test_the_histograms_and_the_det_are_each_of_its_own_pairs(comparisons, evaluation):
    mated = comparisons[1].mated_similarities
    assert evaluation.mated_histogram.sum() == len(mated) == 120
    assert evaluation.non_mated_histogram.sum() == 7020
    curve = evaluation.det
    for place in (1000, 1500, 1800):
        assert curve.fnmr[place] == (mated < curve.comparison_threshold[place]).mean()
    for point in evaluation.points:
        after = np.searchsorted(curve.comparison_threshold, point.comparison_threshold)
        assert curve.fmr[after] <= point.fmr_reached <= curve.fmr[after - 1]


def test_constant_scores_discard_nothing(evaluation):
    same = evaluation.of("same", 0.01)
    assert {found.value for found in same.fnmr} == {evaluation.points[0].fnmr.value}
    assert np.isnan(evaluation.spearman["same"])


def test_cohorts_meet_one_threshold(evaluation, comparisons, methods):
    noise, c = comparisons
    point = evaluation.points[0]
    north, south = [rates for rates in evaluation.cohorts if rates.fmr == 0.01]
    assert (north.cohort, south.cohort) == ("north", "south")
    # By hand: 20 subjects of 3 photographs have 60 mated pairs, and 60² − 20 · 3² halved others.
    assert (north.photographs, north.mated_pairs, north.non_mated_pairs) == (60, 60, 1710)
    fails = c.mated_similarities < point.comparison_threshold
    assert north.fnmr_in_cohort.value == fails[c.mated.first < 60].mean()
    assert south.fnmr_in_cohort.value == fails[c.mated.first >= 60].mean()
    false = c.non_mated.highest >= point.comparison_threshold
    both = (c.non_mated.pairs.first < 60) & (c.non_mated.pairs.second < 60)
    assert north.fmr_in_cohort.value == (false & both).sum() / 1710
    assert north.fmr_in_cohort.low < north.fmr_in_cohort.high
    worst = noise > np.sort(noise)[-25]
    assert worst.sum() == 24
    assert north.discard.value == pytest.approx(worst[:60].mean())


def small(sizes, cohorts=None, left_out=()):
    """Subjects of so many photographs, all alike but for a little noise: nobody fails."""
    rng = np.random.default_rng(0)
    subjects = np.repeat(np.arange(len(sizes)), sizes)
    embeddings = np.eye(16)[subjects] + 0.01 * rng.normal(size=(len(subjects), 16))
    embeddings = (embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)).astype(np.float32)
    mated = mated_pairs(subjects)
    return Comparisons(
        subjects=subjects,
        cohorts=cohorts or [""] * len(subjects),
        mated=mated,
        mated_similarities=similarities(embeddings, mated),
        non_mated=all_non_mated(embeddings, subjects, 0.25),
        left_out=left_out,
    )


def ends(found):
    return found.low, found.high


def test_an_interval_of_one_subject_is_none():
    found = evaluate(small([4, 1, 1]), {"sampled": np.arange(6.0)}, [0.2], resamples=20)
    ours = found.of("sampled", 0.2)
    assert found.points[0].fnmr.value == 0
    for each in (found.points[0].fnmr, *ours.fnmr, ours.halving, ours.areas[0].area):
        assert np.isnan(ends(each)).all()
    assert np.isnan(ours.band).all()
    assert found.warnings[0].startswith("subjects with mated pairs: only 1;")


def test_no_error_of_a_few_subjects_is_no_proof_of_none_however_many_pairs_they_have():
    pairs = small([3] * 12 + [1])
    found = evaluate(pairs, {"sampled": np.arange(37.0)}, [0.02], resamples=20)
    assert ends(found.points[0].fnmr) == (0, 3 / 12)
    # A fifth of the 36 pairs is seven: the three of each of the two worst subjects, whose pairs
    # tie with none of the third.
    assert ends(found.of("sampled", 0.02).fnmr[2]) == (0, 3 / 10)
    assert found.of("sampled", 0.02).band[1][0] == 3 / 12
    # From 3/12 to 3/10 over a fifth.
    [area, _] = found.of("sampled", 0.02).areas
    assert area.area.low == 0
    assert 0.2 * 3 / 12 < area.area.high < 0.2 * 3 / 10
    assert np.isnan([area.relative.value, found.of("sampled", 0.02).halving.value]).all()


def test_errors_in_all_pairs_of_a_few_subjects_are_no_proof_of_them_in_all():
    pairs = small([3] * 12 + [1])
    fails = replace(pairs, mated_similarities=pairs.mated_similarities - 3)
    found = evaluate(fails, {"sampled": np.arange(37.0)}, [0.02], resamples=20)
    ours = found.of("sampled", 0.02)
    assert ends(found.points[0].fnmr) == (1 - 3 / 12, 1)
    assert ends(ours.fnmr[2]) == (1 - 3 / 10, 1)
    assert (ours.band[0][0], ours.band[1][0]) == (1 - 3 / 12, 1)
    [area, _] = ours.areas
    assert 0.2 * (1 - 3 / 10) < area.area.low < 0.2 * (1 - 3 / 12)
    assert area.area.high == 0.2


def test_no_error_in_a_cohort_is_no_proof_of_none():
    every = small([2, 2, 2, 2], ["all"] * 8)
    first, second = np.triu_indices(8, 1)
    apart = (first // 2 != second // 2) & (first // 2 < 2)  # of five of the six pairs of subjects
    listed = replace(every, listed=Pairs(second[apart], first[apart]))
    for pairs, of_subjects in ((every, 6), (listed, 5)):
        (cohort,) = cohort_rates(pairs, 1.1, 0.01, np.arange(8.0), seed=0, resamples=20)
        assert cohort.non_mated_pairs == 4 * of_subjects
        assert ends(cohort.fmr_in_cohort) == (0, 3 / of_subjects)
        (cohort,) = cohort_rates(pairs, 0.5, 0.01, np.arange(8.0), seed=0, resamples=20)
        assert ends(cohort.fnmr_in_cohort) == (0, 3 / 4)


def test_all_of_a_cohort_is_no_proof_of_all():
    pairs = small([2] * 16, ["ours"] * 8 + ["theirs"] * 24)
    quality = np.arange(32.0)
    ours, theirs = cohort_rates(pairs, 1.1, 0.01, quality, seed=0, resamples=20)
    # A fifth of 32 photographs is six, three of the four subjects: one is left, and one is no draw.
    assert ours.discard.value == 6 / 8
    assert ours.fnmr_after_discard.value == 1
    assert np.isnan(ends(ours.fnmr_after_discard)).all()
    assert ends(theirs.discard) == (0, 3 / 12)
    for found in (theirs.fnmr_in_cohort, theirs.fnmr_after_discard):
        assert (found.value, *ends(found)) == (1, 1 - 3 / 12, 1)


def test_a_score_is_constant_when_it_is_and_not_when_all_pairs_are_alike():
    methods = {"low": np.array([0.0, 1.0, 0.0, 2.0]), "same": np.ones(4)}
    found = evaluate(small([2, 2]), methods, [0.25], resamples=2)
    text = report.render(found, methods, about=ABOUT, left_out={}, gates=(), faces={})
    assert "<th>same <small>(constant)" in text
    assert text.count("(constant)") == 1


def test_every_cohort_is_listed_with_what_was_left_out():
    cohorts = ["all", "all", "all", "one", "two", "two", "two"]
    found = evaluate(
        small([3, 2, 2], cohorts, ["gone", "gone", "two", ""]),
        {"sampled": np.arange(7.0)},
        [0.2],
        resamples=20,
    )
    rates = {each.cohort: each for each in found.cohorts}
    assert {name: (each.photographs, each.left_out) for name, each in rates.items()} == {
        "all": (3, 0),
        "gone": (0, 2),
        "one": (1, 0),
        "two": (3, 1),
    }
    for name in ("all", "gone", "one"):
        for each in (rates[name].fnmr_in_cohort, rates[name].fmr_in_cohort, rates[name].discard):
            assert np.isnan(ends(each)).all()
    two = rates["two"]  # of one subject's pair, and of two subjects
    assert np.isnan(ends(two.fnmr_in_cohort)).all()
    assert np.isnan(ends(two.fmr_in_cohort)).all()
    assert ends(two.discard) == (0, 1)  # of two subjects none proves nothing
    # A fifth of seven photographs is one, and not two.
    assert rates["all"].discard.value == pytest.approx(1 / 3)


def test_every_step_is_in_edc_csv(evaluation, tmp_path):
    files.write_edc(tmp_path / "edc.csv", evaluation)
    with (tmp_path / "edc.csv").open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["method"] == "ties"]
    found = [(float(row["discarded"]), float(row["fnmr"])) for row in rows if row["fmr"] == "0.01"]
    curve = evaluation.of("ties", 0.01).curve
    assert found == list(zip(curve.discarded.tolist(), curve.fnmr.tolist(), strict=True))


def test_scores_are_in_parquet_and_embeddings_are_not(comparisons, methods, tmp_path):
    c = comparisons[1]
    path = tmp_path / "scores.parquet"
    files.write_scores(path, photographs(c.subjects, c.cohorts), methods)
    table = pyarrow.parquet.read_table(path)
    assert table.column_names == ["path", "subject", "cohort", *methods]
    assert table["path"].to_pylist() == [f"<i>{place}</i>.jpg" for place in range(120)]
    assert table["subject"].to_pylist() == [f"s{place // 3}" for place in range(120)]
    assert table["cohort"].to_pylist() == 60 * ["north"] + 60 * ["south"]
    for name, scores in methods.items():
        assert table[name].to_pylist() == scores.tolist()


@pytest.mark.parametrize("folder", ["run:1", os.fsdecode(b"run\xff")])
def test_scores_are_written_into_folders_of_any_name(
    comparisons, methods, tmp_path, monkeypatch, folder
):
    monkeypatch.chdir(tmp_path)
    path = Path(folder) / "scores.parquet"
    path.parent.mkdir()
    c = comparisons[1]
    files.write_scores(path, photographs(c.subjects, c.cohorts), methods)
    assert path.read_bytes().startswith(b"PAR1")


def test_the_summary_is_json_with_null_for_what_is_not_defined(evaluation, tmp_path):
    gates = gate.decide_gates(["1 > 2", "spearman(same) > 0"], evaluation)
    document = files.summary(evaluation, ABOUT, {"a.jpg": "no face was found"}, gates)
    files.write_summary(tmp_path / "summary.json", document)
    read = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    assert read["spearman"]["same"] is None
    why = "a figure in it is not defined on these pairs"
    assert read["gates"] == [
        {"fail_if": "1 > 2", "fmr": 1e-3, "true": False, "why": None},
        {"fail_if": "spearman(same) > 0", "fmr": 1e-3, "true": None, "why": why},
    ]
    assert read["left_out"] == [{"path": "a.jpg", "why": "no face was found"}]
    ours = next(m for m in read["methods"] if (m["method"], m["fmr"]) == ("sampled", 0.01))
    assert [each["discard"] for each in ours["fnmr_at_discard"]] == list(DISCARDS)
    same = next(m for m in read["methods"] if (m["method"], m["fmr"]) == ("same", 0.01))
    assert same["halving_discard"]["value"] == "never"


def as_json(found):
    return {"value": found.value, "low": found.low, "high": found.high}


def test_every_figure_of_the_summary_stands_under_its_own_name():
    made_up = made_up_evaluation()
    read = json.loads(json.dumps(files.summary(made_up, ABOUT, {}, ())))
    for name in ("photographs", "subjects", "mated_pairs", "non_mated_pairs"):
        assert read[name] == getattr(made_up, name)
    assert read["points"] == [
        {
            "fmr": point.fmr,
            "comparison_threshold": point.comparison_threshold,
            "fmr_reached": point.fmr_reached,
            "fnmr": as_json(point.fnmr),
            "failing_subjects": point.failing_subjects,
        }
        for point in made_up.points
    ]
    assert read["methods"] == [
        {
            "method": each.method,
            "fmr": each.fmr,
            "steps": 7,
            "fnmr_at_discard": [
                {"discard": discard, **as_json(found)}
                for discard, found in zip((0.05, 0.1, 0.2, 0.3, 0.5), each.fnmr, strict=True)
            ],
            "partial_areas": [
                {
                    "limit": limit,
                    "area": as_json(area.area),
                    "relative": as_json(area.relative),
                    "difference": as_json(area.difference),
                }
                for limit, area in zip((0.2, 0.5), each.areas, strict=True)
            ],
            "halving_discard": as_json(each.halving),
        }
        for each in made_up.figures
    ]
    assert read["spearman"] == made_up.spearman
    for rates, found in zip(made_up.cohorts, read["cohorts"], strict=True):
        assert found == {
            "cohort": rates.cohort,
            "fmr": rates.fmr,
            "photographs": rates.photographs,
            "left_out": rates.left_out,
            "mated_pairs": rates.mated_pairs,
            "non_mated_pairs": rates.non_mated_pairs,
            "fnmr_in_cohort": as_json(rates.fnmr_in_cohort),
            "fmr_in_cohort": as_json(rates.fmr_in_cohort),
            "discard": as_json(rates.discard),
            "fnmr_after_discard": as_json(rates.fnmr_after_discard),
        }


def test_the_report_is_one_file_that_asks_for_nothing_and_escapes_every_name(evaluation, methods):
    face = Thumbnail("<script>x</script>.jpg", 0.5, b"\xff\xd8")
    text = report.render(
        evaluation,
        methods,
        about=ABOUT,
        left_out={"<u>.jpg": "no face"},
        gates=gate.decide_gates(["1 < 2", "spearman(same) < 0"], evaluation),
        faces={"Worst faces": [face]},
    )
    for name in ("<b>ours", "<script", "<u>"):
        assert name not in text
    assert "&lt;script&gt;x&lt;/script&gt;.jpg" in text
    assert re.findall(r"""(?:src|href)=["'](?!#|data:)[^"']*""", text) == []
    assert re.findall(r"url\((?!#)", text) == []
    assert text.count("<svg") == 2 + 2 + len(methods)
    assert "<code>1 &lt; 2</code>: true" in text
    assert "<code>spearman(same) &lt; 0</code>: not decided, since a figure in it" in text
    assert "names no FMR, it is 0.001" in text
    assert "needs at least 10,000 non-mated pairs" in text


def tables(html):
    """The cells of each row of each table, in order."""
    return [
        [
            re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)
            for row in re.findall(r"(?s)<tr>.*?</tr>", t)
        ]
        for t in re.findall(r"(?s)<table>.*?</table>", html)
    ]


def in_brackets(found):
    return f"{found.value:.4f} [{found.low:.4f}, {found.high:.4f}]"


def in_per_cent(found):
    return " ".join(
        (f"{100 * found.value:.1f} %", f"[{100 * found.low:.1f} %, {100 * found.high:.1f} %]")
    )


def test_every_figure_of_the_report_stands_under_its_own_heading():
    made_up = made_up_evaluation()
    scores = {method: np.arange(3.0) for method in made_up.spearman}
    text = report.render(made_up, scores, about=ABOUT, left_out={}, gates=(), faces={})
    _, points, *of_methods, cohorts = tables(text)
    assert points == [
        [
            *("FMR", "comparison threshold", "FMR reached", "FNMR"),
            "subjects with failing pairs",
        ],
        *(
            [
                f"{point.fmr:g}",
                f"{point.comparison_threshold:.4f}",
                f"{point.fmr_reached:.3g}",
                in_brackets(point.fnmr),
                str(point.failing_subjects),
            ]
            for point in made_up.points
        ),
    ]
    assert len(of_methods) == 2 * len(made_up.points)
    for point, rates, areas in zip(made_up.points, of_methods[::2], of_methods[1::2], strict=True):
        figures = [each for each in made_up.figures if each.fmr == point.fmr]
        assert rates == [
            ["FNMR with discarded:", "5 %", "10 %", "20 %", "30 %", "50 %", "halved at"],
            *(
                [each.method, *map(in_brackets, each.fnmr), in_per_cent(each.halving)]
                for each in figures
            ),
        ]
        assert areas == [
            [
                "area up to:",
                *("20 %", "relative", "minus first"),
                *("50 %", "relative", "minus first"),
                "Spearman with mated similarity",
            ],
            *(
                [
                    each.method,
                    *(
                        cell
                        for area in each.areas
                        for cell in (
                            f"{area.area.value:.5f}",
                            in_brackets(area.relative),
                            in_brackets(area.difference),
                        )
                    ),
                    f"{made_up.spearman[each.method]:.3f}",
                ]
                for each in figures
            ),
        ]
    assert cohorts == [
        [
            *("cohort", "at FMR", "photographs", "left out"),
            *("mated", "FNMR", "non-mated", "FMR", "discarded", "FNMR after discarding"),
        ],
        *(
            [
                each.cohort,
                f"{each.fmr:g}",
                str(each.photographs),
                str(each.left_out),
                str(each.mated_pairs),
                in_brackets(each.fnmr_in_cohort),
                str(each.non_mated_pairs),
                in_brackets(each.fmr_in_cohort),
                in_per_cent(each.discard),
                in_brackets(each.fnmr_after_discard),
            ]
            for each in made_up.cohorts
        ),
    ]


@pytest.mark.parametrize(
    ("expression", "true"),
    [
        ("pauc20(sampled) > 0.95*0.2*fnmr(sampled, 0)", False),
        ("pauc20(same) > 0.95*0.2*fnmr(same, 0)", True),
        ("not pauc20(sampled) > 0.95 * pauc20(random)", True),
        ("pauc20(sampled) < pauc20(random) and spearman(sampled) >= 0.4", True),
        ("fnmr(sampled, 0.2) > fnmr(sampled, 0) or halving(sampled) > 1", False),
        ("halving(same) > 1e9", True),
        ("relative20(sampled) > 0.8", False),
        ("relative20(same, 0.01) > 0.99 and relative20(same, 0.01) < 1.01", True),
        ("relative20(sampled) < relative50(sampled)", False),
        ("pauc50(sampled, 1e-3) - pauc20(sampled, 1e-3) <= 0", False),
        ("-1 < pauc20(same)/2 + 1", True),
    ],
)
def test_a_gate_holds_what_its_condition_says(evaluation, expression, true):
    assert gate.holds(expression, evaluation) is true


@pytest.mark.parametrize(
    ("scores", "ends"),
    [
        ([1.0, 1.0000000000000002], {"1"}),
        ([-1.7e308, 0.0, 1.7e308], {"-1.7e+308", "1.7e+308"}),
        ([0.0, 5e-324], {"0", "4.941e-324"}),
        ([-2.0, -2.0], {"-2"}),
        ([0.0, 0.0], {"0"}),
        ([0.25, 0.5, 0.75], {"0.25", "0.75"}),
    ],
)
def test_scores_of_any_range_have_a_plot(scores, ends):
    text = plots.score_plot("other", np.array(scores))
    assert ends <= {tick.strip().replace("\N{MINUS SIGN}", "-") for tick in ticks(text)}


def ticks(svg):
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


def test_a_gate_that_names_no_fmr_means_one_that_was_asked_for(comparisons, methods):
    def decided(fmrs):
        found = evaluate(comparisons[1], methods, fmrs, resamples=2)
        (ours,) = gate.decide_gates(["pauc20(sampled) >= 0"], found)
        assert gate.holds("spearman(sampled) > 0", found)
        return ours

    ours = decided([0.01, 1e-3])
    assert (ours.fmr, ours.true, ours.why) == (1e-3, True, None)
    ours = decided([0.01, 0.005])
    assert (ours.fmr, ours.true) == (0.01, True)
    ours = decided([1e-4, 0.01])
    assert (ours.fmr, ours.true) == (1e-4, None)
    assert "needs at least 10,000 non-mated pairs" in ours.why


def test_a_gate_on_the_shape_of_a_curve_is_not_passed_where_no_pair_fails():
    found = evaluate(small([3] * 12), {"sampled": np.arange(36.0)}, [0.02], resamples=2)
    (ours,) = gate.decide_gates(["relative20(sampled) > 0.8"], found)
    assert (ours.true, ours.why) == (None, "a figure in it is not defined on these pairs")


def test_a_gate_is_not_moved_to_another_fmr_when_the_main_one_is_refused(comparisons, methods):
    few = replace(comparisons[1], non_mated=replace(comparisons[1].non_mated, count=500))
    found = evaluate(few, methods, [0.01, 1e-3], resamples=2)
    for condition in ("pauc20(sampled) > 0.5", "pauc20(sampled, 1e-3) > 0.5"):
        (ours,) = gate.decide_gates([condition], found)
        assert (ours.fmr, ours.true) == (1e-3, None)
        assert "needs at least 1,000 non-mated pairs" in ours.why


@pytest.mark.parametrize(
    ("expression", "complaint"),
    [
        ("pauc20(sampled)", "must compare two"),
        ("pauc20(sampled) >", "cannot be parsed"),
        ("pauc20(best) > 1", "no method best; there are sampled"),
        ("pauc20(sampled, 1e-4) > 1", "needs at least 10,000"),
        ("pauc20(sampled, 0.5) > 1", "was not evaluated"),
        ("pauc0(sampled) > 1", "not understood"),
        ("relative0(sampled) > 1", "not understood"),
        ("fnmr(sampled) > 1", "not understood"),
        ("spearman(same) > 0", "not defined"),
        ("pauc20(sampled)/0 > 0", "division by zero"),
        ("__import__('os').system('true') > 0", "not understood"),
        ("(1).__class__ > 0", "not understood"),
        ("9**9**9 > 0", "not understood"),
        ("1 < 2 < 3", "not understood"),
        ("not spearman(sampled)", "is a number"),
        ("1 < 2 or pauc20(sampled)", "is a number"),
        ("1 > 2 and spearman(same) > 0", "not defined"),
        ("(1 < 2) + 1 > 1", "is no number"),
        ("'a' < 'b'", "not understood"),
        ("pauc20(sampled) * 1" + 400 * "0" + " > 1", "too large"),
        ("fnmr(sampled, 1" + 400 * "0" + ") > 1", "too large"),
        (1500 * "not " + "1 > 2", "too deep"),
        ("+".join(3000 * "1") + " > 2", "too deep"),
    ],
)
def test_what_is_no_condition_is_refused(evaluation, expression, complaint):
    with pytest.raises(gate.EvaluationError, match=complaint):
        gate.holds(expression, evaluation)


FMRS = (1e-2, 1e-3)


def test_the_condition_of_the_page_can_be_decided(evaluation):
    page = (REPOSITORY / "docs" / "evaluation.md").read_text(encoding="utf-8")
    [condition] = re.findall(r"--fail-if '([^']+)'", page)
    gate.check(condition, METHODS, FMRS)
    assert isinstance(gate.holds(condition, evaluation), bool)


@pytest.mark.parametrize(
    "expression",
    [
        "pauc20(a) > 1",
        "fnmr(a, 0.2, 1e-2) > 1",
        "spearman(a) > 0 or not halving(b) > 0.1",
        "1/(pauc20(a) - pauc20(b)) > 1",
    ],
)
def test_conditions_that_can_be_decided_pass_the_check(expression):
    gate.check(expression, {"a", "b"}, FMRS)


@pytest.mark.parametrize(
    ("expression", "complaint"),
    [
        ("pauc20(best) > 1", "there is no method best; there are a, b"),
        ("pauc20(a)", "must compare two"),
        ("pacu20(a) > 1", "not understood"),
        ("fnmr(a) > 1", "not understood"),
        ("fnmr(a, 0.2, 1e-4) > 1", "FMR 0.0001 is not evaluated"),
        ("not pauc20(a)", "is a number"),
    ],
)
def test_what_cannot_be_decided_is_refused_before_any_work(expression, complaint):
    with pytest.raises(gate.EvaluationError, match=complaint):
        gate.check(expression, {"a", "b"}, FMRS)
