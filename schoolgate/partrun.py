"""One life of one part: its process, whether it is ready, and the signs of life that it gives."""

import asyncio
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

from schoolgate.parts import Part

HUNG_AFTER = 15.0
"""Seconds without a sign of life, which a working worker gives every second, after which it is killed and started again."""


@dataclass(slots=True)
class Run:
    """One life of one part."""

    part: Part
    generation: int
    """Grows with every start of the part, so that a late word from an earlier life is told apart."""
    process: asyncio.subprocess.Process
    started: float = field(default_factory=time.monotonic)
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    alive_at: float = field(default_factory=time.monotonic)
    """When it last gave a sign of life."""
    report_time: int = 0
    """Time stamp of the last report seen; only its change counts, whatever the clock says."""

    def hangs(self, now: float, *, patient: bool) -> bool:
        """Say whether it lives and does nothing; `patient` counts it as alive now, whatever its report says."""
        report = self.part.report
        if report is None or not self.ready.is_set() or self.process.returncode is not None:
            return False
        stamp = _time_of(report)
        if stamp != self.report_time or patient:
            self.report_time, self.alive_at = stamp, now
            return False
        return now - self.alive_at > HUNG_AFTER and writable(report)


def ending(code: int) -> str:
    """Return how a process ended, in words, from its exit code."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


def writable(report: Path) -> bool:
    """Say whether a report could be written at all: on a full disk no worker can, and killing them would only close the gateway."""
    probe = report.with_name(".probe")
    try:
        probe.write_bytes(bytes(4096))
        probe.unlink()
    except OSError:
        return False
    return True


def _time_of(report: Path) -> int:
    try:
        return report.stat().st_mtime_ns
    except OSError:
        return 0
