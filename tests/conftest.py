"""What several test files share: where the real photographs and weights lie, and fixtures."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.http.service import Gate

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real photographs and real weights beside the repository."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs the real photographs and weights of ../shared/data, which are not here")
    return folder


@pytest.fixture
def gate() -> "Iterator[Gate]":
    from tests.http.service import Gate

    made = Gate()
    yield made
    made.open()


@pytest.fixture
def nothing_compiled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Triton has compiled nothing before."""
    pytest.importorskip("triton", reason="needs triton")
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
