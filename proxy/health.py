"""What a worker says about itself, every second, in a file that the console reads."""

import os
import time
from collections import OrderedDict
from pathlib import Path

import msgspec

PINNED_HOSTS = 50


class Health:
    """Counters of one worker and the file that shows them."""

    def __init__(self, folder: Path, name: str) -> None:
        self._path = folder / f"{name}.json"
        self._name = name
        self._started = time.time()
        self.requests = 0
        self.blocked = 0
        self.faults = 0
        self.refused_busy = 0
        self._pinned: OrderedDict[str, int] = OrderedDict()

    def pinned(self, host: str) -> None:
        """Count a device that refused our certificate for a host: an app that pins, or a device without the authority."""
        self._pinned[host] = self._pinned.get(host, 0) + 1
        self._pinned.move_to_end(host)
        while len(self._pinned) > PINNED_HOSTS:
            self._pinned.popitem(last=False)

    def facts(self, *, ruleset: int, connections: int, waiting: int, fault: str) -> dict[str, object]:
        """Return what there is to say now."""
        return {
            "name": self._name, "pid": os.getpid(), "started": self._started, "written": time.time(), "requests": self.requests,
            "blocked": self.blocked, "faults": self.faults, "refused_busy": self.refused_busy, "events_dropped": 0,
            "events_waiting": waiting, "ruleset": ruleset, "open_connections": connections,
            "pinned": dict(self._pinned), "fault": fault,
        }  # fmt: skip

    def write(self, facts: dict[str, object]) -> None:
        """Write the file, which may take as long as a disk likes; raises `OSError`."""
        beside = self._path.with_name(self._path.name + ".tmp")
        beside.write_bytes(msgspec.json.encode({**facts, "rss_bytes": _resident_bytes()}))
        beside.replace(self._path)

    def remove(self) -> None:
        """Take the file away: a worker that ended cleanly has no health."""
        self._path.unlink(missing_ok=True)


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
