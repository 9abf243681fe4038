"""`serfiq score-embeddings`: equation (1) for embeddings, with an on-top head."""

import csv
from pathlib import Path
from typing import Annotated

import typer

from app.commands.options import EmbeddingsOption, require_extra, settings_from
from serfiq_core.errors import TrainingError
from serfiq_core.evaluation.score_columns import RESERVED
from serfiq_core.types import FEWEST_PASSES, MOST_PASSES
from serfiq_core.whole_files import appearing_whole


def score_embeddings(
    head: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="From `serfiq train on-top`.")
    ],
    output: Annotated[
        Path, typer.Argument(dir_okay=False, help="CSV to write: path and score, no embedding.")
    ],
    embeddings: EmbeddingsOption,
    name: Annotated[str, typer.Option(help="Name of the column of scores.")] = "on_top",
    passes: Annotated[
        int | None,
        typer.Option(
            min=FEWEST_PASSES,
            max=MOST_PASSES,
            help="m of the sampled score. [env: SERFIQ_PASSES; default: 100]",
        ),
    ] = None,
) -> None:
    """Score embeddings.

    `serfiq evaluate --scores` takes what this writes.
    """
    if not name.isidentifier() or name in RESERVED:
        raise typer.BadParameter(f"--name: {name!r} cannot name a method: letters, digits and _")
    require_extra("pyarrow")
    import torch

    from serfiq_core.recognition.on_top import read_on_top
    from serfiq_core.scoring.score import Sampled, mask_bank
    from serfiq_core.training.embeddings import read_embeddings

    settings = settings_from(passes=passes)
    on_top = read_on_top(head)
    table = read_embeddings(embeddings, with_subjects=False)
    if table.embeddings.shape[1] != on_top.embedding_size:
        raise TrainingError(
            f"{embeddings} holds embeddings of {table.embeddings.shape[1]} values, "
            f"and {head} was trained on {on_top.embedding_size}"
        )
    bank = mask_bank(settings.passes, on_top.feature_count, on_top.dropout_rate, settings.seed)
    sampled = Sampled(on_top, bank, settings.convention)
    with torch.no_grad():
        scores = sampled(torch.from_numpy(table.embeddings)).raw_score.tolist()
    try:
        with (
            appearing_whole(output) as unfinished,
            unfinished.open("w", encoding="utf-8", newline="") as stream,
        ):
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(["path", name])
            writer.writerows(zip(table.paths, scores, strict=True))
    except OSError as error:
        raise TrainingError(f"{output} cannot be written: {error.strerror}") from error
    typer.echo(f"{output}: {len(scores):,} scores")
