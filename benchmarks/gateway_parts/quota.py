"""A share of a core for a process: the kernel's own limit on processor time, so that the rest of the core stays free."""

import contextlib
import os
import time
from collections.abc import Sequence
from pathlib import Path

PERIOD_MICROSECONDS = 10_000
"""Short, so that a process that has used its share waits some milliseconds and not a tenth of a second."""

_ROOT = Path("/sys/fs/cgroup")


class Quota:
    """A control group of its own for each process that is held; needs leave to write below /sys/fs/cgroup.

    Version 1 of control groups (`cpu.cfs_quota_us`) and version 2 (`cpu.max`) are both understood.
    """

    def __init__(self) -> None:
        self._made: list[Path] = []

    def hold(self, pids: Sequence[int], share: float) -> None:
        """Let each of the processes use `share` of one core at most (0.6: 60 %); OSError where that isn't allowed."""
        for pid in pids:
            group = _ROOT / "cpu" if (_ROOT / "cpu").is_dir() else _ROOT
            group /= f"schoolgate-benchmark-{os.getpid()}-{pid}"
            group.mkdir()
            self._made.append(group)
            microseconds = round(share * PERIOD_MICROSECONDS)
            if (group / "cpu.cfs_quota_us").exists():
                (group / "cpu.cfs_period_us").write_text(str(PERIOD_MICROSECONDS))
                (group / "cpu.cfs_quota_us").write_text(str(microseconds))
            else:
                (group / "cpu.max").write_text(f"{microseconds} {PERIOD_MICROSECONDS}")
            (group / "cgroup.procs").write_text(str(pid))

    def release(self) -> None:
        """Take the groups away, once their processes have ended."""
        for group in self._made:
            for _ in range(50):
                with contextlib.suppress(OSError):
                    group.rmdir()
                    break
                time.sleep(0.1)
        self._made.clear()
