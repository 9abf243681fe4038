"""Files that appear whole or not at all: an earlier one stays until the new one is complete.

Knows paths only, and not what is written.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory


@contextmanager
def appearing_together(folder: Path) -> Iterator[Path]:
    """Give an empty folder to write files into; they go into `folder` when the block ends well.

    Until then nobody else can read them. When the block raises, nothing stays of them.

    Raises:
        OSError: `folder` cannot be written to.
    """
    # On the same file system, so that a rename puts each in its place.
    with TemporaryDirectory(prefix=".unfinished-", dir=folder) as name:
        unfinished = Path(name)
        yield unfinished
        for file in unfinished.iterdir():
            file.replace(folder / file.name)


@contextmanager
def appearing_whole(path: Path, *, private: bool = False) -> Iterator[Path]:
    """Give a path to write to; what lies there takes the place of `path` when the block ends well.

    A pipe or a device, whose place nothing can take, is given as it is.

    Args:
        path: of the file; a link stays, and what it leads to is replaced.
        private: nobody else may read the file.

    Raises:
        OSError: the folder of `path` cannot be written to.
    """
    if path.exists() and not path.is_file():
        yield path
        return
    target = path.resolve()
    with appearing_together(target.parent) as folder:
        unfinished = folder / target.name
        if private:
            unfinished.touch(mode=0o600)
        yield unfinished
