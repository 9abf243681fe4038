"""The same pipeline behind LitServe: `python -m benchmarks.litserve_app SETTINGS`.

Written as LitServe's documentation has it: the request is decoded in `decode_request`, `predict`
takes the batch, and LitServe forms it. SETTINGS are `LitServeSettings` and a port, in JSON.
"""

import base64
import json
import sys
from collections.abc import Sequence
from typing import Any

import litserve
import torch

from serfiq_core.allocation import keep_freed_memory
from serfiq_core.loading import load_pipeline
from serfiq_core.packs.registry import embedded_pack
from serfiq_core.types import Assessment, FaceScores, PreparedCapture

REQUEST_TIMEOUT_SECONDS = 30.0
"""As the service's own deadline."""

Scored = tuple[PreparedCapture, FaceScores | None]


class QualityAPI(litserve.LitAPI):  # type: ignore[misc]
    """A photograph as base64 in JSON in, score and decision out."""

    def __init__(self, threads: int, max_batch_size: int, batch_timeout: float) -> None:
        super().__init__(max_batch_size=max_batch_size, batch_timeout=batch_timeout)
        self._threads = threads

    def setup(self, device: str) -> None:
        """Loads the embedded pack; once in each worker process."""
        keep_freed_memory()  # as the service does
        torch.set_num_threads(self._threads)
        pack = embedded_pack()
        self._pipeline = load_pipeline(pack, device="cuda" if "cuda" in device else "cpu")

    def decode_request(self, request: dict[str, str]) -> PreparedCapture:
        """One request: decoded, detected and aligned."""
        return self._pipeline.prepare(base64.b64decode(request["image"]))

    def predict(self, captures: list[PreparedCapture]) -> list[Scored]:
        """A batch: all its faces go through the recogniser together."""
        faces = [capture.aligned for capture in captures if capture.aligned is not None]
        scores = iter(self._pipeline.score(faces) if faces else [])
        return [(c, None if c.aligned is None else next(scores)) for c in captures]

    def encode_response(self, scored: Scored) -> dict[str, Any]:
        """One answer."""
        return _answer(self._pipeline.decide(*scored))


def _answer(assessment: Assessment) -> dict[str, Any]:
    decision = assessment.decision
    return {
        "quality_score": assessment.quality_score,
        "decision": decision.verdict,
        "reasons": [reason.code for reason in decision.reasons],
    }


def main(arguments: Sequence[str]) -> None:
    """Serves until a signal ends it."""
    settings = json.loads(arguments[0])
    api = QualityAPI(
        settings["threads"], settings["max_batch_size"], settings["batch_timeout_seconds"]
    )
    # ZeroMQ in place of its own queues (`fast_queue`) made no difference at these rates.
    server = litserve.LitServer(
        api, workers_per_device=settings["workers"], timeout=REQUEST_TIMEOUT_SECONDS
    )
    server.run(
        host="127.0.0.1",
        port=settings["port"],
        generate_client_file=False,
        log_level="warning",
        access_log=False,
    )


if __name__ == "__main__":
    main(sys.argv[1:])
