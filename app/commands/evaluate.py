"""`serfiq evaluate`: what the scores are worth on one's own recogniser and photographs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

import typer

from app.commands.evaluate_options import (
    CacheOption,
    FailIfOption,
    FmrOption,
    NonMatedOption,
    OutputArgument,
    PairsOption,
    PassesOption,
    PhotographsArgument,
    ScoresOption,
    SeedOption,
    TestSubjectsOption,
    ThumbnailsOption,
)
from app.commands.labelled_photographs import read_and_tell
from app.commands.measuring import Measuring
from app.commands.options import (
    FaceOption,
    PackOption,
    PacksDirOption,
    RootOption,
    require_extra,
    settings_from,
)
from app.commands.progress import progress
from app.loading import pack_of
from serfiq_core.errors import EvaluationError, SerfiqError
from serfiq_core.whole_files import appearing_together

if TYPE_CHECKING:
    from serfiq_core.evaluating import Result
    from serfiq_core.evaluation.edc import Values
    from serfiq_core.evaluation.gate import Gate
    from serfiq_core.evaluation.measurements import Measurement
    from serfiq_core.evaluation.pair_list import PairList
    from serfiq_core.evaluation.subjects import Photograph

EXIT_GATE = 3
"""A condition of `--fail-if` came true. Other commands say with 3 that they could not be carried
out; here that is 4, so that a script can tell a poor recogniser from a broken installation."""

EXIT_NOT_EVALUATED = 4


def evaluate(
    photographs: PhotographsArgument,
    output: OutputArgument,
    root: RootOption = None,
    pairs: PairsOption = None,
    scores: ScoresOption = None,
    fmr: FmrOption = None,
    passes: PassesOption = None,
    face: FaceOption = "largest",
    test_subjects: TestSubjectsOption = False,
    non_mated: NonMatedOption = None,
    fail_if: FailIfOption = None,
    cache: CacheOption = None,
    thumbnails: ThumbnailsOption = False,
    seed: SeedOption = 0,
    pack: PackOption = None,
    packs_dir: PacksDirOption = None,
) -> None:
    """Measure what discarding by quality is worth.

    FNMR as photographs are discarded, by all methods side by side.

    Exit status 3 when a condition of --fail-if is true, 4 when one cannot be decided or nothing
    could be evaluated.
    """
    from serfiq_core.evaluation.figures import FMRS

    if pairs is not None and non_mated is not None:
        raise typer.BadParameter("--pairs has all pairs to compare: --non-mated draws no others")
    if root is not None and photographs.is_dir():
        raise typer.BadParameter("--root is for a CSV: a folder's paths are its own")
    settings = settings_from(pack=pack, packs_dir=packs_dir)
    question = Question(
        photographs=photographs,
        root=root,
        pairs=pairs,
        scores=tuple(scores or ()),
        fmrs=tuple(fmr or FMRS),
        non_mated=non_mated,
        seed=seed,
        test_subjects=test_subjects,
    )
    conditions = fail_if or []
    try:
        by_passes = tuple(passes or [settings.passes])
        measuring = Measuring(settings, pack_of(settings), by_passes, face)
        require_extra("jinja2", "matplotlib", "pyarrow")
        asked = question.read(measuring.further_methods)
        _check_conditions(conditions, {*measuring.further_methods, *asked.columns}, question.fmrs)
        question.check(asked)
        _check_output(output)
        measured = measuring.measure(asked.photographs, cache)
        result = question.answer(asked, measured)
        gates = _write(output, measuring, result, conditions, show_faces=thumbnails)
    except SerfiqError as error:
        typer.echo(f"serfiq: {error}", err=True)
        raise typer.Exit(EXIT_NOT_EVALUATED) from error
    _exit_by(gates)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the files given say."""

    photographs: "tuple[Photograph, ...]"
    pair_list: "PairList | None"
    columns: "dict[str, Values]"


