"""Which errors say that there is too little memory."""

import re

import torch

IN_WORDS = re.compile("can't allocate memory|CUBLAS_STATUS_ALLOC_FAILED|out of memory")
"""torch has a class of error for its allocator on a GPU alone. The one on the processor, cuBLAS and
Triton's launches raise RuntimeErrors that only say it."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether less of the same might have fitted."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and IN_WORDS.search(str(error)) is not None
