"""What a score costs on top of an embedding, and what the authors' algorithm costs beside it."""

from collections.abc import Sequence

import torch
from torch import nn

from benchmarks.measure import Figure, interleaved_seconds, measured, ratio
from benchmarks.recognisers import RATE, iresnet_recogniser, random_faces
from serfiq_core.recognition.recogniser import Recogniser
from serfiq_core.scoring.closed_form import ClosedForm
from serfiq_core.scoring.score import PAPER_PASSES, Sampled, mask_bank
from serfiq_core.types import Precision

BATCH = 16
"""Of the overheads: what a busy service on two cores sends at once."""

MANY_PASSES = 1000

AUTHORS_IMAGES = 20
"""One after the other; a hundred copies of each take three seconds."""

BATCH_OF_OURS = 4
"""As many faces come together in a busy service: docs/benchmarks.md, "Waiting for company"."""


@torch.no_grad()
def overheads(
    name: str,
    recogniser: Recogniser,
    repetitions: int,
    *,
    sampled_at_most: float | None = None,
    closed_at_most: float | None = None,
    milliseconds_at_most: float | None = None,
) -> list[Figure]:
    """Backbone + head + score over the backbone alone; and what a face takes with a sampled score.

    Backbone and score are timed apart, in turn, and added: the difference of two long times would
    drown a short one.
    """
    faces = random_faces(BATCH)
    masks = mask_bank(PAPER_PASSES, recogniser.head.feature_count, RATE, 0)
    sampled = Sampled(recogniser.head, masks)
    closed_form = ClosedForm(recogniser.head, RATE)
    features = recogniser.features(faces)
    seconds = interleaved_seconds(
        {
            "backbone": lambda: recogniser.features(faces),
            "sampled": lambda: sampled(features),
            "closed": lambda: closed_form(features),
        },
        repetitions,
    )
    alone = seconds["backbone"]
    figures = [
        ratio(
            f"overhead_{kind}_{name}", "cpu", _added(alone, seconds[kind]), alone, at_most=at_most
        )
        for kind, at_most in (("sampled", sampled_at_most), ("closed", closed_at_most))
    ]
    each = [1000 * batch / BATCH for batch in _added(alone, seconds["sampled"])]
    return [
        *figures,
        measured(f"milliseconds_per_face_{name}", "cpu", each, at_most=milliseconds_at_most),
    ]


@torch.no_grad()
def growth_m1000(precision: Precision) -> list[Figure]:
    """Head and score of ten times as many passes, IResNet-50."""
    head = iresnet_recogniser(50, precision).head
    features = torch.rand(4, head.feature_count)
    few, many = (
        Sampled(head, mask_bank(passes, head.feature_count, RATE, 0))
        for passes in (PAPER_PASSES, MANY_PASSES)
    )
    seconds = interleaved_seconds(
        {"many": lambda: many(features), "few": lambda: few(features)}, 11
    )
    return [ratio("growth_m1000", "cpu", seconds["many"], seconds["few"], at_most=11)]


@torch.no_grad()
def speedup_over_authors_ir50(precision: Precision) -> list[Figure]:
    """The authors' algorithm, `m` copies through the whole network with dropout, per image.

    Their published code sends the copies of one image in one batch, image after image, and takes
    the mean over pairs. Ours takes several images in one batch, in turn with each single one of
    theirs: a tenth of a second beside three is soon a tenth more. Both run the same network in the
    same precision.
    """
    recogniser = iresnet_recogniser(50, precision)
    faces = random_faces(BATCH_OF_OURS)
    masks = mask_bank(PAPER_PASSES, recogniser.head.feature_count, RATE, 0)
    sampled = Sampled(recogniser.head, masks, "mean")

    def authors() -> None:
        copies = faces[0].expand(PAPER_PASSES, -1, -1, -1)
        dropped = nn.functional.dropout(recogniser.features(copies), RATE)
        embeddings = nn.functional.normalize(recogniser.head.embed(dropped))
        2 * torch.sigmoid(-torch.pdist(embeddings).mean())

    seconds = interleaved_seconds(
        {"authors": authors, "ours": lambda: sampled(recogniser.features(faces))}, AUTHORS_IMAGES
    )
    of_a_batch = [BATCH_OF_OURS * each for each in seconds["authors"]]
    figure = ratio("speedup_over_authors_ir50", "cpu", of_a_batch, seconds["ours"], at_least=75)
    return [figure]


def _added(left: Sequence[float], right: Sequence[float]) -> list[float]:
    return [a + b for a, b in zip(left, right, strict=True)]
