"""The event loop that the service would run on: uvloop's where it is installed, else asyncio's."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


def runner() -> asyncio.Runner:
    """Runs one coroutine after another on a loop of its own."""
    try:
        import uvloop
    except ImportError:
        return asyncio.Runner()
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Runs to the end, on a loop of its own."""
    with runner() as loop:
        return loop.run(work)
