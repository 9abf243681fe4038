"""Options that several commands share, and how they become settings.

A setting comes from its option, or else from its environment variable `SERFIQ_…`, the same that the
service reads: in one environment the command line and the service give the same scores.
"""

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from serfiq_core.errors import ConfigurationError
from serfiq_core.types import Estimator, FaceChoice

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from app.settings import Settings

PackOption = Annotated[
    str | None,
    typer.Option("--pack", help="Pack to use, by name. [env: SERFIQ_PACK; default: compact]"),
]
PacksDirOption = Annotated[
    Path | None,
    typer.Option(
        "--packs-dir",
        file_okay=False,
        help="Where installed packs lie. [env: SERFIQ_PACKS_DIR; default: ~/.local/share/…]",
    ),
]
VersionOption = Annotated[str, typer.Option(help="Version of the new pack; recorded in it.")]
LicenceOption = Annotated[str, typer.Option(help="Licence of the new pack; recorded in it.")]
LicenceSourceOption = Annotated[
    str, typer.Option(help="Where the licence can be read; recorded in the pack.")
]
EstimatorOption = Annotated[
    Estimator | None,
    typer.Option(
        "--estimator",
        help="Estimator whose score decides. [env: SERFIQ_ESTIMATOR; default: sampled]",
    ),
]
AllowUnsuitableOption = Annotated[
    bool | None,
    typer.Option(
        "--allow-unsuitable",
        help="Use a pack that failed `serfiq packs check`. [env: SERFIQ_ALLOW_UNSUITABLE]",
    ),
]
RootOption = Annotated[
    Path | None,
    typer.Option(
        exists=True,
        file_okay=False,
        help="Folder that the CSV's paths are relative to. Left out: the CSV's own.",
    ),
]
FaceOption = Annotated[
    FaceChoice,
    typer.Option(
        help="Which of several faces in a photograph is the subject's: the largest, which the "
        "service takes, or the one nearest the middle."
    ),
]
EmbeddingsOption = Annotated[
    Path,
    typer.Option(
        "--embeddings",
        exists=True,
        dir_okay=False,
        help="Parquet of path, subject and embedding. Embeddings are biometric data: keep the file "
        "where nobody else can read it, and delete it when it is no longer needed.",
    ),
]


def between_0_and_1(value: float | None) -> float | None:
    """Callback of options that lie between 0 and 1, the ends excluded, where they are given.

    Raises:
        typer.BadParameter: one does not.
    """
    if value is not None and not 0 < value < 1:
        raise typer.BadParameter(f"must lie between 0 and 1, not {value:g}")
    return value


def settings_from(**given: Any) -> "Settings":
    """The settings of the environment, with those options on top that were given.

    Raises:
        typer.BadParameter: a value is out of range; names the setting, and shows it, unless it is
            a key.
    """
    from pydantic import ValidationError

    from app.settings import Settings

    options = {name: value for name, value in given.items() if value is not None}
    try:
        return Settings(**options)
    except ValidationError as error:
        complaints = [_complaint(each, options) for each in error.errors()]
        raise typer.BadParameter("; ".join(complaints)) from error


def _complaint(error: "ErrorDetails", options: Mapping[str, Any]) -> str:
    """`SERFIQ_PORT='http': …`, or `port=65536: …` where an option brought it."""
    field = str(error["loc"][0])
    name = field if field in options else f"SERFIQ_{field.upper()}"
    value = "" if field == "api_keys" else f"={error['input']!r}"
    return f"{name}{value}: {error['msg']}"


def packs_dir_from(option: Path | None) -> Path:
    """The folder of installed packs."""
    from serfiq_core.packs.registry import default_packs_dir

    return settings_from(packs_dir=option).packs_dir or default_packs_dir()


def require_extra(*packages: str) -> None:
    """Refuses to begin without packages that come with the extra `evaluate`.

    Raises:
        ConfigurationError: one of them is not installed; says how they are.
    """
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigurationError(
            f"this needs {', '.join(missing)}: run `make evaluate` in the checkout, or "
            "`pip install --constraint constraints.txt --editable '.[evaluate]'`"
        )
