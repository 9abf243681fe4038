"""`serfiq train on-top`: dropout for recognisers that give embeddings and nothing else."""

from pathlib import Path
from typing import Annotated

import typer

from app.commands.options import EmbeddingsOption, between_0_and_1, require_extra, settings_from
from app.commands.progress import progress


def on_top(
    output: Annotated[Path, typer.Argument(dir_okay=False, help="File to write, .safetensors.")],
    embeddings: EmbeddingsOption,
    epochs: Annotated[int, typer.Option(min=1, help="The paper's is 100.")] = 100,
    batch_size: Annotated[int, typer.Option(min=1, help="The paper's is 1024.")] = 1024,
    dropout_rate: Annotated[
        float, typer.Option(callback=between_0_and_1, help="The paper's is 0.5.")
    ] = 0.5,
    seed: Annotated[
        int,
        typer.Option(
            min=0, max=2**63 - 1, help="Seed of the first weights, the order and the masks."
        ),
    ] = 0,
) -> None:
    """Train the paper's on-top network.

    On a recogniser's embeddings of known subjects.
    """
    if output.suffix != ".safetensors":
        raise typer.BadParameter(f"{output} must end in .safetensors")
    if not output.parent.is_dir():
        raise typer.BadParameter(f"there is no folder {output.parent}")
    require_extra("pyarrow")
    from serfiq_core.loading import choose_device
    from serfiq_core.recognition.on_top import write_on_top
    from serfiq_core.training.embeddings import read_embeddings
    from serfiq_core.training.on_top import OnTopRecipe, train

    table = read_embeddings(embeddings, with_subjects=True)
    recipe = OnTopRecipe(epochs, batch_size, dropout_rate, seed)
    device = choose_device(settings_from().device)
    with progress("epochs", epochs) as advance:
        trained = train(table.embeddings, table.subjects, recipe, device=device, advance=advance)
    about = {
        "photographs": str(trained.photographs),
        "subjects": str(trained.subjects),
        "epochs": str(epochs),
        "batch_size": str(batch_size),
        "seed": str(seed),
    }
    write_on_top(trained.head, output, about)
    typer.echo(
        f"{output}: trained on {trained.photographs:,} embeddings of {trained.subjects:,} "
        f"subjects, loss {trained.loss:.4f}"
    )
    left_out = len(table.paths) - trained.photographs
    if left_out:
        typer.echo(f"{left_out:,} were left out: the only ones of their subjects")
