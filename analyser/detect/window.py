"""The last minutes of events, by key: bounded in time and in number, indifferent to the order of arrival."""

from bisect import insort
from collections.abc import Hashable

from rules.event import Event


class Window[K: Hashable]:
    """Events of each key whose times lie within `seconds` of the newest one seen for that key."""

    def __init__(self, seconds: float, most: int = 100) -> None:
        self.seconds = seconds
        self._most = most
        self._kept: dict[K, list[Event]] = {}
        self._newest = 0.0
        self._added = 0

    def add(self, key: K, event: Event) -> list[Event]:
        """Add an event and return the key's events in the window that ends with its newest, oldest first."""
        kept = self._kept.setdefault(key, [])
        insort(kept, event, key=lambda e: (e.time, e.id))
        newest = kept[-1].time
        kept[:] = [e for e in kept if e.time > newest - self.seconds][-self._most :]
        self._newest = max(self._newest, newest)
        self._added += 1
        if self._added % 1000 == 0:
            self._forget()
        return kept

    def __len__(self) -> int:
        return len(self._kept)

    def _forget(self) -> None:
        for key in [key for key, kept in self._kept.items() if kept[-1].time < self._newest - 2 * self.seconds]:
            del self._kept[key]
