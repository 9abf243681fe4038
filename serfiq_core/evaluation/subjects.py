"""Which photograph shows whom: a manifest, or a folder per subject.

A manifest is CSV in UTF-8 with a header: `path,subject`, and `cohort` if one likes; other columns
are passed over. This file opens no photograph; it knows no embeddings and no scores.
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path

import numpy as np
import numpy.typing as npt

from serfiq_core.errors import EvaluationError

SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp"})
"""Of photographs in folders; whatever else lies there is passed over."""


def photographs_below(folder: Path) -> list[Path]:
    """All photographs in a folder and its folders, by name; none that is hidden."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and not _is_hidden(path.relative_to(folder))
    )


Row = dict[str, str]

LONGEST_SHOWN = 80
"""Characters of a first line: it need not be one of text."""


@dataclass(frozen=True, slots=True)
class Photograph:
    """One photograph of the evaluation.

    `name`: its path as the manifest has it, or relative to the folder; names it in every table.
    `cohort`: whatever groups are to be compared, or None.
    """

    path: Path
    name: str
    subject: str
    cohort: str | None = None


def read_photographs(
    source: Path, root: Path | None = None, *, compared: bool = True
) -> tuple[Photograph, ...]:
    """The photographs of a manifest, or of a folder with one folder per subject.

    Args:
        source: a CSV file or a folder.
        root: what a manifest's paths are relative to; the manifest's own folder when None.
        compared: pairs will be made of them, so that there must be some.

    Raises:
        EvaluationError: what is wrong, and in which line: a file that is missing or named twice,
            a subject left out, no mated pair, one subject only.
    """
    found = _of_folder(source) if source.is_dir() else _of_manifest(source, root or source.parent)
    if not found:
        raise EvaluationError(f"{source} names no photograph")
    if compared:
        check_pairs(found, source)
    return found


def passed_over(folder: Path, photographs: Sequence[Photograph]) -> list[Path]:
    """Files of a folder that are none of its photographs, by name; hidden ones are not told.

    They do not lie in a subject's folder itself, or are not called as photographs are. What is
    called `.…`, or lies in a folder that is, counts as hidden, and so does what may not be read.
    """
    taken = {photograph.path for photograph in photographs}
    # A `**` follows no symbolic link, and a subject's folder may be one.
    return sorted(
        path
        for path in chain(folder.glob("*"), folder.glob("*/**/*"))
        if path not in taken and not _is_hidden(path.relative_to(folder)) and _is_file(path)
    )


def _is_hidden(path: Path) -> bool:
    """Some systems put small copies, or files of their own, beside photographs."""
    return any(part.startswith(".") for part in path.parts)


def subject_labels(photographs: Sequence[Photograph]) -> npt.NDArray[np.int64]:
    """A number for the subject of each photograph: `N`, from 0 in the order of their names."""
    names = np.array([photograph.subject for photograph in photographs], dtype=object)
    return np.unique(names, return_inverse=True)[1].astype(np.int64)


def read_rows(
    path: Path, required: Sequence[str], optional: Sequence[str] = ()
) -> Iterator[tuple[int, Row]]:
    """The lines of a CSV file below its header, with their numbers; none is empty.

    Raises:
        EvaluationError: as for `read_table`.
    """
    return read_table(path, required, optional)[1]


