"""What dropout tells of a face at several sites, rates and numbers of passes.

    python docs/figures/evaluation_dropout.py PACK DATA CACHE [--site TENSOR …] [--rate P …]

Prints the table of "Sites, rates and passes" in docs/evaluation.md, for the test subjects of LFW. DATA holds
`lfw/`; CACHE embeddings, so that an interrupted run goes on where it was. Sites and rate are the pack's
unless given.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from common import halves_of_lfw, pack_of, parser
from torch.nn.functional import normalize

from serfiq_core.decisions.profiles import wanted_inter_eye_distance_px
from serfiq_core.evaluating import evaluate_measured
from serfiq_core.evaluation.bootstrap import Interval
from serfiq_core.evaluation.figures import Evaluation
from serfiq_core.evaluation.measurements import Cache, FaceMeasurement, Measurement
from serfiq_core.evaluation.method_figures import DISCARDS, MethodFigures
from serfiq_core.evaluation.subjects import Photograph
from serfiq_core.loading import load_preparation, load_recogniser
from serfiq_core.measuring import measure
from serfiq_core.packs.pack import Pack, verify
from serfiq_core.recognition.recogniser import Recogniser
from serfiq_core.scoring.closed_form import ClosedForm
from serfiq_core.scoring.score import Sampled, mask_bank
from serfiq_core.types import AlignedFace

FMRS = (1e-3, 1e-4)
PASSES = (10, 100)
MANY_PASSES = 1000
"""At the lowest and the highest rate only: they cost ten milliseconds a face."""

WORKERS = 2
"""Photographs prepared at a time."""


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
    preparation = load_preparation(pack, wanted_inter_eye_distance_px(None), "central")
    scorer = Scorer(recognisers, rates)
    return photographs, measure(photographs, preparation, scorer, workers=WORKERS, cache=cache)


def print_settings(evaluation: Evaluation, sites: Sequence[str], rates: Sequence[float]) -> None:
    """Sites and rates down, passes across: the relative area up to 20 %."""
    for point in evaluation.points:
        norm = evaluation.of("norm", point.fmr)
        print(
            f"\nFMR {point.fmr:g}, {evaluation.mated_pairs:,} mated pairs, nothing discarded "
            f"{interval_of(point.fnmr, 4)}; norm: {interval_of(norm.areas[0].relative)}, "
            f"at 20 % {_at_a_fifth(norm)}\n"
        )
        passes = " | ".join(f"m = {m}" for m in (*PASSES, MANY_PASSES))
        print(f"| site | p | {passes} | closed form | FNMR at 20 % | minus norm |")
        print("|---" * 8 + "|")
        for site in sites:
            for rate in rates:
                print(f"| {' | '.join(_row(evaluation, point.fmr, site, rate))} |")


def _row(evaluation: Evaluation, fmr: float, site: str, rate: float) -> Iterator[str]:
    yield site
    yield f"{rate:g}"
    for passes in (*PASSES, MANY_PASSES):
        name = name_of(site, rate, passes)
        drawn = name in evaluation.spearman
        yield f"{evaluation.of(name, fmr).areas[0].relative.value:.2f}" if drawn else ""
    limit = evaluation.of(name_of(site, rate, None), fmr)
    yield interval_of(limit.areas[0].relative)
    yield _at_a_fifth(limit)
    yield interval_of(limit.areas[0].difference, 3)


def _at_a_fifth(figures: MethodFigures) -> str:
    return f"{figures.fnmr[DISCARDS.index(0.2)].value:.4f}"


def interval_of(found: Interval, digits: int = 2) -> str:
    value, low, high = (f"{each:.{digits}f}" for each in (found.value, found.low, found.high))
    return f"{value} [{low}, {high}]"


def main() -> None:
    arguments = parser(__doc__, "pack", "data", "cache")
    arguments.add_argument("--site", action="append")
    arguments.add_argument("--rate", action="append", type=float)
    options = arguments.parse_args()
    pack = pack_of(options.pack)
    verify(pack)
    rates = options.rate or [pack.manifest.recogniser.dropout_rate]
    recognisers = [at_site(pack, site) for site in options.site or [None]]
    _, test = halves_of_lfw(options.data)
    torch.set_num_threads(1)
    measured = measured_at(pack, recognisers, rates, test, options.cache)
    evaluation = evaluate_measured(*measured, FMRS).evaluation
    print_settings(evaluation, [site_of(recogniser) for recogniser in recognisers], rates)


if __name__ == "__main__":
    main()
