"""Counts attempts by key in a moving window, in memory."""

import threading
import time
from collections import OrderedDict, deque


class AttemptLimit:
    """At most `count` attempts by one key in `seconds`; remembers no more than `keys` keys."""

    def __init__(self, count: int, seconds: float, keys: int = 10_000) -> None:
        self._count = count
        self._seconds = seconds
        self._keys = keys
        self._lock = threading.Lock()
        self._seen: OrderedDict[str, deque[float]] = OrderedDict()

    def wait_for(self, key: str, now: float | None = None) -> float:
        """Count an attempt and return 0, or return the seconds to wait without counting it."""
        now = time.monotonic() if now is None else now
        with self._lock:
            times = self._seen.setdefault(key, deque())
            self._seen.move_to_end(key)
            while times and times[0] <= now - self._seconds:
                times.popleft()
            if len(times) >= self._count:
                return times[0] + self._seconds - now
            times.append(now)
            if len(self._seen) > self._keys:
                # The key that has been silent longest goes: an attacker with many keys can't fill the memory.
                self._seen.popitem(last=False)
            return 0.0
