"""Figures of a `compact` that `serfiq evaluate` does not give.

    python docs/figures/compact.py PACK DATA

Prints verification accuracy on LFW's official pairs, how the two estimators agree and among how many directions
scatter is shared, and what the six degradations do to the scores; all on the subjects that were kept out of
training. DATA holds `lfw/`.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from common import halves_of_lfw, pack_of, parser, pipeline_of

from serfiq_core.batches import BATCH, batched
from serfiq_core.checking import Climb, climb
from serfiq_core.evaluation.subjects import Photograph, read_rows
from serfiq_core.loading import load_preparation, load_recogniser
from serfiq_core.pipeline import Pipeline
from serfiq_core.recognition.recogniser import Recogniser
from serfiq_core.scoring.closed_form import ClosedForm
from serfiq_core.scoring.score import Sampled, mask_bank
from serfiq_core.suitability.criteria import Ladders, mean_rhos
from serfiq_core.training.faces import face_batches
from serfiq_core.training.scatter import breadth, directions
from serfiq_core.types import AlignedFace, DegradationKind

FOLDS = 10
DEALS = 100
LADDER_FACES = 200
SIGMA_FACES = 60
FEW_PASSES, MANY_PASSES = 100, 1000

Faces = dict[str, AlignedFace]
Values = npt.NDArray[np.float64]


def best_threshold(
    similarities: Values, mated: npt.NDArray[np.bool_], weights: Values
) -> tuple[float, float]:
    """The comparison threshold that judges most of the pairs rightly, and their share."""
    candidates = np.unique(similarities)
    right = (similarities >= candidates[:, None]) == mated
    shares = right @ weights / weights.sum()
    best = int(np.argmax(shares))
    return float(candidates[best]), float(shares[best])


def accuracy(similarities: Values, mated: npt.NDArray[np.bool_], deal: int = 0) -> float:
    """LFW's protocol: in each of ten folds by the comparison threshold that is best in the others.

    `deal`: seed of how the pairs are dealt into folds.
    """
    fold = np.random.default_rng(deal).permutation(len(mated)) % FOLDS
    right = 0
    for each in range(FOLDS):
        rest, tested = fold != each, fold == each
        best, _ = best_threshold(similarities[rest], mated[rest], np.ones(rest.sum()))
        right += int(((similarities[tested] >= best) == mated[tested]).sum())
    return right / len(mated)


def print_verification(pipeline: Pipeline, faces: Faces, pairs: Path) -> None:
    """On the pairs of which both photographs are among `faces`."""
    embeddings = {}
    for batch in batched(faces, BATCH):
        scores = pipeline.score([faces[name] for name in batch])
        embeddings |= {name: each.embedding for name, each in zip(batch, scores, strict=True)}
    rows = [
        row
        for _, row in read_rows(pairs, ("reference", "probe", "mated"))
        if row["reference"] in faces and row["probe"] in faces
    ]
    similarities = [float(embeddings[r["reference"]] @ embeddings[r["probe"]]) for r in rows]
    mated = np.array([row["mated"] == "1" for row in rows])
    values = np.array(similarities)
    shares = [accuracy(values, mated, deal) for deal in range(DEALS)]
    low, high = np.quantile(shares, (0.025, 0.975))
    print(
        f"verification: {shares[0]:.2%} of {len(rows)} official pairs, {mated.sum()} mated", end=""
    )
    print(f"; of {DEALS} deals into folds 95 % give {low:.2%} to {high:.2%}", end="; ")
    _, one = best_threshold(values, mated, np.ones(len(mated)))
    _, alike = best_threshold(values, mated, np.where(mated, 1 / mated.mean(), 1 / (~mated).mean()))
    print(
        f"by one comparison threshold {one:.2%}, mated and non-mated weighted alike {alike:.2%}\n"
    )


@torch.no_grad()
def print_scatter(recogniser: Recogniser, faces: Sequence[AlignedFace]) -> None:
    """Passes over the closed form, and how scatter is shared; `Σ` for the first few faces only."""
    head, rate = recogniser.head, recogniser.dropout_rate
    features = recogniser.features(torch.from_numpy(np.stack(faces)))
    closed = ClosedForm(head, rate)(features).mean_distance

    def over_closed(passes: int, seed: int) -> float:
        masks = mask_bank(passes, head.feature_count, rate, seed)
        return float((Sampled(head, masks)(features).mean_distance / closed).mean())

    seeds = [over_closed(FEW_PASSES, seed) for seed in range(5)]
    print(f"mean distance over the closed form: {over_closed(MANY_PASSES, 0):.4f}", end=" ")
    print(
        f"of {MANY_PASSES:,} passes; of {FEW_PASSES} {min(seeds):.3f} to {max(seeds):.3f}", end=""
    )
    print(f"; faces differ by {float(closed.std() / closed.mean()):.1%}")
    shares = features.square() * head.squared_column_norms
    features_of = breadth(shares)
    print(f"breadth {features_of.min():.0f} to {features_of.max():.0f} features", end="; ")
    some = features[:SIGMA_FACES].square()[:, None] * head.matrix
    found = directions(some @ head.matrix.T)
    print(f"directions {found.min():.0f} to {found.max():.0f}", end=", ")
    print(f"median {found.median():.0f} of {head.embedding_size}\n")


def print_degradations(climbed: Climb) -> None:
    """Within-face ρ, and the mean score at each severity."""
    print("| kind | ρ sampled | ρ closed form | mean raw score at severity 0 to 5, closed form |")
    print("|---|---|---|---|")
    sampled, closed = mean_rhos(climbed.sampled), mean_rhos(climbed.closed_form)
    for kind in sampled:
        cells = [
            f"{rho.mean:+.2f} [{rho.low:+.2f}, {rho.high:+.2f}]"
            for rho in (sampled[kind], closed[kind])
        ]
        means = _means(climbed.closed_form, kind)
        print(f"| {kind} | {' | '.join(cells)} | {', '.join(f'{mean:.3f}' for mean in means)} |")


def _means(ladders: Ladders, kind: DegradationKind) -> list[float]:
    return [float(ladders.clean.mean()), *ladders.degraded[kind].mean(0).tolist()]


def central_faces(photographs: Sequence[Photograph], pipeline_pack: str) -> Faces:
    """The subject's face of each photograph, by name."""
    preparation = load_preparation(pack_of(pipeline_pack), choice="central")
    return {
        photograph.name: face
        for batch, faces in face_batches(photographs, preparation, workers=1)
        for photograph, face in zip(batch, faces, strict=True)
    }


def main() -> None:
    options = parser(__doc__, "pack", "data").parse_args()
    faces = central_faces(halves_of_lfw(options.data)[1], options.pack)
    pipeline = pipeline_of(options.pack)
    print_verification(pipeline, faces, options.data / "lfw" / "pairs.csv")
    drawn = np.random.default_rng(0).choice(len(faces), LADDER_FACES, replace=False)
    every = list(faces.values())
    chosen = [every[place] for place in sorted(drawn)]
    print_scatter(load_recogniser(pack_of(options.pack)), chosen)
    print_degradations(climb(pipeline, chosen))


if __name__ == "__main__":
    main()
