"""The embedding norm and the score: what one says that the other does not, and what both together say.

    python docs/figures/evaluation_norm.py PACK DATA CACHE [--site TENSOR …]

Prints the figures of "The norm and the score" in docs/evaluation.md: of both on all subjects of LFW, and of
combinations, chosen on the train subjects, on the test subjects. With `n` the squared norm and `v = Σ f_k²‖w_k‖²`, the score in closed form
at order 0 ranks by `n/v`, and the combinations tried by `n/v^γ`. Arguments as for evaluation_dropout.py.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from common import halves_of_lfw, pack_of, parser
from evaluation_dropout import (
    FMRS,
    Half,
    at_site,
    interval_of,
    measured_at,
    site_of,
)

from serfiq_core.correlation import spearman
from serfiq_core.decisions.profiles import wanted_inter_eye_distance_px
from serfiq_core.evaluating import evaluate_measured
from serfiq_core.evaluation.edc import pair_minima
from serfiq_core.evaluation.error_rates import (
    all_non_mated,
    comparison_threshold,
    mated_pairs,
    similarities,
)
from serfiq_core.evaluation.figures import Evaluation
from serfiq_core.evaluation.measurements import faces_of
from serfiq_core.evaluation.method_figures import DISCARDS
from serfiq_core.evaluation.subjects import Photograph, subject_labels
from serfiq_core.loading import load_preparation
from serfiq_core.packs.pack import Pack, verify
from serfiq_core.recognition.recogniser import Recogniser
from serfiq_core.suitability.criteria import within_face_rho
from serfiq_core.suitability.degradations import KINDS, SEVERITIES, degrade
from serfiq_core.types import AlignedFace

EXPONENTS = (-16, -12, -8, -6, -4, -3, -2, -1, -0.5, 0, 0.5, 1, 2, 4)
"""`γ` that are tried."""

ENDS = {"norm": 0.0, "score": 1.0}

DEGRADED = 80
"""Faces, each in six kinds and five severities."""


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


def print_spreads(both: Half, site: str) -> None:
    """How much `n` and `v` differ from face to face, and how they are ranked."""
    _, measured = both
    faces = [each.scores for each in measured if not isinstance(each, str)]
    n = np.array([scores["norm"] ** 2 for scores in faces])
    v = np.array([scores[f"noise {site}"] for scores in faces])
    of_n, of_v = np.log(n).std(), np.log(v).std()
    print(f"\n{site}: standard deviation of ln n {of_n:.3f}, of ln v {of_v:.3f}.")
    print(f"Spearman of n with v {spearman(n, v):+.3f}, of n with n/v {spearman(n, n / v):+.4f}.")


@torch.no_grad()
def print_degraded(recogniser: Recogniser, faces: Sequence[AlignedFace]) -> None:
    """What degrading faces does to `n`, `v` and `n/v`: Spearman of severity with them, within a face."""
    found = []
    for seed, face in enumerate(faces):
        worse = [degrade(face, kind, severity, seed) for kind in KINDS for severity in SEVERITIES]
        features = recogniser.features(torch.from_numpy(np.stack([face, *worse])))
        n = recogniser.head.embed(features).square().sum(1)
        v = features.square() @ recogniser.head.squared_column_norms
        found.append(torch.stack([n, v, n / v]).log().double().numpy())
    logarithms = np.stack(found, axis=1)  # 3 × faces × 31
    for place, kind in enumerate(KINDS):
        of_kind = slice(1 + place * len(SEVERITIES), 1 + (place + 1) * len(SEVERITIES))
        ladders = np.concatenate([logarithms[:, :, :1], logarithms[:, :, of_kind]], axis=2)
        rhos = [float(within_face_rho(ladder).mean()) for ladder in ladders]
        falls = (ladders[:, :, -1] - ladders[:, :, 0]).mean(1)
        print(
            f"{kind}: Spearman with n {rhos[0]:.2f}, v {rhos[1]:.2f}, n/v {rhos[2]:.2f}; at the worst "
            f"ln n moves by {falls[0]:.2f}, ln v by {falls[1]:.2f}"
        )


def print_errors(both: Half, site: str, fmr: float) -> None:
    """Which mated pairs that fail are discarded with the first fifth, by norm and by score."""
    photographs, measured = both
    places, faces = faces_of(measured)
    shown = [photographs[place] for place in places]
    subjects = subject_labels(shown)
    embeddings = np.stack([face.embedding for face in faces])
    pairs = mated_pairs(subjects)
    limit = comparison_threshold(all_non_mated(embeddings, subjects, fmr), fmr)
    fails = similarities(embeddings, pairs) < limit
    gone = []
    for name in ("norm", "score"):
        ratio = [ratios(face.scores, site, ENDS)[name] for face in faces]
        minima = pair_minima(np.array(ratio), pairs)
        first = np.argsort(minima, kind="stable")[: len(pairs) // 5]
        gone.append(np.isin(np.arange(len(pairs)), first) & fails)
    norm, score = gone
    print(
        f"Of {fails.sum()} pairs that fail at FMR {fmr:g}, a fifth of all discarded by both takes "
        f"{(norm & score).sum()}, by the norm alone {(norm & ~score).sum()}, by the score alone "
        f"{(score & ~norm).sum()}."
    )


def print_combination(train: Half, test: Half, site: str, fmr: float) -> None:
    """Choose `γ` on the train subjects, and hold it against the norm on the others."""
    tried = evaluated(train, site, {f"{each:g}": each for each in EXPONENTS}, fmr)
    best = min(EXPONENTS, key=lambda each: tried.of(f"{each:g}", fmr).areas[0].relative.value)
    exponents = {**ENDS, f"chosen, γ = {best:g}": best}
    print_table(evaluated(test, site, exponents, fmr), fmr, exponents)


def print_table(found: Evaluation, fmr: float, names: Iterable[str]) -> None:
    """Methods down, figures across; what they are less than the norm in the same draws of subjects."""
    pairs, start = f"{found.mated_pairs:,} mated pairs", interval_of(found.points[0].fnmr, 4)
    print(f"\nFMR {fmr:g}, {pairs}, nothing discarded {start}\n")
    print("| method | 20 % | to 20 % | to 50 % | minus norm | to 50 % | Spearman |")
    print("|---" * 7 + "|")
    for name in names:
        figures = found.of(name, fmr)
        cells = [f"{figures.fnmr[DISCARDS.index(0.2)].value:.4f}"]
        cells += [interval_of(area.relative) for area in figures.areas]
        cells += [interval_of(area.difference, 3) for area in figures.areas]
        print(f"| {name} | {' | '.join(cells)} | {found.spearman[name]:.3f} |")


def some_faces(pack: Pack, photographs: Sequence[Photograph]) -> list[AlignedFace]:
    """The faces of `DEGRADED` photographs, evenly spread."""
    preparation = load_preparation(pack, wanted_inter_eye_distance_px(None), "central")
    chosen = photographs[:: max(len(photographs) // DEGRADED, 1)][:DEGRADED]
    prepared = [preparation.prepare(each.path.read_bytes()).aligned for each in chosen]
    return [aligned for aligned in prepared if aligned is not None]


def main() -> None:
    arguments = parser(__doc__, "pack", "data", "cache")
    arguments.add_argument("--site", action="append")
    options = arguments.parse_args()
    pack = pack_of(options.pack)
    verify(pack)
    recognisers = [at_site(pack, site) for site in options.site or [None]]
    torch.set_num_threads(1)
    train, test = (
        measured_at(pack, recognisers, (), photographs, options.cache)
        for photographs in halves_of_lfw(options.data)
    )
    both = ((*train[0], *test[0]), (*train[1], *test[1]))
    faces = some_faces(pack, test[0])
    for recogniser in recognisers:
        site = site_of(recogniser)
        print_spreads(both, site)
        print_degraded(recogniser, faces)
        for fmr in FMRS:
            print_errors(both, site, fmr)
            print("\nAll subjects:")
            print_table(evaluated(both, site, ENDS, fmr), fmr, ENDS)
            print("\nTest subjects:")
            print_combination(train, test, site, fmr)


if __name__ == "__main__":
    main()
