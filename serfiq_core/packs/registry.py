"""Where packs lie, how one is found by name, and how a new one comes to be there in one step.

Packs are folders: those embedded beside this file, and those under the packs folder of the
machine. This file knows no network and no format of weights.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from serfiq_core.errors import ConfigurationError, PackError, PackNotFoundError
from serfiq_core.packs.manifest import MANIFEST_NAME, PLAIN_NAME
from serfiq_core.packs.pack import Pack, read_pack

EMBEDDED_FOLDER = Path(__file__).parent

STAGING_PREFIX = ".staging-"
"""Starts with a dot, which no pack's name does: an unfinished pack is never taken for one."""


def default_packs_dir() -> Path:
    """`$XDG_DATA_HOME/serfiq/packs`, or `~/.local/share/serfiq/packs`.

    Raises:
        ConfigurationError: this user has no home directory.
    """
    data_home = Path(os.environ.get("XDG_DATA_HOME", ""))
    if not data_home.is_absolute():  # the XDG specification: relative paths are to be ignored
        try:
            data_home = Path.home() / ".local" / "share"
        except RuntimeError as error:
            message = "this user has no home directory: name a folder for packs, SERFIQ_PACKS_DIR"
            raise ConfigurationError(message) from error
    return data_home / "serfiq" / "packs"


def is_embedded(pack: Pack) -> bool:
    """Whether it comes with this software, and is not to be changed."""
    return pack.folder.parent == EMBEDDED_FOLDER


def pack_folders(packs_dir: Path) -> dict[str, Path]:
    """Name → folder of every pack there is, by name; none of them is read.

    An embedded pack cannot be shadowed by one of the same name in `packs_dir`.
    """
    found = {}
    for parent in (packs_dir, EMBEDDED_FOLDER):
        for path in parent.glob(f"*/{MANIFEST_NAME}"):
            if PLAIN_NAME.fullmatch(path.parent.name):
                found[path.parent.name] = path.parent
    return dict(sorted(found.items()))


def find_pack(name: str, packs_dir: Path) -> Pack:
    """Read the manifest of the pack called `name`; its files are not verified yet.

    Raises:
        PackNotFoundError: there is none; says what there is, and how to get more.
        ManifestError: its `pack.toml` is wrong.
    """
    folders = pack_folders(packs_dir)
    if name not in folders:
        raise PackNotFoundError(
            f"no pack named {name!r}; there are: {', '.join(folders)}. "
            "More come with `serfiq packs pull` and `serfiq packs import`; "
            f"installed ones are looked for in {packs_dir}"
        )
    return read_pack(folders[name])


def embedded_pack() -> Pack:
    """The pack that comes with this software."""
    return read_pack(EMBEDDED_FOLDER / "compact")


def refuse_taken_name(name: str, packs_dir: Path) -> None:
    """Check that a new pack may be called `name`.

    Raises:
        PackError: it is no plain name, or a pack of this name exists.
    """
    if not PLAIN_NAME.fullmatch(name):
        message = f"{name!r} cannot be a pack's name: letters, digits, '.', '_' and '-' only"
        raise PackError(message)
    taken = pack_folders(packs_dir).get(name)
    if taken is not None or (packs_dir / name).exists():
        raise PackError(f"a pack named {name} exists already, in {taken or packs_dir / name}")


@contextmanager
def staged_pack(name: str, packs_dir: Path) -> Iterator[Path]:
    """Give an empty folder to fill; it becomes the pack `name` when the block ends well.

    The folder lies on the same file system as its destination, so that one rename installs it:
    other processes see the whole pack or none. When the block raises, nothing stays.

    Raises:
        PackError: the name is taken, or the folder cannot be written.
    """
    refuse_taken_name(name, packs_dir)
    try:
        packs_dir.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(
            prefix=STAGING_PREFIX, dir=packs_dir, ignore_cleanup_errors=True
        ) as staging:
            folder = Path(staging) / name
            folder.mkdir()
            yield folder
            folder.rename(packs_dir / name)
    except OSError as error:
        raise PackError(f"pack {name} cannot be written to {packs_dir}: {error}") from error
