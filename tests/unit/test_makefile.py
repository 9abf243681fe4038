"""What `make` leaves in `.venv`."""

import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

INSTALLED_BY_MAKE = Path(__file__).parents[2] / ".venv" / "installed-for-tests"


@pytest.mark.skipif(
    Path(sys.prefix).resolve() != INSTALLED_BY_MAKE.parent or not INSTALLED_BY_MAKE.exists(),
    reason="this environment was not made by `make test`",
)
def test_opencv_is_the_build_that_needs_no_display() -> None:
    """insightface brings the other one back whenever pip installs this package again."""
    assert version("opencv-python-headless")
    with pytest.raises(PackageNotFoundError):
        version("opencv-python")
