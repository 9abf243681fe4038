"""Ask a running service about the sample portrait and print its answer.

Runs inside the container, where Python is and curl is not: `python - < docker/ask_portrait.py`.
It knows the service by its HTTP alone.
"""

import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PORT = int(os.environ.get("SERFIQ_PORT", "8000"))
READY_SECONDS = 120
"""A cold start reads some 500 MB of libraries from disk."""


def ask(method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    """Status and body of one answer; raises OSError when nothing answers."""
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
    headers = {"Content-Type": "image/jpeg"} if body else {}
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    return response.status, response.read()


def is_ready() -> bool:
    """Does `/readyz` say so?"""
    try:
        return ask("GET", "/readyz")[0] == 200
    except OSError:
        return False


def sample_portrait() -> bytes:
    """The portrait that the package carries, as JPEG."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "portrait.jpg"
        subprocess.run(["serfiq", "sample", path], check=True, stdout=subprocess.DEVNULL)
        return path.read_bytes()


def main() -> None:
    """Exits with a message when the service is not ready in time, or answers with an error."""
    deadline = time.monotonic() + READY_SECONDS
    while not is_ready():
        if time.monotonic() > deadline:
            sys.exit(f"The service was not ready within {READY_SECONDS} seconds.")
        time.sleep(0.5)
    status, answer = ask("POST", "/quality", sample_portrait())
    print(json.dumps(json.loads(answer), indent=2))
    if status != 200:
        sys.exit(f"The service answered with status {status}.")


main()
