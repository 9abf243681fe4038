"""Changing an installed pack while others may be loading it. Knows files and manifests only."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from serfiq_core.errors import PackError
from serfiq_core.packs.manifest import MANIFEST_NAME
from serfiq_core.packs.pack import Pack, read_pack


@contextmanager
def amended(pack: Pack) -> Iterator[Path]:
    """Give an empty folder; what is written there, a manifest at least, goes into the pack.

    Other files come first, under names of their own, and then the manifest that names them takes
    the old one's place: whoever loads the pack meanwhile finds the old or the new one, whole. Files
    that only the old manifest named are removed last. When the block raises, nothing changes.

    Raises:
        PackError: the pack cannot be written to.
    """
    try:
        with tempfile.TemporaryDirectory(dir=pack.folder.parent, prefix=".") as staging:
            folder = Path(staging)
            yield folder
            for path in folder.iterdir():
                if path.name != MANIFEST_NAME:
                    path.replace(pack.folder / path.name)
            (folder / MANIFEST_NAME).replace(pack.folder / MANIFEST_NAME)
        for name in pack.manifest.files.keys() - read_pack(pack.folder).manifest.files.keys():
            (pack.folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise PackError(f"{pack.folder} cannot be written to: {error}") from error
