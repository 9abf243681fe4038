"""Fetching one file over HTTP: bounded, complete and with the promised checksum, or not at all.

This file knows URLs and bytes; it knows no packs and no archives.
"""

import hashlib
import http.client
import urllib.request
from pathlib import Path

from serfiq_core.errors import ChecksumError, DownloadError

TIMEOUT_SECONDS = 30.0
"""For connecting and for every single read, not for the whole: a slow line may take its time, a
dead one is noticed."""

PIECE_BYTES = 1 << 20
"""Read at once: large enough for the loop to cost nothing, small enough to keep memory flat."""


def download(url: str, destination: Path, *, sha256: str, limit_bytes: int) -> None:
    """Fetch `url` to `destination`, which exists afterwards only if everything was right.

    Raises:
        DownloadError: not HTTP, refused, unreachable, longer than `limit_bytes`, or it ended early.
        ChecksumError: it came whole, and is another file.
    """
    if not url.startswith(("http://", "https://")):  # urllib would read file: and ftp: too
        raise DownloadError(f"{url} is neither http nor https")
    try:
        found = _fetch(url, destination, limit_bytes)
        if found != sha256:
            raise ChecksumError(f"{url}: SHA-256 should be {sha256}, and is {found}")
    except BaseException as error:  # an interrupted download is to leave nothing behind either
        destination.unlink(missing_ok=True)
        if isinstance(error, OSError | http.client.HTTPException | ValueError):
            raise DownloadError(f"{url} cannot be fetched: {error}") from error
        raise


def _fetch(url: str, destination: Path, limit_bytes: int) -> str:
    """Write what comes to `destination`; returns its SHA-256."""
    digest = hashlib.sha256()
    received = 0
    with (
        urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as response,
        destination.open("wb") as stream,
    ):
        announced = response.headers.get("Content-Length")
        while piece := response.read(PIECE_BYTES):
            received += len(piece)
            if received > limit_bytes:
                raise DownloadError(f"{url} is longer than the {limit_bytes} bytes expected")
            digest.update(piece)
            stream.write(piece)
    # http.client ends quietly when a connection closes before the announced length was read.
    if announced is not None and received != int(announced):
        raise DownloadError(f"{url} ended after {received} of {announced} bytes")
    return digest.hexdigest()
