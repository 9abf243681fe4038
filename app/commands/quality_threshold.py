"""The answer of `serfiq calibrate --manifest`: which `quality_threshold` reaches a target."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import typer

from app.commands.progress import say_skipped
from app.loading import load_in_process
from serfiq_core.errors import EvaluationError

if TYPE_CHECKING:
    from app.settings import Settings
    from serfiq_core.evaluation.bootstrap import Interval
    from serfiq_core.evaluation.targets import Answer, Target
    from serfiq_core.types import PipelineInfo


@dataclass(frozen=True, slots=True)
class Found:
    """An answer, what it was found with, and how many photographs said nothing."""

    answer: "Answer"
    info: "PipelineInfo"
    left_out: int


def find(settings: "Settings", manifest: Path, root: Path | None, target: "Target") -> Found:
    """Assess the photographs of a manifest with a pack, and find the `quality_threshold`.

    Args:
        settings: name the pack and the estimator that decides.
        manifest: CSV, `path,subject`.
        root: what its paths are relative to; its own folder when None.
        target: what is to be reached.

    Raises:
        EvaluationError: the manifest is wrong, or the data cannot support an answer.
    """
    from serfiq_core.calibrating import gather_evidence
    from serfiq_core.evaluation.subjects import read_photographs, subject_labels
    from serfiq_core.evaluation.targets import check_labels, find_quality_threshold

    photographs = read_photographs(manifest, root, compared=target.fmr is not None)
    check_labels(subject_labels(photographs), target)  # before the work: faces are no more
    pipeline = load_in_process(settings)
    evidence = gather_evidence(pipeline, photographs, skipped=say_skipped)
    left_out = len(photographs) - len(evidence.subjects)
    return Found(find_quality_threshold(evidence, target), pipeline.info, left_out)


def parse_target(text: str, fmr: float | None) -> "Target":
    """`fnmr=0.01` or `reject=0.05`, with the FMR that FNMR is counted at.

    Raises:
        typer.BadParameter: it is neither, a rate is out of range, or the FMR is missing.
    """
    from serfiq_core.evaluation.targets import Target

    kind, _, rate = text.partition("=")
    try:
        if kind not in ("fnmr", "reject"):
            raise ValueError(kind)
        if kind == "fnmr" and fmr is None:
            raise typer.BadParameter("an FNMR is counted at an FMR: name it with --at-fmr")
        return Target(cast(Literal["fnmr", "reject"], kind), float(rate), fmr)
    except ValueError as error:
        message = f"a target is fnmr=RATE or reject=RATE, not {text!r}"
        raise typer.BadParameter(message) from error
    except EvaluationError as error:
        raise typer.BadParameter(str(error)) from error


def as_document(found: Found) -> str:
    """The answer as JSON: all its figures, and what they depend on."""
    info = found.info
    document: dict[str, Any] = {
        "pack": info.pack,
        "pack_checksum": info.pack_checksum,
        "calibration": info.calibration,
        "estimator": info.estimator,
        "left_out": found.left_out,
        **asdict(found.answer, dict_factory=_object),
    }
    return json.dumps(document)


def _object(fields: list[tuple[str, Any]]) -> dict[str, Any]:
    """A dataclass; the ends of an interval are an object of their own, beside the value."""
    found = dict(fields)
    if found.keys() != {"value", "low", "high"}:
        return found
    return {"value": found.pop("value"), "interval": found}


def summary(found: Found) -> Iterator[str]:
    """The answer for people, line by line; it ends with what to write into `profiles.toml`."""
    answer, info, rates = found.answer, found.info, found.answer.error_rates
    yield (
        f"{answer.photographs:,} photographs of {answer.subjects:,} subjects; "
        f"{found.left_out:,} more could not be used"
    )
    yield f"{info.pack}, calibration {info.calibration}, {info.estimator}"
    if rates is not None:
        yield (
            f"{rates.mated_pairs:,} mated pairs ({rates.largest_subject:.1%} of one subject), "
            f"{rates.non_mated_pairs:,} non-mated pairs"
        )
        yield f"comparison_threshold  {rates.comparison_threshold:.4f} at FMR {rates.fmr:g}"
        yield f"FNMR before           {_rate(rates.fnmr_before)}"
        yield f"FNMR after            {_rate(rates.fnmr_after)}"
        yield f"  only one gated      {_rate(rates.fnmr_after_one_gated)}"
        yield f"pairs discarded       {rates.discarded:.1%}"
    yield f"photographs rejected  {_share(answer.rejected)}"
    threshold = answer.quality_threshold
    low, high = _exact(threshold.low), _exact(threshold.high)
    yield f"quality_threshold     {_exact(threshold.value)} [{low}, {high}]"
    yield f"In brackets: 95 % of {answer.resamples:,} resamples of the subjects."
    yield ""
    if threshold.value == 0:
        yield "The target is met without rejecting anything for its quality_score."
    yield f"Write into the profile, and change its version:  accept_at = {_exact(threshold.value)}"
    # More errors than asked for come from too low a threshold, more rejections from too high a one.
    safe = threshold.high if answer.target.kind == "fnmr" else threshold.low
    if safe != threshold.value:
        yield f"To be on the safe side:                          accept_at = {_exact(safe)}"


def _exact(quality_threshold: float) -> str:
    """All its digits: a rounded one would not reject the same photographs."""
    return repr(quality_threshold).removesuffix(".0")


def _rate(found: "Interval") -> str:
    return f"{found.value:.4f} [{found.low:.4f}, {found.high:.4f}]"


def _share(found: "Interval") -> str:
    return f"{found.value:.1%} [{found.low:.1%}, {found.high:.1%}]"
