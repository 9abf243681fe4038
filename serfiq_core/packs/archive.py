"""Taking a few known files out of a zip archive that is not trusted.

Nothing is ever extracted by the path an entry claims: the files wanted are known by name, their
bytes are streamed to paths chosen here. An archive that tries more is refused whole. This file
knows no network and no packs.
"""

import stat
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import IO

from serfiq_core.errors import ArchiveError

PIECE_BYTES = 1 << 20
"""Unpacked at once; keeps memory flat for files of hundreds of megabytes."""


def extract(archive: Path, names: Iterable[str], folder: Path, *, limit_bytes: int) -> None:
    """Write the files called `names`, at whatever depth the archive keeps them, into `folder`.

    Args:
        archive: a zip file.
        names: plain file names; each must be in the archive exactly once.
        folder: exists, and holds none of them.
        limit_bytes: what all of the archive may unpack to, as it announces and in fact.

    Raises:
        ArchiveError: broken, reaching outside its folder, holding links, the same file twice, or
            encrypted entries, unpacking to more than the limit, or lacking a file wanted.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            entries = opened.infolist()
            _check_entries(entries, limit_bytes)
            for name in names:
                entry = _find(entries, name)
                with opened.open(entry) as source, (folder / name).open("xb") as target:
                    _copy(source, target, entry.file_size, name)
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError) as error:
        raise ArchiveError(f"the archive is broken: {error}") from error


def _check_entries(entries: list[zipfile.ZipInfo], limit_bytes: int) -> None:
    seen: set[str] = set()
    for entry in entries:
        _check_entry(entry)
        if entry.filename in seen:
            raise ArchiveError(f"the archive holds {entry.filename!r} twice")
        seen.add(entry.filename)
    total = sum(entry.file_size for entry in entries)
    if total > limit_bytes:
        raise ArchiveError(f"the archive would unpack to {total} bytes, {limit_bytes} are allowed")


def _check_entry(entry: zipfile.ZipInfo) -> None:
    # `orig_filename`: `filename` was already shortened at a NUL and had its separators changed.
    name = entry.orig_filename
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in name or "\0" in name:
        raise ArchiveError(f"the archive reaches outside its folder with {name!r}")
    if stat.S_ISLNK(entry.external_attr >> 16):  # the upper half holds the Unix mode
        raise ArchiveError(f"the archive holds a symbolic link, {name!r}")
    if entry.flag_bits & 0x1:
        raise ArchiveError(f"the archive holds an encrypted file, {name!r}")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ArchiveError(f"the archive packs {name!r} in a way that is not taken")


def _find(entries: list[zipfile.ZipInfo], name: str) -> zipfile.ZipInfo:
    found = [entry for entry in entries if PurePosixPath(entry.filename).name == name]
    if len(found) != 1:
        raise ArchiveError(f"the archive holds {name} {len(found)} times, not once")
    return found[0]


def _copy(source: IO[bytes], target: IO[bytes], announced_bytes: int, name: str) -> None:
    """Copy to the end, and never more than the entry announced and the limit was checked with."""
    written = 0
    while piece := source.read(PIECE_BYTES):
        written += len(piece)
        if written > announced_bytes:
            raise ArchiveError(f"{name} unpacks to more than the archive announces")
        target.write(piece)
