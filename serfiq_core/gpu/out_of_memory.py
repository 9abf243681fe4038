"""Which errors say that there is too little memory."""

import re

import torch

IN_WORDS = re.compile(
    "can't allocate memory|out of memory|(CUBLAS|CUDNN)_STATUS_ALLOC_FAILED"
    "|CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"
    "|unable to find an engine to execute this computation"
)
"""torch has a class of error for its allocator on a GPU alone. The one on the processor, cuBLAS,
cuDNN and Triton's launches raise RuntimeErrors that only say it. The last is what torch says when
it has tried every way that cuDNN has for a convolution, and passed over each that had no room."""

LONGEST_CHAIN = 8
"""Of errors raised while others were handled: more than any here, and an end to the search."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether less of the same might have fitted: it says so, or one that it came of.

    A recording that memory ran out in ends with an error that says only that there was one before.
    """
    link: BaseException | None = error
    for _ in range(LONGEST_CHAIN):
        if link is None:
            return False
        if says_out_of_memory(link):
            return True
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return False


def says_out_of_memory(error: BaseException) -> bool:
    """Whether it says so itself, whatever it came of."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and IN_WORDS.search(str(error)) is not None
