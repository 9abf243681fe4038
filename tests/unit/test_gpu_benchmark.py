"""What of benchmarks/gpu.py can be checked without a GPU: its counts, and how it says so."""

import subprocess
import sys
from functools import partial

import torch

from benchmarks import gpu
from benchmarks.roofline import Rates, Work, masked_product_work
from tests.conftest import REPOSITORY

SERVICE_ONLY = ("fastapi", "insightface", "skimage", "onnxruntime", "prometheus_client")


def test_work_of_a_product_counted_by_hand():
    # 2 images × 3 passes × 5 outputs, each 40 multiplications and 40 additions; two words a mask.
    assert masked_product_work(2, 3, 40, 5, weight_bytes=2) == Work(
        operations=2 * 3 * 5 * 80,
        bytes_moved=2 * 40 * 4 + 3 * 2 * 4 + 5 * 40 * 2 + 2 * 3 * 5 * 4,
    )


def test_the_slower_of_arithmetic_and_memory_is_the_limit():
    rates = Rates(operations=1e12, bytes_moved=1e9)
    assert rates.fewest_seconds(Work(operations=3 * 10**12, bytes_moved=10**9)) == 3
    assert rates.fewest_seconds(Work(operations=10**12, bytes_moved=5 * 10**9)) == 5


def test_each_workload_is_timed_in_turn_behind_a_run_that_is_not(monkeypatch):
    ran = []
    monkeypatch.setattr(gpu, "WARM_UPS", 1)
    monkeypatch.setattr(gpu, "seconds_of", lambda workload: workload() or float(len(ran)))
    workloads = {name: partial(ran.append, name) for name in ("alone", "whole")}
    seconds = gpu.seconds_on_gpu(workloads, 2)
    assert ran == ["alone", "whole", *["alone", "alone", "whole", "whole"] * 2]
    assert seconds == {"alone": [4.0, 8.0], "whole": [6.0, 10.0]}


def test_without_a_gpu_it_says_so_and_exits_with_2(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main([]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "needs an NVIDIA GPU" in printed.err


def test_needs_nothing_that_only_the_service_needs():
    code = f"import sys, benchmarks.gpu; print(*set({SERVICE_ONLY}) & set(sys.modules))"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, check=True, capture_output=True, text=True
    )
    assert run.stdout.split() == []