@dataclass(frozen=True, slots=True)
class Question:
    """Which photographs, pairs and figures: the options of the same names."""

    photographs: Path
    root: Path | None
    pairs: Path | None
    scores: tuple[Path, ...]
    fmrs: tuple[float, ...]
    non_mated: int | None
    seed: int
    test_subjects: bool

    def read(self, further_methods: Sequence[str]) -> Asked:
        """Read and check all files but the photographs: what is wrong shows before the work."""
        from serfiq_core.evaluating import METHODS
        from serfiq_core.evaluation.pair_list import read_pairs
        from serfiq_core.evaluation.score_columns import read_score_columns

        found = read_and_tell(self.photographs, self.root)
        pair_list = None if self.pairs is None else read_pairs(self.pairs, found)
        found, pair_list = self._compared(found, pair_list)
        columns: dict[str, Values] = {}
        for path in self.scores:
            taken = {*METHODS, *further_methods, *columns}
            columns |= read_score_columns(path, found, taken)
        return Asked(found, pair_list, columns)

    def _compared(
        self, found: "tuple[Photograph, ...]", pair_list: "PairList | None"
    ) -> "tuple[tuple[Photograph, ...], PairList | None]":
        """The photographs and pairs of the subjects asked for; of a list, those it covers."""
        from serfiq_core.evaluation.subject_split import split_by_subject
        from serfiq_core.evaluation.subjects import check_pairs

        compared = split_by_subject(found)[1] if self.test_subjects else found
        if not compared:
            raise EvaluationError(f"{self.photographs} has no subject that is kept out of training")
        check_pairs(compared, self.photographs)
        if self.pairs is None or pair_list is None:
            return compared, None
        place_of = {photograph: place for place, photograph in enumerate(found)}
        pair_list = pair_list.among([place_of[each] for each in compared], len(found))
        pair_list.check(self.pairs)
        covered = pair_list.covered()
        return tuple(compared[p] for p in covered), pair_list.among(covered, len(compared))

    def check(self, asked: Asked) -> None:
        """Refuse at once what so many photographs cannot tell, whatever they show."""
        from serfiq_core.evaluating import check_labels

        check_labels(
            asked.photographs,
            self.fmrs,
            pair_list=asked.pair_list,
            non_mated_sample=self.non_mated,
        )

    def answer(self, asked: Asked, measured: "list[Measurement]") -> "Result":
        """Compute the figures, and say what could not be."""
        from serfiq_core.evaluating import evaluate_measured

        with progress("comparing", None) as advance:
            result = evaluate_measured(
                asked.photographs,
                measured,
                self.fmrs,
                pair_list=asked.pair_list,
                columns=asked.columns,
                non_mated_sample=self.non_mated,
                seed=self.seed,
                advance=lambda: advance(1),
            )
        for why in result.evaluation.refused.values():
            typer.echo(f"serfiq: {why}", err=True)
        for warning in result.evaluation.warnings:
            typer.echo(f"serfiq: {warning}", err=True)
        if result.left_out:
            first, why = next(iter(result.left_out.items()))
            count = len(result.left_out)
            typer.echo(
                f"serfiq: {count:,} photographs are left out, the first {first}: {why}", err=True
            )
        return result


def _cannot_be_written_to(output: Path, error: OSError) -> EvaluationError:
    return EvaluationError(f"{output} cannot be written to: {error.strerror}")


def _check_conditions(
    conditions: Iterable[str], further_methods: set[str], fmrs: Sequence[float]
) -> None:
    """Refuse at once a condition that could not be decided after minutes of work."""
    from serfiq_core.evaluating import METHODS
    from serfiq_core.evaluation import gate

    for condition in conditions:
        gate.check(condition, {*METHODS, *further_methods}, fmrs)


def _check_output(output: Path) -> None:
    """Refuse at once a folder that could not be written to."""
    try:
        output.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=output):
            pass
    except OSError as error:
        raise _cannot_be_written_to(output, error) from error


def _write(
    output: Path,
    measuring: Measuring,
    result: "Result",
    conditions: Sequence[str],
    *,
    show_faces: bool,
) -> "tuple[Gate, ...]":
    """Write all files, together. Returns what came of the conditions.

    Raises:
        EvaluationError: they cannot be written.
    """
    from serfiq_core.evaluating import faces_as_jpeg
    from serfiq_core.evaluation import files, gate, report

    gates = gate.decide_gates(conditions, result.evaluation)
    about = measuring.about()
    faces = faces_as_jpeg(result, measuring.preparation()) if show_faces else {}
    page = report.render(
        result.evaluation,
        result.methods,
        about=about,
        left_out=result.left_out,
        gates=gates,
        faces=faces,
    )
    summary = files.summary(result.evaluation, about, result.left_out, gates)
    try:
        with appearing_together(output) as unfinished:
            files.write_edc(unfinished / "edc.csv", result.evaluation)
            files.write_scores(unfinished / "scores.parquet", result.photographs, result.methods)
            files.write_summary(unfinished / "summary.json", summary)
            document = unfinished / "report.html"
            if show_faces:
                document.touch(mode=0o600)  # which nobody else may read
            document.write_text(page, encoding="utf-8", errors="replace")
    except OSError as error:
        raise _cannot_be_written_to(output, error) from error
    typer.echo(f"{output / 'report.html'}: {result.evaluation.photographs:,} photographs compared")
    return gates


def _exit_by(gates: "Iterable[Gate]") -> None:
    """Say which conditions are true or not decided, and end with their status if any is."""
    true = [gate for gate in gates if gate.true]
    undecided = [gate for gate in gates if gate.true is None]
    for gate in true:
        typer.echo(f"serfiq: --fail-if is true: {gate.condition}", err=True)
    for gate in undecided:
        typer.echo(f"serfiq: --fail-if is not decided: {gate.condition}: {gate.why}", err=True)
    if undecided:
        raise typer.Exit(EXIT_NOT_EVALUATED)
    if true:
        raise typer.Exit(EXIT_GATE)