def read_table(
    path: Path, required: Sequence[str], optional: Sequence[str] = (), *, whole: bool = False
) -> tuple[list[str], Iterator[tuple[int, Row]]]:
    """The header of a CSV file and, as `read_rows`, the lines below it. It is opened once.

    Args:
        path: of the file, or of a pipe.
        required: columns that there must be, and that no line may leave empty.
        optional: columns that have a meaning where they are there.
        whole: no line may leave any other empty either.

    Raises:
        EvaluationError: it cannot be read, is not CSV in UTF-8, lacks a column, names one twice or
            in capitals only; while lines are taken, one has a field too many or leaves one empty.
    """
    lines = _lines(path)
    _, first = next(lines, (1, []))
    header = [name.strip() for name in first]
    for name in header:
        if (known := name.lower()) in {*required, *optional} and known not in header:
            raise EvaluationError(f"{path}: the column {name} must be written {known}")
    for name in required:
        if name not in header:
            names = ", ".join(header)[:LONGEST_SHOWN]
            raise EvaluationError(
                f"{path} has no column {name}; line 1, with commas between, must name it, and has "
                f"{names!r}"
            )
    for name in filter(None, header):
        if header.count(name) > 1:
            raise EvaluationError(f"{path} has two columns {name}")
    filled = header if whole else required
    return header, (
        (line, _row(path, line, header, fields, filled)) for line, fields in lines if fields
    )


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            for fields in reader:
                yield reader.line_num, fields
    except OSError as error:
        raise EvaluationError(f"{path} cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise EvaluationError(f"{path} is not CSV in UTF-8: {error}") from error


def once(path: Path, line: int, name: str, seen: dict[str, int]) -> None:
    """Note that a line names something, which no other line may.

    Raises:
        EvaluationError: one did.
    """
    if name in seen:
        raise EvaluationError(f"{path}, line {line}: {name} is in line {seen[name]} already")
    seen[name] = line


def _row(
    path: Path, line: int, header: Sequence[str], fields: Sequence[str], filled: Sequence[str]
) -> Row:
    if len(fields) > len(header):
        raise EvaluationError(f"{path}, line {line}: more fields than the header has columns")
    row = dict(zip_longest(header, fields, fillvalue=""))
    for name in filled:
        if not row[name].strip():
            raise EvaluationError(f"{path}, line {line}: {name} is empty")
    return row


def _of_manifest(manifest: Path, root: Path) -> tuple[Photograph, ...]:
    found = []
    names: dict[str, int] = {}
    files: dict[str, int] = {}
    for line, row in read_rows(manifest, ("path", "subject"), ("cohort",)):
        path = root / row["path"]
        once(manifest, line, row["path"], names)
        if not _is_file(path):
            raise EvaluationError(f"{manifest}, line {line}: there is no file {path}")
        # `a/../b.jpg` and a symbolic link are `b.jpg` a second time.
        once(manifest, line, str(path.resolve()), files)
        cohort = row.get("cohort", "").strip() or None
        found.append(Photograph(path, row["path"], row["subject"].strip(), cohort))
    return tuple(found)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # A name that is too long, a folder that may not be searched.
        return False


def _of_folder(folder: Path) -> tuple[Photograph, ...]:
    try:
        found = tuple(
            Photograph(path, path.relative_to(folder).as_posix(), subject.name)
            for subject in sorted(folder.iterdir())
            if subject.is_dir()
            for path in sorted(subject.iterdir())
            if path.suffix.lower() in SUFFIXES and path.is_file()
            if not _is_hidden(path.relative_to(folder))
        )
    except OSError as error:
        raise EvaluationError(f"{folder} cannot be read: {error.strerror}") from error
    files: dict[Path, str] = {}
    for photograph in found:
        if _has_surrogates(photograph.name):
            raise EvaluationError(f"{folder}: {photograph.name!a} is not named in UTF-8")
        first = files.setdefault(photograph.path.resolve(), photograph.name)
        if first != photograph.name:
            raise EvaluationError(f"{folder}: {photograph.name} is the same file as {first}")
    return found


def _has_surrogates(name: str) -> bool:
    """What Python makes of bytes in a file's name that are not UTF-8."""
    return any("\ud800" <= character <= "\udfff" for character in name)


def check_pairs(photographs: Sequence[Photograph], source: Path) -> None:
    """Refuse photographs that make no mated, or no non-mated pair.

    Raises:
        EvaluationError: `source` has one subject only, or one photograph of each.
    """
    subjects = {photograph.subject for photograph in photographs}
    if len(subjects) == 1:
        raise EvaluationError(f"{source} has one subject only: there is no non-mated pair")
    if len(subjects) == len(photographs):
        raise EvaluationError(
            f"{source} has one photograph of each subject only: there is no mated pair"
        )
