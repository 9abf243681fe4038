"""Preparation workers for commands that read many photographs."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from app.loading import workers_of
from serfiq_core.types import FaceChoice

if TYPE_CHECKING:
    from app.settings import Settings
    from serfiq_core.packs.pack import Pack
    from serfiq_core.preparation.workers import PreparationWorkers


def preparing(
    pack: "Pack", settings: "Settings", choice: FaceChoice = "largest"
) -> "AbstractContextManager[PreparationWorkers]":
    """As many workers as the settings say. As a context they are started, and ready.

    Args:
        pack: whose detector finds the faces; verified already.
        settings: of workers, time and profiles.
        choice: which of several faces is the capture's.

    Raises:
        ConfigurationError: the profiles are wrong; raised at once, before the context is entered.
    """
    return _ready(workers_of(settings, pack, choice))


@contextmanager
def _ready(workers: "PreparationWorkers") -> "Iterator[PreparationWorkers]":
    with workers:
        workers.start().wait_until_ready()
        yield workers
