"""Refresh sources when their time comes: with jitter, outside the hours that their publishers ask to be left alone in."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from analyser.casework.database import CaseworkDatabase
from analyser.lists import sources
from analyser.lists.fetch import next_after

PAUSE: Final = 5.0
"""Seconds between two looks at what is due."""
log = structlog.get_logger()

type Refresh = Callable[[str], Awaitable[int]]
"""Fetches and offers one source, in a process of its own; returns its exit code."""


async def keep_fresh(database: CaseworkDatabase, refresh: Refresh, pause: float = PAUSE) -> None:
    """Refresh what is due, one source after the other, until cancelled."""
    while True:
        try:
            for name in await asyncio.to_thread(due, database):
                code = await refresh(name)
                log.info("list refreshed" if code == 0 else "list could not be refreshed; its report says why", list=name, code=code)
        except Exception:  # a loop that ended would leave every list to grow old unseen
            log.exception("lists can't be refreshed and are tried again")
        await asyncio.sleep(pause)


def due(database: CaseworkDatabase, now: float | None = None, share: Callable[[], float] = random.random) -> list[str]:
    """Return the sources whose time has come, and write down when each is fetched next: a crash does not bring it back at once."""
    at = time.time() if now is None else now
    found: list[str] = []
    with database.reading() as session:
        if not any(row.next_fetch is not None and row.next_fetch <= at for row in sources.every(session)):
            return found
    with database.session() as session:
        for row in sources.every(session):
            source = sources.settings_of(row)
            if source.every_minutes is None or row.next_fetch is None or row.next_fetch > at:
                continue
            if source.not_between is not None and source.is_remote and source.not_between.hold(at):
                row.next_fetch = source.not_between.end_after(at) + 1800 * share()
                continue
            row.next_fetch = next_after(source, row.failures, at, share())
            found.append(row.name)
    return found
