"""What the authors' map gives, and a worked example of targets: figures as in docs/calibration.md.

    python docs/figures/calibration.py PACK DATA            # those whom `serfiq train compact` keeps out
    python docs/figures/calibration.py PACK DATA --all      # every subject

The targets are those of `serfiq calibrate --target`, and so are the answers. A pack without a calibration is
given percentiles of these very photographs. DATA holds `lfw/`.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from common import halves_of_lfw, pack_of, parser, photographs_of_lfw, pipeline_of

from app.commands.quality_threshold import Found, summary
from serfiq_core.batches import BATCH, batched
from serfiq_core.calibration.calibration import AuthorsMap, percentiles
from serfiq_core.errors import InsufficientDataError
from serfiq_core.evaluation.discarding import Evidence
from serfiq_core.evaluation.subjects import Photograph, subject_labels
from serfiq_core.evaluation.targets import Target, find_quality_threshold
from serfiq_core.loading import load_calibration
from serfiq_core.pipeline import Pipeline
from serfiq_core.preparation.photographs import captures_with_face
from serfiq_core.types import Score

FMR = 1e-3
TARGETS = (
    Target("fnmr", 0.08, FMR),
    Target("fnmr", 0.05, FMR),
    Target("fnmr", 0.03, FMR),
    Target("fnmr", 0.01, FMR),
    Target("fnmr", 0.002, FMR),
    Target("reject", 0.05, FMR),
    Target("reject", 0.2, FMR),
)
MOST_EACH = 10


@dataclass(frozen=True)
class Scored:
    """A photograph that shows a face, and what the recogniser says of it.

    `closed_form` and `decides`: `2σ(−D)`, which every map is defined on, of the closed form and of
    the estimator that decides.
    """

    photograph: Photograph
    embedding: npt.NDArray[np.float32]
    closed_form: float
    decides: float


def scored(pipeline: Pipeline, photographs: Sequence[Photograph]) -> list[Scored]:
    """All that show a face."""
    by_path = {each.path: each for each in photographs}
    faces = [(by_path[path], face) for path, _, face in captures_with_face(pipeline, by_path)]
    sampled = pipeline.info.estimator == "sampled"
    found = []
    for batch in batched(faces, BATCH):
        answers = pipeline.score([face for _, face in batch])
        for (photograph, _), scores in zip(batch, answers, strict=True):
            closed_form = _limit(scores.closed_form)
            decides = _limit(scores.sampled) if sampled else closed_form
            found.append(Scored(photograph, scores.embedding, closed_form, decides))
    return found


def _limit(score: Score) -> float:
    return float(2 / (1 + np.exp(score.mean_distance)))


def print_authors_map(found: Sequence[Scored]) -> None:
    """Percentiles of what the authors' map makes of the faces."""
    values = [AuthorsMap().quality_score(each.closed_form) for each in found]
    low, middle, high, highest = np.percentile(values, [5, 50, 95, 100])
    print(f"authors' map on {len(found):,} photographs:", end=" ")
    print(f"5 % {low:.2g}, median {middle:.2g}, 95 % {high:.2g}, highest {highest:.2g}\n")


def print_answers(pipeline: Pipeline, evidence: Evidence, targets: Sequence[Target]) -> None:
    """As the command prints them; refusals too."""
    for target in targets:
        print(f"## {target.kind}={target.rate:g}")
        try:
            found = Found(find_quality_threshold(evidence, target), pipeline.info, 0)
            print("\n".join(summary(found)), "\n")
        except InsufficientDataError as error:
            print(f"refused: {error}\n")


def main() -> None:
    arguments = parser(__doc__, "pack", "data")
    arguments.add_argument("--all", action="store_true", help="every subject")
    arguments.add_argument("--estimator", choices=("sampled", "closed_form"), default="sampled")
    options = arguments.parse_args()
    pipeline = pipeline_of(options.pack, estimator=options.estimator)
    photographs = (
        photographs_of_lfw(options.data) if options.all else halves_of_lfw(options.data)[1]
    )
    found = scored(pipeline, photographs)
    print_authors_map(found)

    several = {name for name, count in _photographs_of(photographs).items() if count > 1}
    found = [each for each in found if each.photograph.subject in several]
    few = _at_most(found, MOST_EACH)
    calibration = load_calibration(pack_of(options.pack))
    score_map = (
        percentiles("these", [each.closed_form for each in few])
        if calibration is None
        else calibration
    )

    def evidence(faces: Sequence[Scored]) -> Evidence:
        return Evidence(
            np.stack([each.embedding for each in faces]),
            subject_labels([each.photograph for each in faces]),
            np.array([score_map.quality_score(each.decides) for each in faces]),
        )

    print(f"# At most {MOST_EACH} photographs of each subject\n")
    print_answers(pipeline, evidence(few), TARGETS)
    print("# All of them\n")
    print_answers(pipeline, evidence(found), TARGETS[2:3])


def _photographs_of(photographs: Sequence[Photograph]) -> Counter[str]:
    return Counter(each.subject for each in photographs)


def _at_most(found: Sequence[Scored], most: int) -> list[Scored]:
    """The first so many of each subject."""
    seen: Counter[str] = Counter()
    kept = []
    for each in found:
        seen[each.photograph.subject] += 1
        if seen[each.photograph.subject] <= most:
            kept.append(each)
    return kept


if __name__ == "__main__":
    main()
