"""The analyser: ingest, detectors, snapshot and ruleset kept going beside the console's web server."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

from analyser import alerts, health
from analyser.casework import unblock
from analyser.casework.accounts import proxy_accounts
from analyser.casework.database import CaseworkDatabase
from analyser.casework.models import DetectorCursor
from analyser.casework.snapshot import publish_snapshot
from analyser.detect.detectors import Detectors, DetectorSettings
from analyser.detect.draft import AlertDraft
from analyser.detect.gateway import condition
from analyser.detect.grave import DELIBERATE_SECONDS
from analyser.feed import AlertFeed
from analyser.ingest import Ingest, Ingested
from analyser.rulekeeper import RuleKeeper
from analyser.store import EventStore, iso
from rules.decision import Reason
from rules.event import Event
from rules.ruleset import Ruleset

log = structlog.get_logger()

INGEST_SECONDS: Final = 0.05
CASEWORK_SECONDS: Final = 0.1
RULES_SECONDS: Final = 0.5
HEALTH_SECONDS: Final = 1.0
CURSOR_BATCHES: Final = 200
"""The cursor moves with every alert, and without one at least this often: reading batches again does no harm."""


class AnalyserSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Files and keys that the analyser works on."""

    policy_file: Path
    lists: Path
    sealed: Path
    rulesets: Path
    spool: Path
    snapshot: Path
    run: Path
    events: Path
    events_key: bytes
    casework: str
    """Path of an SQLite file, or an SQLAlchemy URL."""
    casework_key: bytes
    detectors: DetectorSettings = DetectorSettings()


