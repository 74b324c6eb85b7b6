"""Who follows the alerts: each change is told once to everybody who listens, in order of its revision number."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Self

from analyser import alerts
from analyser.casework.database import CaseworkDatabase


class AlertFeed:
    """One listener: `async with analyser.subscribe(after) as feed: changes = await feed.wait(15)`."""

    def __init__(self, database: CaseworkDatabase, after: int | None, leave: Callable[["AlertFeed"], None]) -> None:
        self._database = database
        self._after = after
        self._changed = asyncio.Event()
        self._leave = leave

    async def wait(self, seconds: float | None = None) -> list[dict[str, Any]]:
        """Return the alerts changed since the last call, oldest change first; an empty list when none came in `seconds`.

        Each is `alerts.view`; its `revision` is what a listener that comes back gives as `after`.
        """
        try:
            async with asyncio.timeout(seconds):
                while True:
                    self._changed.clear()
                    if found := await asyncio.to_thread(self._fresh):
                        # Only here: a look that is cancelled half-way must not move the place to go on from.
                        self._after = int(found[-1]["revision"])
                        return found
                    await self._changed.wait()
        except TimeoutError:
            return []

    def wake(self) -> None:
        """Make `wait` look; from the event loop's thread."""
        self._changed.set()

    def close(self) -> None:
        """Stop listening."""
        self._leave(self)

    async def __aenter__(self) -> Self:
        if self._after is None:
            self._after = await asyncio.to_thread(self._latest)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    async def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        while True:
            for change in await self.wait():
                yield change

    def _latest(self) -> int:
        with self._database.reading() as session:
            return alerts.latest_revision(session)

    def _fresh(self) -> list[dict[str, Any]]:
        with self._database.reading() as session:
            return [alerts.view(alert) for alert in alerts.find(session, after_revision=self._after or 0)]
