"""The cores that a quota of CPU time leaves, as both versions of Linux' control groups tell it."""

import os

import pytest

from app import usable_cores as module
from app.usable_cores import limit_libraries, usable_cores


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))


QUOTAS = [
    ("200000", "100000", 2),
    ("150000", "100000", 2),
    ("50000", "100000", 1),
    ("1600000", "100000", 8),
]


@pytest.mark.parametrize(("quota", "period", "cores"), QUOTAS)
def test_a_quota_is_worth_so_many_cores_rounded_up(tmp_path, quota, period, cores):
    (tmp_path / "cpu.max").write_text(f"{quota} {period}\n")
    assert usable_cores(tmp_path) == cores


@pytest.mark.parametrize(("quota", "period", "cores"), [*QUOTAS, ("-1", "100000", 8)])
def test_so_it_is_in_version_1(tmp_path, quota, period, cores):
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text(f"{quota}\n")
    (tmp_path / "cpu/cpu.cfs_period_us").write_text(f"{period}\n")
    assert usable_cores(tmp_path) == cores


GROUP = "system.slice/serfiq.service"


@pytest.mark.parametrize(
    ("quotas", "cores"),
    [
        ({GROUP: "200000 100000"}, 2),
        ({GROUP: "max 100000", "system.slice": "300000 100000"}, 3),
        ({GROUP: "400000 100000", "system.slice": "300000 100000", "": "500000 100000"}, 3),
        ({"system.slice/another.service": "100000 100000"}, 8),
    ],
)
def test_the_least_quota_of_the_group_and_of_those_above_it_counts(tmp_path, quotas, cores):
    (tmp_path / "membership").write_text(f"1:name=systemd:/\n0::/{GROUP}\n")
    for group, quota in quotas.items():
        folder = tmp_path / "cgroups" / group
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "cpu.max").write_text(f"{quota}\n")
    assert usable_cores(tmp_path / "cgroups", tmp_path / "membership") == cores


@pytest.mark.parametrize(
    "told", ["0::/\n", "0::/../elsewhere\n", "4:cpu,cpuacct:/a\n", "", "0::\n"]
)
def test_a_group_that_is_not_there_has_no_quota_of_its_own(tmp_path, told):
    (tmp_path / "membership").write_text(told)
    (tmp_path / "cpu.max").write_text("300000 100000\n")
    assert usable_cores(tmp_path, tmp_path / "membership") == 3


@pytest.mark.parametrize("text", ["max 100000\n", "", "100000 0\n", "who knows\n"])
def test_without_a_quota_it_is_all_that_the_process_may_run_on(tmp_path, text):
    (tmp_path / "cpu.max").write_text(text)
    assert usable_cores(tmp_path) == 8


def test_where_nothing_is_told_there_is_no_quota(tmp_path):
    assert usable_cores(tmp_path) == 8


@pytest.mark.parametrize(
    ("usable", "before", "after"), [(2, None, "2"), (2, "5", "5"), (8, None, None)]
)
def test_a_quota_limits_the_threads_of_libraries(monkeypatch, usable, before, after):
    """Nobody's own choice, and where there is no quota theirs."""
    monkeypatch.setattr(module, "usable_cores", lambda: usable)
    environment = {} if before is None else {"OMP_NUM_THREADS": before}
    monkeypatch.setattr(os, "environ", environment)
    limit_libraries()
    assert environment.get("OMP_NUM_THREADS") == after
