"""What dropout tells of a face, at several sites, rates and numbers of passes, and beside its norm.

    python docs/evaluation_dropout.py PACK DATA CACHE [--site TENSOR …] [--rate P …]

Prints the tables of "Dropout sites, rates and passes" and "The norm and the score" in docs/evaluation.md,
all for test subjects; train subjects only choose a combination. DATA holds `lfw/`; CACHE embeddings, so that
an interrupted run goes on where it was. Sites and rate are the pack's unless given.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import normalize

from app.commands.options import packs_dir_from
from serfiq_core.correlation import spearman
from serfiq_core.evaluating import evaluate_measured, measure
from serfiq_core.evaluation.bootstrap import Interval
from serfiq_core.evaluation.figures import DISCARDS, Evaluation, MethodFigures
from serfiq_core.evaluation.measurements import Cache, FaceMeasurement, Measurement
from serfiq_core.evaluation.subject_split import split_by_subject
from serfiq_core.evaluation.subjects import Photograph, read_photographs
from serfiq_core.loading import load_preparation, load_recogniser
from serfiq_core.packs.pack import Pack, verify
from serfiq_core.packs.registry import find_pack
from serfiq_core.profiles import read_profiles
from serfiq_core.recognition.recogniser import Recogniser
from serfiq_core.score import ClosedForm, Sampled, mask_bank
from serfiq_core.types import AlignedFace

FMRS = (1e-3, 1e-4)
PASSES = (10, 100)
MANY_PASSES = 1000
"""At the lowest and the highest rate only: they cost ten milliseconds a face."""

WORKERS = 2
"""Photographs prepared at a time."""

EXPONENTS = np.arange(-4, 4.5, 0.5).tolist()
"""`γ` of `n/v^γ`: 0 is the norm, 1 the score in closed form at order 0."""


class Scorer:
    """All scores of a face at every site; `norm` is the embedding's, `noise SITE` is `Σ f_k²‖w_k‖²`."""

    def __init__(self, recognisers: Sequence[Recogniser], rates: Sequence[float]) -> None:
        self._sites = [(each, dict(_estimators(each, rates))) for each in recognisers]

    @torch.no_grad()
    def __call__(self, faces: Sequence[AlignedFace]) -> list[FaceMeasurement]:
        pixels = torch.from_numpy(np.stack(faces))
        columns = {}
        for recogniser, estimators in self._sites:
            features = recogniser.features(pixels)
            outputs = recogniser.head.embed(features)
            columns["norm"] = outputs.norm(dim=1)
            columns[f"noise {site_of(recogniser)}"] = (
                features.square() @ recogniser.head.squared_column_norms
            )
            columns |= {
                name: estimator(features).raw_score for name, estimator in estimators.items()
            }
        rows = np.array([column.double().numpy() for column in columns.values()]).T.tolist()
        return [
            FaceMeasurement(embedding, dict(zip(columns, row, strict=True)))
            for embedding, row in zip(normalize(outputs).numpy(), rows, strict=True)
        ]


def _estimators(
    recogniser: Recogniser, rates: Sequence[float]
) -> Iterator[tuple[str, Sampled | ClosedForm]]:
    head, site = recogniser.head, site_of(recogniser)
    for rate in rates:
        for passes in (*PASSES, *((MANY_PASSES,) if rate in (min(rates), max(rates)) else ())):
            yield (
                name_of(site, rate, passes),
                Sampled(head, mask_bank(passes, head.feature_count, rate, seed=0)),
            )
        yield name_of(site, rate, None), ClosedForm(head, rate)


def site_of(recogniser: Recogniser) -> str:
    """A site in words."""
    shape = recogniser.head.map_shape
    return f"{recogniser.head.feature_count} values" if shape is None else "×".join(map(str, shape))


def name_of(site: str, rate: float, passes: int | None) -> str:
    """Of a method; no passes are the closed form."""
    return f"{site}, {rate:g}, {'closed form' if passes is None else passes}"


def at_site(pack: Pack, site: str | None) -> Recogniser:
    """The recogniser of a pack, cut at another tensor."""
    entry = pack.manifest.recogniser
    entry = replace(entry, dropout_site=site or entry.dropout_site)
    return load_recogniser(replace(pack, manifest=replace(pack.manifest, recogniser=entry)))


Half = tuple[Sequence[Photograph], Sequence[Measurement]]
"""Photographs of train subjects, or of test subjects, and what was measured of them."""


def measured_at(
    pack: Pack,
    recognisers: Sequence[Recogniser],
    rates: Sequence[float],
    photographs: Sequence[Photograph],
    folder: Path,
) -> Half:
    """Every photograph's scores; the subject's face is the central one."""
    sites = [site_of(recogniser) for recogniser in recognisers]
    cache = Cache(folder, {"dropout": [pack.checksum, sites, list(rates), PASSES, MANY_PASSES]})
    preparation = load_preparation(pack, read_profiles().values(), "central")
    scorer = Scorer(recognisers, rates)
    return photographs, measure(photographs, preparation, scorer, workers=WORKERS, cache=cache)


