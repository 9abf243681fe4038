"""Changing an installed pack while others load or change it. Knows files and manifests only."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from serfiq_core.errors import PackError
from serfiq_core.folder_lock import alone_with
from serfiq_core.packs.manifest import (
    MANIFEST_NAME,
    Manifest,
    recogniser_checksum,
    write_manifest,
)
from serfiq_core.packs.pack import Pack, read_pack


@dataclass(frozen=True, slots=True)
class Amendment:
    """`staging`: an empty folder for the new manifest and new files. `manifest`: the one in force,
    which another command may have changed since the pack was read."""

    staging: Path
    manifest: Manifest


@contextmanager
def amended(pack: Pack) -> Iterator[Amendment]:
    """What is written into the staging folder, a manifest at least, goes into the pack.

    One at a time: whoever comes second starts from what the first has made of the pack. Other files
    come first, under names that the manifest in force does not use, and then the manifest that
    names them takes the old one's place; files that only the old one named are removed last. So
    whoever reads the manifest finds the old or the new one, whole. A reader still holding the old
    manifest gets a ChecksumError from `verify` when its files are gone. When the block raises,
    nothing changes.

    Raises:
        PackError: the pack cannot be written to, or its recogniser is not the one that `pack` had,
            on which the amendment was measured.
    """
    try:
        with alone_with(pack.folder):
            current = read_pack(pack.folder).manifest
            if recogniser_checksum(current) != recogniser_checksum(pack.manifest):
                raise PackError(f"the recogniser in {pack.folder} has become another one meanwhile")
            with tempfile.TemporaryDirectory(dir=pack.folder.parent, prefix=".") as folder:
                staging = Path(folder)
                yield Amendment(staging, current)
                for path in staging.iterdir():
                    if path.name != MANIFEST_NAME:
                        path.replace(pack.folder / path.name)
                (staging / MANIFEST_NAME).replace(pack.folder / MANIFEST_NAME)
            for name in current.files.keys() - read_pack(pack.folder).manifest.files.keys():
                (pack.folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise PackError(f"{pack.folder} cannot be written to: {error}") from error


def amend_manifest(pack: Pack, **changes: Any) -> Pack:
    """Change fields of an installed pack's manifest, in one step. Returns the pack as it is then.

    Raises:
        PackError: as for `amended`.
    """
    with amended(pack) as amendment:
        write_manifest(replace(amendment.manifest, **changes), amendment.staging)
    return read_pack(pack.folder)
