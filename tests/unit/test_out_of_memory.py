"""Errors that a smaller batch answers, in the words of all who raise them."""

import pytest
import torch

from serfiq_core.gpu.out_of_memory import LONGEST_CHAIN, is_out_of_memory

FULL = [
    "DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes",
    "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
    "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
    "GET was unable to find an engine to execute this computation",
    "Triton Error [CUDA]: out of memory",
]


def ended_by_another(error: Exception, links: int = 1) -> Exception:
    """As Python chains what is raised while `error` is handled."""
    for _ in range(links):
        another = RuntimeError("operation failed due to a previous error during capture")
        another.__context__ = error
        error = another
    return error


@pytest.mark.parametrize("words", FULL)
def test_who_says_it_only_in_words_is_understood(words: str) -> None:
    assert is_out_of_memory(RuntimeError(words))


def test_other_errors_are_not_taken_for_it() -> None:
    assert not is_out_of_memory(RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"))
    assert not is_out_of_memory(ValueError("out of memory"))
    assert not is_out_of_memory(ended_by_another(ValueError("no batch")))


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("full"), MemoryError()])
def test_an_error_that_came_of_it_counts(error: Exception) -> None:
    assert is_out_of_memory(error)
    assert is_out_of_memory(ended_by_another(error))


def test_one_that_hides_what_it_came_of_does_not() -> None:
    error = ended_by_another(MemoryError())
    error.__suppress_context__ = True
    assert not is_out_of_memory(error)


def test_the_search_has_an_end() -> None:
    assert is_out_of_memory(ended_by_another(MemoryError(), LONGEST_CHAIN - 1))
    assert not is_out_of_memory(ended_by_another(MemoryError(), LONGEST_CHAIN))
