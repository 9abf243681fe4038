import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from serfiq_core.errors import ChecksumError, DownloadError
from serfiq_core.packs.download import download
from tests.local_server import LocalServer, local_server
from tests.small_packs import sha256

BODY = bytes(range(256)) * 5_000
"""More than one piece."""


@pytest.fixture
def server() -> Iterator[LocalServer]:
    with local_server() as running:
        running.files["/file"] = BODY
        yield running


def fetch(
    url: str, folder: Path, *, sha256_expected: str = sha256(BODY), limit: int = 1 << 24
) -> Path:
    target = folder / "file"
    download(url, target, sha256=sha256_expected, limit_bytes=limit)
    return target


def test_a_file_comes_whole(server: LocalServer, tmp_path: Path) -> None:
    assert fetch(f"{server.url}/file", tmp_path).read_bytes() == BODY


def test_another_file_is_refused_with_both_checksums(server: LocalServer, tmp_path: Path) -> None:
    with pytest.raises(ChecksumError) as caught:
        fetch(f"{server.url}/file", tmp_path, sha256_expected="0" * 64)
    assert "0" * 64 in str(caught.value)
    assert sha256(BODY) in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_download_that_ends_early_is_refused(server: LocalServer, tmp_path: Path) -> None:
    server.announced_bytes = len(BODY) + 1
    with pytest.raises(DownloadError, match=f"ended after {len(BODY)} of {len(BODY) + 1} bytes"):
        fetch(f"{server.url}/file", tmp_path)
    assert not list(tmp_path.iterdir())


def test_more_than_the_limit_is_not_taken(server: LocalServer, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="longer than"):
        fetch(f"{server.url}/file", tmp_path, limit=len(BODY) - 1)
    assert not list(tmp_path.iterdir())


def test_a_missing_file_is_told_with_its_status(server: LocalServer, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="404"):
        fetch(f"{server.url}/absent", tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    with socket.socket() as unheard:  # bound and not listening: nothing else can take the port
        unheard.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unheard.getsockname()[1]}/file"
        with pytest.raises(DownloadError, match="cannot be fetched") as caught:
            fetch(url, tmp_path)
    assert url in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_only_http_is_spoken(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(BODY)
    with pytest.raises(DownloadError, match="neither http nor https"):
        fetch(secret.as_uri(), tmp_path)


@pytest.mark.parametrize("url", ["http://", "http://127.0.0.1:port/file", "http://[::1/file"])
def test_an_address_that_is_none_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(DownloadError):
        fetch(url, tmp_path)