class Analyser:
    """One running analyser; `start` before use, `stop` takes in what is left in the spool.

    `casework`, `store` and `ruleset` may be used from any thread between the two.
    """

    def __init__(self, settings: AnalyserSettings) -> None:
        self.settings = settings
        self.casework: CaseworkDatabase
        self.store: EventStore
        self.health = health.Health()
        self._keeper: RuleKeeper
        self._ingest: Ingest
        self._detectors: Detectors
        self._feeds: set[AlertFeed] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._ingest_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ingest")
        self._publish_lock = threading.Lock()
        self._published: object = None
        self._next_expiry: float | None = None
        self._raised: set[tuple[str, str]] = set()
        self._cursor = 0
        self._cursor_stored = 0
        self._step_fault: str | None = None
        self._torn_files = 0
        self._last_adopted = 0.0

    @property
    def ruleset(self) -> Ruleset:
        """The ruleset in force, as the console sees it."""
        return self._keeper.ruleset

    # --- life -----------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Open both stores, catch up with what was ingested but not looked at, publish the snapshot, begin the loops."""
        await asyncio.get_running_loop().run_in_executor(self._ingest_thread, self._open)
        self._loop = asyncio.get_running_loop()
        steps = (("casework", self._casework_step, CASEWORK_SECONDS), ("rules", self._keeper.step, RULES_SECONDS),
                 ("health", self._health_step, HEALTH_SECONDS))  # fmt: skip
        self._tasks = [asyncio.create_task(self._ingest_loop(), name="ingest")]
        self._tasks += [asyncio.create_task(self._repeat(*step), name=step[0]) for step in steps]

    async def stop(self) -> None:
        """End the loops, ingest the rest of the spool, close both stores."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.get_running_loop().run_in_executor(self._ingest_thread, self._close)
        self._ingest_thread.shutdown()

    def _open(self) -> None:
        settings = self.settings
        self.casework = CaseworkDatabase(settings.casework, settings.casework_key)
        try:
            self._keeper = RuleKeeper(settings.policy_file, settings.lists, settings.sealed, settings.rulesets, self.casework)
            self.store = EventStore(settings.events, settings.events_key)
        except BaseException:
            self.casework.close()
            raise
        self._ingest = Ingest(settings.spool, self.store)
        self._detectors = Detectors(self._theme_of, settings.detectors)
        self._data_version = self.casework.data_version()
        self._catch_up()
        for sentence in self.store.findings:
            log.warning("event store", finding=sentence)
            self._raise([condition("store", sentence, time.time())])
        self.publish()

    def _close(self) -> None:
        with contextlib.suppress(OSError):
            while self._ingest_step().segments:
                pass
        self._move_cursor()
        self._data_version.close()
        self.store.close()
        self.casework.close()

    async def _repeat(self, name: str, work: Callable[[], object], pause: float) -> None:
        while True:
            try:
                await asyncio.to_thread(work)
            except Exception:  # a loop that ended would leave grants open and alerts unraised
                log.exception("a step of the analyser failed and is tried again", loop=name)
                await asyncio.sleep(1)
            await asyncio.sleep(pause)

    # --- events to alerts -----------------------------------------------------------------------------------------

    async def _ingest_loop(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                result = await loop.run_in_executor(self._ingest_thread, self._ingest_step)
                self._step_fault = None
            except Exception as error:
                self._step_fault = f"Events can't be stored ({type(error).__name__}); they wait in the spool and are tried again."
                log.exception("ingest failed and is tried again")
                await asyncio.sleep(1)
                continue
            if result.waiting:
                continue
            # A quarter of the time at most: workers share these cores, and a larger batch costs less for each event.
            await asyncio.sleep(max(INGEST_SECONDS - (loop.time() - began), min(3 * (loop.time() - began), 0.2), 0.01))

    def _ingest_step(self) -> Ingested:
        if time.monotonic() - self._last_adopted > 1:
            self._last_adopted = time.monotonic()
            if adopted := self._ingest.adopt():
                log.info("took over segments of a worker that is gone", segments=adopted)
        result = self._ingest.step()
        if result.torn:
            self._torn_files += len(result.torn)
            sentence = f"{len(result.torn)} spool segments held lines that can't be read, kept in spool/aside ({result.torn[0]})."
            log.warning("torn lines", files=result.torn)
            self._raise([condition("spool", sentence, time.time())])
        if result.batch:
            self._detect(result.batch, result.events)
        return result

    def _detect(self, batch: int, events: list[Event]) -> None:
        """Run the detectors over a batch; the alerts and the cursor stand or fall together."""
        drafts = self._detectors.feed(events)
        self._cursor = batch
        if drafts:
            self._raise(drafts)
        elif batch - self._cursor_stored >= CURSOR_BATCHES:
            self._move_cursor()

    def _raise(self, drafts: list[AlertDraft]) -> None:
        with self.casework.session() as session:
            for draft in drafts:
                alerts.apply(session, draft)
            session.merge(DetectorCursor(id=1, batch=self._cursor))
        self._cursor_stored = self._cursor
        self._wake()

    def _move_cursor(self) -> None:
        if self._cursor > self._cursor_stored:
            with self.casework.session() as session:
                session.merge(DetectorCursor(id=1, batch=self._cursor))
            self._cursor_stored = self._cursor

    def _catch_up(self) -> None:
        """Give the detectors their memory back, then look at batches that were stored but not looked at."""
        with self.casework.reading() as session:
            row = session.get(DetectorCursor, 1)
            self._cursor = self._cursor_stored = row.batch if row is not None else 0
        newest = self.store.stats().newest
        if newest is None:
            return
        since = min(newest, time.time())
        seen = {
            event.id: event
            for event in (
                *self.store.noteworthy_since(since - DELIBERATE_SECONDS, self._cursor, Reason.SEALED_LIST),
                *self.store.noteworthy_since(since - self.settings.detectors.memory_seconds, self._cursor),
            )
        }
        self._detectors.feed(sorted(seen.values(), key=lambda event: event.time))
        while batches := self.store.after_batch(self._cursor):
            for batch, events in batches:
                self._detect(batch, events)

    def _theme_of(self, category: str) -> str:
        return self._keeper.ruleset.policy.theme_of(category) if category else "other"

    # --- casework to workers --------------------------------------------------------------------------------------

    def publish(self) -> None:
        """Write the snapshot now if grants or accounts are other than in the last one; from any thread, after the commit."""
        with self._publish_lock:
            now = time.time()
            with self.casework.reading() as session:
                grants = unblock.in_force(session, now=now)
                content = (tuple(map(unblock.grant_value, grants)), proxy_accounts(session))
                self._next_expiry = min((grant.until for grant in grants), default=None)
                if content != self._published or not self.settings.snapshot.exists():
                    publish_snapshot(session, self.settings.snapshot, now=now)
                    self._published = content

    def _casework_step(self) -> None:
        expiry = self._next_expiry
        over = expiry is not None and time.time() >= expiry
        if over:
            self.publish()
            with self.casework.session() as session:
                unblock.run_out(session)
        if self._data_version.changed():
            self.publish()
            self._wake()

    # --- rules and health -----------------------------------------------------------------------------------------

    def _health_step(self) -> None:
        found = health.look(self.settings.run, self.settings.spool)
        if self._keeper.last_error is not None:
            found.conditions.append(health.Condition("rules", f"The newest policy or list is not in force: {self._keeper.last_error}"))
        if (sealed := self._keeper.sealed_fault()) is not None:
            found.conditions.append(
                health.Condition("sealed", f"A list of unlawful content can't be read, so requests are stopped: {sealed}")
            )
        if self._step_fault is not None:
            found.conditions.append(health.Condition("store", self._step_fault))
        self.health = found
        # Told once for as long as it lasts; the worker's name and the like are part of the key, a changing figure is not.
        now = {(c.cause, "".join(ch for ch in c.sentence if not ch.isdigit())): c for c in found.conditions}
        fresh = [condition(c.cause, c.sentence, found.at, level=c.level) for key, c in now.items() if key not in self._raised]
        self._raised = set(now)
        if fresh:
            with self.casework.session() as session:
                for draft in fresh:
                    alerts.apply(session, draft)

    def health_view(self) -> dict[str, Any]:
        """Return the state of everything as the API shows it; `ok` is False while something needs a person."""
        found, keeper, stats = self.health, self._keeper, self.store.stats()
        return {
            "ok": not found.conditions,
            "time": iso(found.at),
            "problems": [{"cause": c.cause, "sentence": c.sentence} for c in found.conditions],
            "workers": found.workers,
            "ruleset": {
                "version": self.ruleset.version, "loaded": iso(keeper.loaded_at), "last_error": keeper.last_error,
                "last_error_at": iso(keeper.last_error_at) if keeper.last_error_at is not None else None,
                "sealed": list(self.ruleset.sealed.names), "list_entries": self.ruleset.lists.count,
            },
            "ingest": {"waiting_segments": found.spool_segments, "oldest_waiting_seconds": round(found.spool_age, 2), "batch": stats.batch},
            "store": {
                "events": stats.events, "segments": stats.segments, "torn_lines": stats.torn_lines,
                "newest": iso(stats.newest) if stats.newest is not None else None, "file_bytes": stats.file_bytes,
                "log_bytes": stats.log_bytes, "findings": list(self.store.findings),
            },
            "disk_free_bytes": found.disk_free,
        }  # fmt: skip

    # --- listeners ------------------------------------------------------------------------------------------------

    def subscribe(self, after: int | None = None) -> AlertFeed:
        """Return a feed of alert changes after a revision number, or from now on; use it with `async with`."""
        feed = AlertFeed(self.casework, after, self._feeds.discard)
        self._feeds.add(feed)
        return feed

    def _wake(self) -> None:
        if self._feeds:
            with contextlib.suppress(RuntimeError):  # the loop is closing
                self._loop.call_soon_threadsafe(self._wake_feeds)

    def _wake_feeds(self) -> None:
        for feed in tuple(self._feeds):
            feed.wake()
