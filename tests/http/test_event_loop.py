"""What takes long runs elsewhere than on the event loop, where it would keep everybody waiting."""

import threading
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import pytest

from app.batch_schemas import BatchAnswer
from app.routes import answering, batch, quality
from tests.http.service import Service, random_capture

CAPTURE = random_capture()
OVERLAYS = "instability_overlay,gradient_overlay"


@pytest.fixture
def threads(monkeypatch):
    """Function → the threads that it has run on."""
    seen: defaultdict[str, set[int]] = defaultdict(set)

    def watch(owner: Any, name: str) -> None:
        run = getattr(owner, name)

        def noted(*arguments: Any) -> Any:
            seen[name].add(threading.get_ident())
            return run(*arguments)

        monkeypatch.setattr(owner, name, noted)

    watch(quality, "extract_image")
    watch(batch, "extract_images")
    watch(answering, "overlay_png")
    watch(BatchAnswer, "of")
    return seen


def assert_elsewhere(service: Service, threads: dict[str, set[int]], names: Iterable[str]) -> None:
    assert threads.keys() == set(names)
    for name, idents in threads.items():
        assert service.loop_thread not in idents, name


def test_one_body_is_taken_apart_and_its_overlays_drawn_elsewhere(service, threads):
    assert service.assess(CAPTURE, include=OVERLAYS).status_code == 200
    assert_elsewhere(service, threads, ["extract_image", "overlay_png"])


def test_a_batch_is_taken_apart_and_answered_elsewhere(service, threads):
    files = [("image", ("photo.png", CAPTURE))] * 2
    response = service.client.post("/quality/batch", files=files, params={"include": OVERLAYS})
    assert response.status_code == 200
    assert_elsewhere(service, threads, ["extract_images", "overlay_png", "of"])
