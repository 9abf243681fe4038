"""Files that appear whole or not at all: an earlier one stays until the new one is complete.

Knows paths only, and not what is written.
"""

import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

UNFINISHED = ".unfinished-"


def remove_unfinished(folder: Path) -> None:
    """Remove what processes that were killed have left in `folder`. Nobody may be at work there."""
    for left in folder.glob(f"{UNFINISHED}*"):
        shutil.rmtree(left)


@contextmanager
def appearing_together(folder: Path) -> Iterator[Path]:
    """Give an empty folder to write files into; they go into `folder` when the block ends well.

    Until then nobody else can read them. When the block raises, nothing stays of them; of a process
    that is killed, the folder does, beginning with `UNFINISHED`.

    Raises:
        OSError: `folder` cannot be written to.
    """
    # On the same file system, so that a rename puts each in its place.
    with TemporaryDirectory(prefix=UNFINISHED, dir=folder) as name:
        unfinished = Path(name)
        yield unfinished
        for file in unfinished.iterdir():
            file.replace(folder / file.name)


@contextmanager
def appearing_whole(path: Path, *, private: bool = False) -> Iterator[Path]:
    """Give a path to write to; what lies there takes the place of `path` when the block ends well.

    A pipe or a device, whose place nothing can take, is given as it is.

    Args:
        path: of the file. A link stays, and what it leads to is replaced; an earlier file's mode
            stays too.
        private: nobody else may read the file.

    Raises:
        OSError: the folder of `path` cannot be written to.
    """
    if path.exists() and not path.is_file():
        yield path
        return
    target = path.resolve()
    mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else None
    with appearing_together(target.parent) as folder:
        unfinished = folder / target.name
        if private:
            unfinished.touch(mode=0o600)
        yield unfinished
        if mode is not None and not private:
            unfinished.chmod(mode)
