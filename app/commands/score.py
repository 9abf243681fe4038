"""`serfiq score`: photographs from files, scored with the same core as the service's.

One file that cannot be read does not keep the others from being scored.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands.options import (
    AllowUnsuitableOption,
    EstimatorOption,
    PackOption,
    PacksDirOption,
    settings_from,
)
from app.hints import hint
from app.loading import load_in_process
from serfiq_core.errors import CaptureError, UndecodableImageError
from serfiq_core.types import Assessment, PipelineInfo, Reason, Verdict

if TYPE_CHECKING:
    from app.schemas import Extra
    from serfiq_core.pipeline import Pipeline

EXIT_REJECTED = 1

VERDICT_STYLES: dict[Verdict, str] = {"accept": "green", "review": "yellow", "reject": "red"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file: an assessment, or why there is none."""

    path: Path
    result: Assessment | CaptureError

    @property
    def is_rejected(self) -> bool:
        """Whether the file was rejected, or could not be read at all."""
        return isinstance(self.result, CaptureError) or self.result.decision.verdict == "reject"


def score(
    files: Annotated[
        list[Path], typer.Argument(exists=True, dir_okay=False, help="JPEG, PNG, WebP or BMP.")
    ],
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON document per line instead of a table.")
    ] = False,
    aligned: Annotated[
        bool, typer.Option("--aligned", help="The files are aligned faces already, 112×112.")
    ] = False,
    components: Annotated[
        bool, typer.Option("--components", help="With --json: the components too.")
    ] = False,
    pack: PackOption = None,
    packs_dir: PacksDirOption = None,
    estimator: EstimatorOption = None,
    profile: Annotated[
        str | None,
        typer.Option("--profile", help="Limits to decide by, by name; the first when left out."),
    ] = None,
    allow_unsuitable: AllowUnsuitableOption = None,
) -> None:
    """Score photographs. Exit status 1 when any is rejected or cannot be read."""
    settings = settings_from(
        pack=pack, packs_dir=packs_dir, estimator=estimator, allow_unsuitable=allow_unsuitable
    )
    pipeline = load_in_process(settings)
    if profile is not None and profile not in pipeline.info.profiles:
        raise typer.BadParameter(f"--profile: there are {', '.join(pipeline.info.profiles)}")
    include: Sequence[Extra] = ("components",) if components else ()
    outcomes = _assess(pipeline, files, aligned, profile)
    shown = _print_lines(outcomes, pipeline.info, include) if as_json else _print_table(outcomes)
    if any(outcome.is_rejected for outcome in shown):
        raise typer.Exit(EXIT_REJECTED)


def _assess(
    pipeline: "Pipeline", paths: Iterable[Path], aligned: bool, profile: str | None
) -> Iterator[Outcome]:
    for path in paths:
        try:
            [assessment] = pipeline.assess([_read(path)], aligned=aligned, profile=profile)
            yield Outcome(path, assessment)
        except CaptureError as error:
            yield Outcome(path, error)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UndecodableImageError(f"the file cannot be read: {error.strerror}") from error


def _print_lines(
    outcomes: Iterable[Outcome], info: PipelineInfo, include: "Sequence[Extra]"
) -> list[Outcome]:
    """Each line as soon as it is known: whoever reads them need not wait for the last."""
    shown = []
    for outcome in outcomes:
        typer.echo(
            json.dumps({"file": str(outcome.path), **_document(outcome.result, info, include)})
        )
        shown.append(outcome)
    return shown


def _document(
    result: Assessment | CaptureError, info: PipelineInfo, include: "Sequence[Extra]"
) -> dict[str, Any]:
    """The fields of the service's answer, or of its problem document."""
    from app.problems import kind_of
    from app.schemas import QualityAnswer

    if isinstance(result, CaptureError):
        return {"error": {"code": kind_of(result).code, "detail": str(result)}}
    answer = QualityAnswer.of(result, info, include, request_id="", time=datetime.now(UTC))
    return answer.model_dump(
        mode="json",
        exclude_unset=True,
        # There was no request: no id of one is claimed.
        exclude={"request_id": True, "decision_record": {"request_id": True}},
    )


def _print_table(outcomes: Iterable[Outcome]) -> list[Outcome]:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("file", "quality_score", "raw_score", "decision", "reasons")
    table.columns[0].overflow = "fold"  # a name cut short cannot be found again
    shown = list(outcomes)
    for outcome in shown:
        cells, style = _cells(outcome.result)
        # A file's name may hold bytes that are no text, and brackets that rich takes for markup.
        name = str(outcome.path).encode("utf-8", "replace").decode()
        table.add_row(Text(name), *map(Text, cells[:2]), Text(cells[2], style), Text(cells[3]))
    Console().print(table)
    return shown


def _cells(result: Assessment | CaptureError) -> tuple[tuple[str, str, str, str], str]:
    """Quality score, raw score, decision and reasons; and the decision's style."""
    if isinstance(result, CaptureError):
        return ("–", "–", "unreadable", str(result)), VERDICT_STYLES["reject"]
    deciding, verdict = result.deciding_score, result.decision.verdict
    quality = "–" if result.quality_score is None else f"{result.quality_score:.1f}"
    raw = "–" if deciding is None else f"{deciding.raw_score:.4f}"
    reasons = "\n".join(map(_in_words, result.decision.reasons))
    return (quality, raw, verdict, reasons), VERDICT_STYLES[verdict]


def _in_words(reason: Reason) -> str:
    component = "" if reason.component is None else f" ({reason.component})"
    return f"{reason.code}{component}: {hint(reason.code, 'en')}"
