"""How many cores this process may keep busy: a container may see more than it is given time on.

This file knows no settings and no torch.
"""

import math
import os
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
"""Where Linux tells a container of its own limits."""


def usable_cores(cgroups: Path = CGROUPS) -> int:
    """Cores that it may run on, or so many as its quota of CPU time is worth, rounded up; the less
    of them, and one at least.

    Args:
        cgroups: the folder of version 2's `cpu.max` or of version 1's `cpu/cpu.cfs_quota_us` and
            `cpu/cpu.cfs_period_us`, both in microseconds. Without them there is no quota.
    """
    allowed = len(os.sched_getaffinity(0))
    worth = _quota(cgroups)
    return allowed if worth is None else max(1, min(allowed, math.ceil(worth)))


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
