"""Which kernels are used: those that run and agree with what they stand in for."""

from contextlib import nullcontext

import pytest
import torch

from serfiq_core.gpu.kernel import check_tensor_cores, fused_or_none


def kernel() -> int:
    return 7


def test_a_kernel_that_agrees_is_used_and_nothing_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert fused_or_none("sum on cpu", lambda: kernel, lambda found: found() == 7) is kernel
    assert not caplog.records


def test_one_that_gives_wrong_numbers_is_not(caplog: pytest.LogCaptureFixture) -> None:
    assert fused_or_none("sum on cpu", lambda: kernel, lambda found: found() == 8) is None
    assert "no fused sum on cpu: wrong numbers" in caplog.text


@pytest.mark.parametrize("failing", ["load", "launch"])
def test_one_that_cannot_be_loaded_or_launched_is_not(
    failing: str, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_given: object) -> bool:
        raise RuntimeError("Failed to find C compiler")

    load = fail if failing == "load" else lambda: kernel
    assert fused_or_none("sum on cpu", load, fail) is None
    assert "no fused sum on cpu: RuntimeError: Failed to find C compiler" in caplog.text


def test_out_of_memory_is_not_taken_for_a_broken_kernel() -> None:
    def agrees(_found: object) -> bool:
        raise torch.OutOfMemoryError("no memory is left")

    with pytest.raises(torch.OutOfMemoryError):
        fused_or_none("sum on cpu", lambda: kernel, agrees)


@pytest.mark.parametrize(
    ("device", "dtype", "capability", "refused"),
    [
        ("cuda", torch.float16, (7, 5), True),
        ("cuda", torch.bfloat16, (7, 5), True),
        ("cuda", torch.float32, (7, 5), False),
        ("cuda", torch.float16, (8, 0), False),
        ("cpu", torch.float16, (7, 5), False),
    ],
)
def test_before_ampere_products_of_16_bits_are_left_to_torch(
    monkeypatch: pytest.MonkeyPatch,
    device: str,
    dtype: torch.dtype,
    capability: tuple[int, int],
    refused: bool,
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    expectation = pytest.raises(NotImplementedError) if refused else nullcontext()
    with expectation:
        check_tensor_cores(torch.device(device), dtype)
