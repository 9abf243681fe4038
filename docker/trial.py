"""Try the image from within: serve, ask about the sample portrait, end with SIGTERM.

Runs where Python is and curl is not: `python - < docker/trial.py` inside a container. It knows the
service by its command line and its HTTP alone. The answer goes to stdout, all else to stderr.
"""

import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PORT = int(os.environ["SERFIQ_PORT"])

READY_SECONDS = 120
"""A first start reads more than a gigabyte of libraries from a disk that may be slow."""

GRACE_SECONDS = 30
"""What orchestrators wait between SIGTERM and SIGKILL."""


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


def wait_until_ready(server: subprocess.Popen[bytes]) -> None:
    """Exits with a message when the server ends, or takes too long."""
    deadline = time.monotonic() + READY_SECONDS
    while not is_ready():
        if server.poll() is not None:
            sys.exit(f"The server ended with status {server.returncode}.")
        if time.monotonic() > deadline:
            sys.exit(f"The server was not ready within {READY_SECONDS} seconds.")
        time.sleep(0.2)


def sample_portrait() -> bytes:
    """The portrait that the package carries, as JPEG."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "portrait.jpg"
        subprocess.run(["serfiq", "sample", path], check=True, stdout=sys.stderr)
        return path.read_bytes()


def main() -> None:
    """Exits with a message when anything is not as it should be."""
    if os.getuid() == 0:
        sys.exit("The image's user is root.")
    started = time.monotonic()
    server = subprocess.Popen(["serfiq", "serve"], stdout=sys.stderr)
    try:
        wait_until_ready(server)
        print(f"Ready after {time.monotonic() - started:.1f} s.", file=sys.stderr)
        status, answer = ask("POST", "/quality", sample_portrait())
        print(json.dumps(json.loads(answer), indent=2), flush=True)
        server.terminate()
        ended_with = server.wait(GRACE_SECONDS)
    finally:
        server.kill()
    if status != 200:
        sys.exit(f"The answer has status {status}.")
    if ended_with != 0:
        sys.exit(f"The server ended with status {ended_with} on SIGTERM.")


main()