def print_settings(evaluation: Evaluation, sites: Sequence[str], rates: Sequence[float]) -> None:
    """Sites and rates down, passes across; the relative area up to 20 %, and FNMR there."""
    for point in evaluation.points:
        norm = evaluation.of("norm", point.fmr)
        print(
            f"\nFMR {point.fmr:g}, nothing discarded {_interval(point.fnmr, 4)}; norm: {_area_and_rate(norm)}\n"
        )
        print(
            "| site | p | "
            + " | ".join(f"m = {m}" for m in (*PASSES, MANY_PASSES))
            + " | closed form | minus norm |"
        )
        print("|---" * 7 + "|")
        for site in sites:
            for rate in rates:
                cells = []
                for passes in (*PASSES, MANY_PASSES, None):
                    known = name_of(site, rate, passes) in evaluation.spearman
                    found = evaluation.of(name_of(site, rate, passes), point.fmr) if known else None
                    cells.append("" if found is None else _area_and_rate(found))
                difference = evaluation.of(name_of(site, rate, None), point.fmr).areas[0].difference
                cells.append(_interval(difference, 3))
                print(f"| {site} | {rate:g} | {' | '.join(cells)} |")


def evaluated(one: Half, site: str, exponents: Mapping[str, float], fmr: float) -> Evaluation:
    """`ln n/v^γ` for each `γ`, as a method of its own."""
    photographs, measured = one
    rescored = [
        each
        if isinstance(each, str)
        else replace(each, scores=ratios(each.scores, site, exponents))
        for each in measured
    ]
    return evaluate_measured(photographs, rescored, [fmr]).evaluation


def ratios(
    scores: Mapping[str, float], site: str, exponents: Mapping[str, float]
) -> dict[str, float]:
    """`ln n/v^γ` of one face, by the names of the `γ`."""
    n, v = 2 * np.log(scores["norm"]), np.log(scores[f"noise {site}"])
    return {name: float(n - exponent * v) for name, exponent in exponents.items()}


def print_spreads(test: Half, site: str) -> None:
    """How much `n` and `v` differ from face to face, and how they are ranked."""
    _, measured = test
    faces = [each.scores for each in measured if not isinstance(each, str)]
    n = np.array([scores["norm"] ** 2 for scores in faces])
    v = np.array([scores[f"noise {site}"] for scores in faces])
    print(
        f"\n{site}: standard deviation of ln n {np.log(n).std():.3f}, of ln v {np.log(v).std():.3f}."
    )
    print(f"Spearman of n with v {spearman(n, v):+.3f}, of n with n/v {spearman(n, n / v):+.4f}.")


def print_combination(train: Half, test: Half, site: str, fmr: float) -> None:
    """Choose `γ` on the train subjects, and hold it against the norm on the others."""
    tried = evaluated(train, site, {f"{each:g}": each for each in EXPONENTS}, fmr)
    best = min(EXPONENTS, key=lambda each: tried.of(f"{each:g}", fmr).areas[0].relative.value)
    exponents = {"norm": 0.0, "score, γ = 1": 1.0, f"chosen, γ = {best:g}": best}
    found = evaluated(test, site, exponents, fmr)
    print(
        f"\nFMR {fmr:g}, {found.mated_pairs:,} mated pairs, {_interval(found.points[0].fnmr, 4)}\n"
    )
    print("| method | 20 % | to 20 % | to 50 % | minus norm | to 50 % | Spearman |")
    print("|---" * 7 + "|")
    for name in exponents:
        figures = found.of(name, fmr)
        cells = [f"{figures.fnmr[DISCARDS.index(0.2)].value:.4f}"]
        cells += [_interval(area.relative) for area in figures.areas]
        cells += [_interval(area.difference, 3) for area in figures.areas]
        print(f"| {name} | {' | '.join(cells)} | {found.spearman[name]:.3f} |")


def _area_and_rate(figures: MethodFigures) -> str:
    return f"{_interval(figures.areas[0].relative)}, {figures.fnmr[DISCARDS.index(0.2)].value:.4f}"


def _interval(found: Interval, digits: int = 2) -> str:
    value, low, high = (f"{each:.{digits}f}" for each in (found.value, found.low, found.high))
    return f"{value} [{low}, {high}]"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pack")
    parser.add_argument("data", type=Path)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--site", action="append")
    parser.add_argument("--rate", action="append", type=float)
    options = parser.parse_args()
    pack = find_pack(options.pack, packs_dir_from(None))
    verify(pack)
    rates = options.rate or [pack.manifest.recogniser.dropout_rate]
    lfw = options.data / "lfw"
    train, test = split_by_subject(read_photographs(lfw / "manifest.csv", lfw / "images"))
    torch.set_num_threads(1)
    recognisers = [at_site(pack, site) for site in options.site or [None]]
    sites = [site_of(recogniser) for recogniser in recognisers]
    tested = measured_at(pack, recognisers, rates, test, options.cache)
    print_settings(evaluate_measured(*tested, FMRS).evaluation, sites, rates)
    learnt = measured_at(pack, recognisers, (), train, options.cache)
    for site in sites:
        print_spreads(tested, site)
        for fmr in FMRS:
            print_combination(learnt, tested, site, fmr)


if __name__ == "__main__":
    main()
