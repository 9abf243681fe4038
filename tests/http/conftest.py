"""A service with the fake pipeline, and one with the embedded pack, for tests that leave them as
they were."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from skimage.data import astronaut

from tests.http.service import Service, encoded


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with Service() as running:
        yield running


@pytest.fixture(scope="session")
def real_service() -> Iterator[Service]:
    with Service(None) as running:
        yield running


@pytest.fixture(scope="session")
def portrait() -> bytes:
    """The public-domain portrait that scikit-image carries, as JPEG."""
    return encoded(astronaut(), "JPEG")


@pytest.fixture
def callers() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(64) as pool:
        yield pool
