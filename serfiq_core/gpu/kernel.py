"""GPU kernels that stand in for several operations of torch, where they run and give its numbers.

Triton may be missing; or it may lack a C compiler, or not know the device, and say so only at the
first launch, with errors of many kinds. None of them should stop a service that can do without.
"""

import logging
from collections.abc import Callable
from typing import TypeVar

import torch

from serfiq_core.gpu.out_of_memory import is_out_of_memory

Kernel = TypeVar("Kernel", bound=Callable[..., object])

FIRST_WITH_PRODUCTS = 8, 0
"""The compute capability, Ampere's, from which on Triton multiplies 16-bit types on tensor cores.
Before, on a Turing say, it takes the ordinary units, and torch's own products are far faster."""

log = logging.getLogger(__name__)


def fused_or_none(
    what: str, load: Callable[[], Kernel], agrees: Callable[[Kernel], bool]
) -> Kernel | None:
    """The kernel, if it can be loaded and agrees with what it stands in for; else a warning.

    Args:
        what: for the log, and where.
        load: imports it.
        agrees: asks it for something small, and compares.
    """
    try:
        kernel = load()
        if agrees(kernel):
            return kernel
        reason = "wrong numbers"
    except Exception as error:
        if is_out_of_memory(error):
            raise
        reason = f"{type(error).__name__}: {error}"
    log.warning("no fused %s: %s", what, reason)
    return None


def check_tensor_cores(device: torch.device, dtype: torch.dtype) -> None:
    """Refuse, on a GPU, a product of 16-bit types that Triton would not give to tensor cores.

    Raises:
        NotImplementedError: it would not.
    """
    if device.type != "cuda" or dtype.itemsize > 2:
        return
    capability = torch.cuda.get_device_capability(device)
    if capability < FIRST_WITH_PRODUCTS:
        raise NotImplementedError(f"no tensor cores for {dtype} at capability {capability}")
