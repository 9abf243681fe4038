"""The service under test: a real server on a real socket, in a thread of this process."""

import io
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, Self

import httpx
import numpy as np
import uvicorn
from PIL import Image

from app.device import CapturePipeline
from app.engine import Engine
from app.main import create_app
from app.server import configured
from app.settings import Settings
from serfiq_core.testing import FakePipeline

PATIENCE_SECONDS = 60.0
"""Only ever reached when something hangs."""

POLL_SECONDS = 0.005


def wait_until(happened: Callable[[], bool]) -> None:
    """Returns as soon as something has happened; fails when it never does."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not happened():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(POLL_SECONDS)


class Service:
    """Runs while entered. `load` makes the pipeline: the fake one by default, and the pack that the
    settings name when None. The batch size is not measured unless asked for with None."""

    def __init__(
        self,
        load: Callable[[], CapturePipeline] | None = FakePipeline,
        *,
        wait_for_model: bool = True,
        root_path: str = "",
        **settings: Any,
    ) -> None:
        self.app = create_app(Settings(**{"max_batch_size": 32, **settings}), load)
        self.engine: Engine = self.app.state.engine
        self._wait_for_model = wait_for_model
        self._server = uvicorn.Server(configured(self.app, port=0, root_path=root_path))
        self._thread = threading.Thread(target=self._server.run)

    def __enter__(self) -> Self:
        self._thread.start()
        wait_until(lambda: self._server.started)
        self.port: int = self._server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.client = httpx.Client(base_url=self.url, timeout=PATIENCE_SECONDS)
        if self._wait_for_model:
            wait_until(lambda: self.get("/startupz").status_code == 200)
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self._server.should_exit = True
        self._thread.join(PATIENCE_SECONDS)
        assert not self._thread.is_alive()

    @property
    def loop_thread(self) -> int | None:
        """That of the event loop."""
        return self._thread.ident

    def get(self, path: str, **arguments: Any) -> httpx.Response:
        return self.client.get(path, **arguments)

    def assess(self, image: bytes, **params: Any) -> httpx.Response:
        """One capture, sent raw."""
        headers = {"content-type": "image/png"}
        return self.client.post("/quality", content=image, headers=headers, params=params)


def connect(service: Service) -> socket.socket:
    """A connection for a caller who speaks HTTP himself."""
    return socket.create_connection(("127.0.0.1", service.port), PATIENCE_SECONDS)


def queued(service: Service) -> int:
    """Faces that wait for the device."""
    loaded = service.engine._loaded
    assert loaded is not None
    return loaded.batcher.depth


class Gate:
    """Holds who comes through while closed; the warm-up comes before anyone closes it."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self._open.set()
        self.waiting = 0
        self.passed: list[tuple[int, ...]] = []

    def close(self) -> None:
        self._open.clear()
        self.waiting = 0
        self.passed.clear()

    def open(self) -> None:
        self._open.set()

    def __call__(self, *size: int) -> None:
        self.passed.append(size)
        self.waiting += 1
        assert self._open.wait(PATIENCE_SECONDS)


def png(pixels: np.ndarray[Any, Any]) -> bytes:
    return encoded(pixels, "PNG")


def encoded(pixels: np.ndarray[Any, Any], form: str) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, form)
    return stream.getvalue()


def random_capture(seed: int = 0, width: int = 160, height: int = 120) -> bytes:
    """A capture in which the fake pipeline finds a face."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return png(pixels)


def blank_capture() -> bytes:
    """A capture in which nobody finds a face."""
    return png(np.zeros((120, 160, 3), np.uint8))


def assert_problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The response is a complete problem document of this status and code; returns it."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = response.json()
    assert document["status"] == status
    assert document["code"] == code
    assert document["type"] == f"urn:serfiq:problem:{code}"
    assert document["title"]
    assert document["detail"]
    assert document["request_id"] == response.headers["x-request-id"]
    return document
