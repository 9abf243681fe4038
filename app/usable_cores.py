"""How many cores this process may keep busy: a container may see more than it is given time on.

This file knows no settings and no torch.
"""

import math
import os
from pathlib import Path, PurePosixPath

CGROUPS = Path("/sys/fs/cgroup")
"""Where Linux tells of limits: a container of its own, a machine of each control group's."""

MEMBERSHIP = Path("/proc/self/cgroup")
"""In which control group this process is: `0::/system.slice/serfiq.service`, say."""


def usable_cores(cgroups: Path = CGROUPS, membership: Path = MEMBERSHIP) -> int:
    """Cores that it may run on, or so many as its quota of CPU time is worth, rounded up; the less
    of them, and one at least. The quota is the least of its control group and of those above.

    Args:
        cgroups: the folder of version 2's groups, each with a `cpu.max`, or of version 1's
            `cpu/cpu.cfs_quota_us` and `cpu/cpu.cfs_period_us`, all in microseconds. Without them
            there is no quota.
        membership: names the process' group of version 2; without it, it is the topmost.
    """
    group = _group(membership)
    quotas = [_quota(cgroups / each.relative_to("/")) for each in (group, *group.parents)]
    worth = [math.ceil(quota) for quota in quotas if quota is not None]
    return max(1, min([len(os.sched_getaffinity(0)), *worth]))


def limit_libraries() -> None:
    """Have libraries start no more threads than a quota of CPU time is worth, before they are
    loaded: they count the cores that they may run on, and their threads wait for one another."""
    usable = usable_cores()
    if usable < len(os.sched_getaffinity(0)):
        os.environ.setdefault("OMP_NUM_THREADS", str(usable))


def _group(membership: Path) -> PurePosixPath:
    try:
        lines = os.fsdecode(membership.read_bytes()).splitlines()
    except OSError:
        lines = []
    paths = [line.removeprefix("0::") for line in lines if line.startswith("0::/")]
    return PurePosixPath(*paths[:1] or ["/"])


def _quota(cgroups: Path) -> float | None:
    """In cores; None where there is none (`max`, or −1), or none that can be read."""
    try:
        if (cgroups / "cpu.max").exists():
            quota, period = (cgroups / "cpu.max").read_text().split()
        else:
            quota = (cgroups / "cpu/cpu.cfs_quota_us").read_text()
            period = (cgroups / "cpu/cpu.cfs_period_us").read_text()
        worth = int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None
    return worth if worth > 0 else None
