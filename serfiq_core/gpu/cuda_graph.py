"""A computation on a GPU that is recorded once for each batch size, as a CUDA graph, and replayed.

A processor takes longer to launch the hundred kernels of a small network one by one than a GPU
takes to run them. A graph is launched as a whole: both copies, to the GPU and back, are part of it.
"""

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import torch

from serfiq_core.gpu.out_of_memory import is_out_of_memory

WARM_UPS = 3
"""Before recording, as torch asks: libraries choose kernels and take their memory at first use."""

Compute = Callable[[torch.Tensor], Sequence[torch.Tensor]]
"""A batch of `B` → tensors of `B` rows each, on the same device, without waiting for it."""

Pool = Any
"""Of memory: whatever `torch.cuda.CUDAGraph.pool` gives."""

log = logging.getLogger(__name__)


class Recorded:
    """`compute`, of batches that lie on the CPU; so do the results.

    Sizes are rounded up to powers of two, the rest being zeros, so that few graphs are recorded.
    All share one memory: they are replayed one after another, by the thread that owns the device.
    What cannot be recorded is launched kernel by kernel, and the log says why.

    Args:
        compute: what is recorded.
        device: a CUDA device.
    """

    def __init__(self, compute: Compute, device: torch.device) -> None:
        self._compute = compute
        self._device = device
        self._recordings: dict[int, _Recording | None] = {}
        self._pool: Pool = None

    def __call__(self, batch: torch.Tensor) -> Sequence[torch.Tensor]:
        """`B × …` → `compute` of it.

        Raises:
            RuntimeError: as `compute` does, out of memory say.
        """
        size = recorded_size(len(batch))
        if size not in self._recordings:
            self._recordings[size] = self._record(batch.new_zeros(size, *batch.shape[1:]))
        recording = self._recordings[size]
        if recording is None:
            return [result.cpu() for result in self._compute(batch.to(self._device))]
        return recording(batch)

    def _record(self, batch: torch.Tensor) -> "_Recording | None":
        try:
            with torch.cuda.device(self._device):
                recording = _Recording(self._compute, batch, self._device, self._pool)
        except Exception as error:
            self._pool = None  # torch may take it for in use by what failed, and refuse it
            if is_out_of_memory(error):
                raise
            reason = f"{type(error).__name__}: {error}"
            log.warning("batches of %d are not recorded as a graph: %s", len(batch), reason)
            return None
        self._pool = recording.graph.pool()
        return recording


class _Recording:
    """The graph of one batch size; `batch` is of this size, on the CPU."""

    def __init__(
        self, compute: Compute, batch: torch.Tensor, device: torch.device, pool: Pool
    ) -> None:
        self._staged = batch.pin_memory()
        self._results: list[torch.Tensor] = []

        def whole_way() -> None:
            computed = compute(self._staged.to(device, non_blocking=True))
            if not self._results:
                self._results += [
                    torch.empty(each.shape, dtype=each.dtype, pin_memory=True) for each in computed
                ]
            for result, source in zip(self._results, computed, strict=True):
                result.copy_(source, non_blocking=True)

        self.graph = record(whole_way, pool)
        self._device = device

    def __call__(self, batch: torch.Tensor) -> Sequence[torch.Tensor]:
        """At most as many as were recorded."""
        count = len(batch)
        self._staged[:count] = batch
        self._staged[count:] = 0
        self.graph.replay()
        torch.cuda.current_stream(self._device).synchronize()
        return [result[:count].clone() for result in self._results]


def recorded_size(count: int) -> int:
    """The power of two that `count` is rounded up to."""
    return 1 << (count - 1).bit_length()


def record(compute: Callable[[], object], pool: Pool = None) -> torch.cuda.CUDAGraph:
    """What `compute` launches on the current CUDA device, as a graph.

    `pool`: memory of another graph to share; of none that failed.
    """
    pool = pool or torch.cuda.graph_pool_handle()
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UPS):
            compute()
    graph = torch.cuda.CUDAGraph()
    # The outer one, since a recording that fails would leave torch's stream for it the current one;
    # thread_local, since another thread of the process may use the device meanwhile.
    try:
        with (
            torch.cuda.stream(torch.cuda.current_stream()),
            torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"),
        ):
            compute()
    except Exception:
        _end_allocation(pool)
        raise
    return graph


def _end_allocation(pool: Pool) -> None:
    """What torch 2.11 leaves out where the end of a recording fails.

    Its allocator would go on routing allocations by the graph that failed, which is freed. The
    function is private, and raises where torch has done it.
    """
    with suppress(AttributeError, RuntimeError):
        torch._C._cuda_endAllocateToPool(torch.cuda.current_device(), pool)
