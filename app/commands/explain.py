"""`serfiq explain`: a decision repeated from its record, and what agrees and what does not."""

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands.options import PacksDirOption, settings_from
from app.loading import load_in_process
from serfiq_core.errors import RecordError

if TYPE_CHECKING:
    from app.decision_record import DecisionRecord
    from app.record_comparison import Finding, RecordComparison, Topic
    from app.settings import Settings

EXIT_DISAGREES = 1

STANDARD_INPUT = Path("-")

LARGEST_RECORD_BYTES = 16 * 1024 * 1024
"""Of an answer with everything included; anything longer is another file."""

EXPLANATIONS: dict["Topic", str] = {
    "photograph": "this is not the file that was assessed",
    "pack": "the pack of this name is another one here",
    "calibration": "the calibration is another one here",
    "profile": "the profile of this name is another one here",
    "settings": "the settings could not be taken over",
    "outcome": "the outcome is another one",
    "detector": "the detector looks for other faces here",
    "software": "the software is another version",
    "device": "the device computes otherwise",
}


def explain(
    record: Annotated[
        Path,
        typer.Argument(
            help="An answer, or the decision record of one; - reads standard input.",
        ),
    ],
    image: Annotated[
        Path, typer.Option("--image", exists=True, dir_okay=False, help="The photograph.")
    ],
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON document instead of text.")
    ] = False,
    packs_dir: PacksDirOption = None,
) -> None:
    """Repeat a decision from its record. Exit status 1 when record and repetition disagree."""
    from app.decision_record import read_record
    from app.record_comparison import compare_records

    recorded = read_record(_read_text(record))
    repeated = _repeat(recorded, image, _settings(recorded, packs_dir))
    comparison = compare_records(recorded, repeated)
    if as_json:
        typer.echo(json.dumps(_document(comparison)))
    else:
        typer.echo("\n".join(_lines(recorded, comparison)))
    if comparison.agreement == "none":
        raise typer.Exit(EXIT_DISAGREES)


def _read_text(path: Path) -> str:
    try:
        stream = sys.stdin.buffer if path == STANDARD_INPUT else path.open("rb")
        with stream:
            content = stream.read(LARGEST_RECORD_BYTES + 1)
        if len(content) > LARGEST_RECORD_BYTES:
            raise RecordError(f"{path}: longer than any record")
        return content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise RecordError(f"{path}: cannot be read: {error}") from error


def _settings(recorded: "DecisionRecord", packs_dir: Path | None) -> "Settings":
    """Those of the environment, under what the record says."""
    return settings_from(
        packs_dir=packs_dir,
        pack=recorded.pack,
        estimator=recorded.estimator,
        convention=recorded.convention,
        passes=recorded.passes,
        seed=recorded.seed,
    )


def _repeat(recorded: "DecisionRecord", image: Path, settings: "Settings") -> "DecisionRecord":
    from app.decision_record import DecisionRecord
    from serfiq_core.decisions.profiles import EMBEDDED_PROFILES, read_profiles
    from serfiq_core.loading import choose_device
    from serfiq_core.repeating import repeat

    on_gpu = choose_device(settings.device).type == "cuda"
    # float16 is for GPUs. Where there is none the device is another, and the comparison says so.
    precision = "float32" if recorded.precision == "float16" and not on_gpu else recorded.precision
    # It decides nothing here, but faces were not looked for on its behalf.
    shadow = settings.shadow_profile
    if shadow not in read_profiles(settings.profiles_path or EMBEDDED_PROFILES):
        shadow = None
    taken = {"precision": precision, "shadow_profile": shadow}
    pipeline = load_in_process(settings.model_copy(update=taken))
    if recorded.profile not in pipeline.info.profiles:
        raise RecordError(
            f"the profile of the record, {recorded.profile!r}, is not among those here: "
            f"{', '.join(pipeline.info.profiles)}; SERFIQ_PROFILES_PATH names other ones"
        )
    try:
        data = image.read_bytes()
    except OSError as error:
        raise RecordError(f"{image}: cannot be read: {error.strerror}") from error
    assessment = repeat(
        pipeline,
        data,
        aligned=recorded.aligned,
        scored_in=recorded.scored_in,
        estimator=recorded.estimator,
        profile=recorded.profile,
    )
    return DecisionRecord.of(assessment, pipeline.info, None, datetime.now(UTC))


def _document(comparison: "RecordComparison") -> dict[str, Any]:
    return {
        "agreement": comparison.agreement,
        "same_machine": comparison.same_machine,
        "findings": [
            {
                "topic": finding.topic,
                "field": finding.field,
                "agreement": finding.agreement,
                "recorded": _plain(finding.recorded),
                "repeated": _plain(finding.repeated),
            }
            for finding in comparison.findings
        ],
    }


def _lines(recorded: "DecisionRecord", comparison: "RecordComparison") -> Iterator[str]:
    from app.record_comparison import FIELDS

    request = "" if recorded.request_id is None else f", request {recorded.request_id}"
    yield f"decision of {recorded.time:%Y-%m-%d %H:%M:%S %Z}{request}: {recorded.verdict}"
    for topic in FIELDS:
        differing = comparison.of(topic)
        if not differing:
            yield f"  {topic:<12} the same"
            continue
        close = all(finding.agreement == "close" for finding in differing)
        summary = "the same within the tolerance" if close else EXPLANATIONS[topic]
        yield f"  {topic:<12} {summary}"
        yield from (f"    {_difference(finding)}" for finding in differing)
    yield _verdict(comparison)


def _difference(finding: "Finding") -> str:
    """Of objects only the members that differ."""
    before, now = _plain(finding.recorded), _plain(finding.repeated)
    if isinstance(before, dict) and isinstance(now, dict):
        names = sorted(n for n in before.keys() | now.keys() if before.get(n) != now.get(n))
        before, now = ({n: side[n] for n in names if n in side} for side in (before, now))
    return f"{finding.field}: recorded {json.dumps(before)}, here {json.dumps(now)}"


def _verdict(comparison: "RecordComparison") -> str:
    from app.record_comparison import SCORE_TOLERANCE

    expected = "bit for bit" if comparison.same_machine else f"to {SCORE_TOLERANCE:g}"
    match comparison.agreement:
        case "exact":
            return "agrees, bit for bit"
        case "close":
            return f"agrees, to {SCORE_TOLERANCE:g} (expected here: {expected})"
    topics = comparison.disagreeing_topics
    if topics == ("outcome",):
        return f"disagrees in the outcome alone (expected here: agreement {expected})"
    return f"disagrees: {', '.join(topics)}"


def _plain(value: Any) -> Any:
    """As JSON has it."""
    if isinstance(value, list):
        return [each.model_dump() for each in value]
    return value
