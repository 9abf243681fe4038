"""An assessment once more, computed in the same way as it was the first time.

Bits repeat only where kernels and threads are the same: so the face takes the same place in a batch
of as many, on as many threads. Who stood beside it makes no difference, so it stands beside itself.
"""

from serfiq_core.pipeline import PREPARING_THREADS, Pipeline, torch_threads
from serfiq_core.types import Assessment, Estimator, ScoredIn


def repeat(
    pipeline: Pipeline,
    data: bytes,
    *,
    aligned: bool,
    scored_in: ScoredIn,
    estimator: Estimator,
    profile: str,
) -> Assessment:
    """Assess a capture as it was assessed before.

    Args:
        pipeline: with the settings of the first time.
        data: the bytes of the capture.
        aligned: whether it came as an aligned face.
        scored_in: how its face was computed.
        estimator: whose score decided.
        profile: that it was held against, by name.

    Raises:
        CaptureError: the bytes cannot be decoded, or are no aligned face.
        DeviceMemoryError: a batch of that size does not fit on this device.
    """
    with torch_threads(PREPARING_THREADS):
        prepared = pipeline.prepare(data, aligned=aligned)
    scores = None
    if prepared.aligned is not None:
        with torch_threads(scored_in.threads):
            batch = pipeline.score([prepared.aligned] * scored_in.batch_size)
        scores = batch[scored_in.batch_index]
    return pipeline.decide(prepared, scores, estimator=estimator, profile=profile)
