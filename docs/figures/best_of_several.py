"""The limit, what it flags, and how captures are best fused: tables as in docs/best-of-several.md.

    python docs/figures/best_of_several.py PACK DATA --all      # every subject
    python docs/figures/best_of_several.py PACK DATA            # those whom `serfiq train compact` keeps out

DATA holds `lfw/`. The photographs are those that `serfiq same-person` takes. The subjects kept out are 294 with
two or more, which is too few for less than 4 % of false alarms. The page has `compact` on these, and the
MobileFaceNet on every subject.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from common import halves_of_lfw, parser, photographs_of_lfw, pipeline_of

from serfiq_core.batches import BATCH, batched
from serfiq_core.errors import ConfigurationError
from serfiq_core.known_faces import MOST_EACH
from serfiq_core.one_subject.fusion import fuse
from serfiq_core.one_subject.same_person import KnownFaces, outcomes, same_person_cosine
from serfiq_core.pipeline import Pipeline
from serfiq_core.preparation.photographs import captures_with_face
from serfiq_core.types import AlignedFace

FALSE_ALARMS = (0.01, 0.02, 0.04, 0.05, 0.1)
SET_SIZES = (2, 3, 5)
FUSED = 3
FUSION_DRAWS = 10
"""Of four photographs from each subject."""
FMRS = (1e-2, 1e-3)

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Crowd:
    """Known faces, and how many were found in the photograph of each: `n`."""

    faces: KnownFaces
    found: npt.NDArray[np.int64]

    def alone(self) -> KnownFaces:
        """Those that were alone: what `serfiq same-person` takes."""
        chosen, faces = self.found == 1, self.faces
        return KnownFaces(
            faces.embeddings[chosen], faces.mean_distances[chosen], faces.subjects[chosen]
        )


def crowd_of(pipeline: Pipeline, data: Path, *, everybody: bool) -> Crowd:
    """The largest face of each photograph of subjects with two or more."""
    by_subject: dict[str, list[Path]] = defaultdict(list)
    for each in photographs_of_lfw(data) if everybody else halves_of_lfw(data)[1]:
        by_subject[each.subject].append(each.path)
    aligned: list[AlignedFace] = []
    subjects, found = [], []
    for subject, paths in by_subject.items():
        taken = sorted(paths)[:MOST_EACH] if len(paths) > 1 else []
        for _, capture, face in captures_with_face(pipeline, taken):
            aligned.append(face)
            subjects.append(subject)
            found.append(capture.faces_found)
    scores = [each for batch in batched(aligned, BATCH) for each in pipeline.score(batch)]
    embeddings = np.stack([each.embedding for each in scores]).astype(np.float64)
    distances = np.array([each.closed_form.mean_distance for each in scores])
    return Crowd(KnownFaces(embeddings, distances, np.array(subjects)), np.array(found))


def print_limits(crowd: Crowd) -> None:
    """For each share of false alarms the limit, and what it says of sets of captures."""
    faces = crowd.alone()
    print(f"{len(faces.subjects):,} photographs with one face", end=" ")
    print(f"of {len(faces.by_subject(2)):,} subjects with two or more\n")
    print(
        "| pairs below | limit | captures | sets | false alarms | intruders seen | just they flagged |"
    )
    print("|---|---|---|---|---|---|---|")
    for share in FALSE_ALARMS:
        try:
            limit = same_person_cosine(faces, share)
        except ConfigurationError as error:
            print(f"| {share:.0%} | refused: {error} | | | | | |")
            continue
        for size in SET_SIZES:
            seen = outcomes(faces, limit, size)
            shares = (seen.false_alarms, seen.intruders_seen, seen.intruders_named)
            cells = " | ".join(f"{each:.1%}" for each in shares)
            print(f"| {share:.0%} | {limit:.3f} | {size} | {seen.sets:,} | {cells} |")
        with_several = same_person_cosine(crowd.faces, share)
        print(f"| {share:.0%} | {with_several:.3f} where several faces are left in | | | | | |")


def print_fusion(faces: KnownFaces) -> None:
    """Three captures fused by each rule, held against a fourth of every subject."""
    rng = np.random.default_rng(0)
    subjects = faces.by_subject(FUSED + 1)
    draws = [
        [rng.choice(own, FUSED + 1, replace=False) for own in subjects] for _ in range(FUSION_DRAWS)
    ]
    print(f"\n{len(subjects)} subjects with {FUSED + 1} or more, each drawn {FUSION_DRAWS} times\n")
    print("| fused by | d′ |", " | ".join(f"FNMR at FMR {fmr:g}" for fmr in FMRS), "|")
    print("|---" * (2 + len(FMRS)) + "|")
    for rule in ("the best alone", "equal weights", 1, 2, 4, 8):
        compared = [_compared(faces, draw, rule) for draw in draws]
        mated = np.concatenate([np.diag(each) for each in compared])
        non_mated = np.concatenate([each[~np.eye(len(each), dtype=bool)] for each in compared])
        apart = (mated.mean() - non_mated.mean()) / np.sqrt((mated.var() + non_mated.var()) / 2)
        misses = [(mated <= np.quantile(non_mated, 1 - fmr)).mean() for fmr in FMRS]
        name = rule if isinstance(rule, str) else f"1/D^{rule}"
        print(f"| {name} | {apart:.1f} |", " | ".join(f"{miss:.2%}" for miss in misses), "|")


def _compared(faces: KnownFaces, draw: Sequence[npt.NDArray[np.intp]], rule: str | int) -> Floats:
    """Cosines of each subject's fused captures (rows) with each subject's last (columns)."""
    fused = []
    for chosen in draw:
        distances = faces.mean_distances[chosen[:FUSED]]
        embedding = fuse(faces.embeddings[chosen[:FUSED]], _weights(distances, rule))
        assert embedding is not None
        fused.append(embedding)
    held_against = faces.embeddings[[chosen[FUSED] for chosen in draw]]
    return np.asarray(np.stack(fused) @ held_against.T)


def _weights(distances: Floats, rule: str | int) -> Floats:
    if rule == "the best alone":
        return (np.arange(len(distances)) == distances.argmin()).astype(float)
    power = 0 if isinstance(rule, str) else rule
    return np.power(distances, -power, dtype=np.float64)


def main() -> None:
    arguments = parser(__doc__, "pack", "data")
    arguments.add_argument("--all", action="store_true", help="every subject")
    options = arguments.parse_args()
    crowd = crowd_of(pipeline_of(options.pack), options.data, everybody=options.all)
    print_limits(crowd)
    print_fusion(crowd.alone())


if __name__ == "__main__":
    main()
