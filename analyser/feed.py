"""Who follows the alerts: each change is read and written as JSON once, and told to everybody who listens, in order."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final, Self

import msgspec
import structlog

from analyser import alerts
from analyser.casework.database import CaseworkDatabase
from analyser.faults import trace

log = structlog.get_logger()

KEPT: Final = 2000
"""Changes kept for listeners that are slower than the rest; who is further behind reads from the database."""
AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class Change:
    """An alert after a change of it."""

    revision: int
    """What a listener that comes back gives as `after`."""
    view: dict[str, Any]
    """As `alerts.view` gives it."""
    json: bytes


class AlertHub:
    """Reads changes from the database and hands them to its feeds; used from the event loop's thread."""

    def __init__(self, database: CaseworkDatabase) -> None:
        self._database = database
        self._feeds: set[AlertFeed] = set()
        self._recent: deque[Change] = deque()
        self._floor = 0
        """Every change after this revision and up to `_seen` is in `_recent`, as far as it was not changed again."""
        self._seen = 0
        self._asked = asyncio.Event()
        self._reader: asyncio.Task[None] | None = None

    @property
    def followed(self) -> bool:
        """True while somebody listens."""
        return bool(self._feeds)

    def wake(self) -> None:
        """Say that alerts may have changed."""
        if self._feeds:
            self._asked.set()

    async def enter(self, feed: "AlertFeed") -> int:
        """Let a feed in; return the newest revision from which it may go on."""
        latest = await asyncio.to_thread(self._latest)
        if not self._feeds:
            self._recent.clear()
            self._floor = self._seen = latest
        self._feeds.add(feed)
        if self._reader is None:
            self._reader = asyncio.create_task(self._read(), name="alert feed")
        self._asked.set()
        return latest

    def leave(self, feed: "AlertFeed") -> None:
        """Let a feed go; with the last one, reading stops."""
        self._feeds.discard(feed)
        if not self._feeds and self._reader is not None:
            self._reader.cancel()
            self._reader = None

    async def after(self, revision: int) -> list[Change]:
        """Return the known changes after a revision, oldest first."""
        if revision < self._floor:
            return await asyncio.to_thread(self._fresh, revision)
        return [change for change in self._recent if change.revision > revision]

    async def _read(self) -> None:
        while True:
            await self._asked.wait()
            self._asked.clear()
            try:
                while await self._step():
                    pass
            except Exception as error:  # noqa: BLE001  (listeners would wait for ever)
                log.error("alert changes can't be read and are tried again", **trace(error))  # noqa: TRY400
                self._asked.set()
                await asyncio.sleep(1)

    async def _step(self) -> bool:
        """Read on; True when there is more."""
        found = await asyncio.to_thread(self._fresh, self._seen)
        if not found:
            return False
        self._recent.extend(found)
        self._seen = found[-1].revision
        while len(self._recent) > KEPT:
            self._floor = self._recent.popleft().revision
        for feed in self._feeds:
            feed.wake()
        return len(found) == AT_ONCE

    def _latest(self) -> int:
        with self._database.reading() as session:
            return alerts.latest_revision(session)

    def _fresh(self, after: int) -> list[Change]:
        with self._database.reading() as session:
            views = [alerts.view(alert) for alert in alerts.find(session, after_revision=after, limit=AT_ONCE)]
        return [Change(view["revision"], view, msgspec.json.encode(view)) for view in views]


class AlertFeed:
    """One listener: `async with analyser.subscribe(after) as feed: changes = await feed.wait(15)`."""

    def __init__(self, hub: AlertHub, after: int | None) -> None:
        self._hub = hub
        self._after = after
        self._changed = asyncio.Event()

    async def wait(self, seconds: float | None = None) -> list[dict[str, Any]]:
        """Return the alerts changed since the last call as `alerts.view` gives them; see `changes`."""
        return [change.view for change in await self.changes(seconds)]

    async def changes(self, seconds: float | None = None) -> list[Change]:
        """Return what changed since the last call, oldest change first; an empty list when nothing did in `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                while True:
                    self._changed.clear()
                    assert self._after is not None, "a feed is used with `async with`"
                    if found := await self._hub.after(self._after):
                        # Only here: a look that is cancelled half-way must not move the place to go on from.
                        self._after = found[-1].revision
                        return found
                    await self._changed.wait()
        except TimeoutError:
            return []

    def wake(self) -> None:
        """Make `changes` look; from the event loop's thread."""
        self._changed.set()

    def close(self) -> None:
        """Stop listening."""
        self._hub.leave(self)

    async def __aenter__(self) -> Self:
        latest = await self._hub.enter(self)
        if self._after is None:
            self._after = latest
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    async def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        while True:
            for change in await self.wait():
                yield change
