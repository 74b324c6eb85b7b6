"""The analyser: ingest, detectors, snapshot and ruleset kept going beside the console's web server."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

from analyser import health
from analyser.alerting import Alerting
from analyser.casework.database import CaseworkDatabase, DataVersion
from analyser.detect.detectors import Detectors, DetectorSettings
from analyser.detect.gateway import condition
from analyser.faults import ingest_sentence, trace
from analyser.feed import AlertFeed, AlertHub
from analyser.ingest import Ingest, Ingested
from analyser.lists.watch import refresh_conditions, sealed_conditions
from analyser.publisher import SnapshotPublisher
from analyser.retention import expire
from analyser.rulekeeper import RuleKeeper
from analyser.store import EventStore, iso
from rules.ruleset import Ruleset

log = structlog.get_logger()

INGEST_SECONDS: Final = 0.05
HOLD_SECONDS: Final = 0.3
"""Plain allowed requests wait this long for company; the rest is stored at once, since an alert is due within a second."""
CASEWORK_SECONDS: Final = 0.1
RULES_SECONDS: Final = 0.5
HEALTH_SECONDS: Final = 1.0
RETENTION_SECONDS: Final = 600.0


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
        self._alerting: Alerting
        self._publisher: SnapshotPublisher
        self._hub: AlertHub
        self._data_version: DataVersion
        self._loop: asyncio.AbstractEventLoop
        self._tasks: list[asyncio.Task[None]] = []
        self._ingest_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ingest")
        self._raised: set[tuple[str, str]] = set()
        self._changed = False
        """True while a change of the casework is still to be told to workers and listeners."""
        self._step_fault: str | None = None
        self._last_adopted = 0.0

    @property
    def ruleset(self) -> Ruleset:
        """The ruleset in force, as the console sees it."""
        return self._keeper.ruleset

    # --- life -----------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Open both stores, catch up with what was ingested but not looked at, publish the snapshot, begin the loops."""
        self._loop = asyncio.get_running_loop()
        await self._loop.run_in_executor(self._ingest_thread, self._open)
        steps = (("casework", self._casework_step, CASEWORK_SECONDS), ("rules", self._keeper.step, RULES_SECONDS),
                 ("health", self._health_step, HEALTH_SECONDS), ("retention", self._retention_step, RETENTION_SECONDS))  # fmt: skip
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
        self._hub = AlertHub(self.casework)
        self._ingest = Ingest(settings.spool, self.store, HOLD_SECONDS)
        self._alerting = Alerting(self.casework, self.store, Detectors(self._theme_of, settings.detectors), self._wake)
        self._publisher = SnapshotPublisher(self.casework, settings.snapshot)
        self._data_version = self.casework.data_version()
        self._alerting.catch_up()
        for sentence in self.store.findings:
            log.warning("event store", finding=sentence)
            self._alerting.tell([condition("store", sentence, time.time())])
        self.publish()

    def _close(self) -> None:
        self._ingest.hold = 0.0
        try:
            while self._ingest_step().segments:
                pass
            self._alerting.keep_place()
        except Exception as error:  # noqa: BLE001  (the events stay in the spool, the batches behind the cursor)
            log.error("the last events could not be taken in; the next start does it", **trace(error))  # noqa: TRY400
        self._data_version.close()
        self.store.close()
        self.casework.close()

    async def _repeat(self, name: str, work: Callable[[], object], pause: float) -> None:
        while True:
            try:
                await asyncio.to_thread(work)
            except Exception as error:  # noqa: BLE001  (a loop that ended would leave grants open and alerts unraised)
                log.error("a step of the analyser failed and is tried again", loop=name, **trace(error))  # noqa: TRY400
                await asyncio.sleep(1)
            await asyncio.sleep(pause)

    # --- events to alerts -----------------------------------------------------------------------------------------

    async def _ingest_loop(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                if not self._ingest.worth_a_step():
                    await asyncio.sleep(INGEST_SECONDS)
                    continue
                result = await loop.run_in_executor(self._ingest_thread, self._ingest_step)
                self._step_fault = None
            except Exception as error:  # noqa: BLE001  (whatever it is, the events still wait in the spool)
                self._step_fault = ingest_sentence(error)
                log.error("ingest failed and is tried again", **trace(error))  # noqa: TRY400
                await asyncio.sleep(1)
                continue
            took = loop.time() - began
            if result.waiting:
                # A backlog goes first, yet the console still answers: this much of the time is its own.
                await asyncio.sleep(took / 4)
                continue
            # A quarter of the time at most: workers share these cores, and a larger batch costs less for each event.
            await asyncio.sleep(max(INGEST_SECONDS - took, min(3 * took, 0.2), 0.01))

    def _ingest_step(self) -> Ingested:
        self._alerting.settle()  # what could not be written last time
        if time.monotonic() - self._last_adopted > 1:
            self._last_adopted = time.monotonic()
            if adopted := self._ingest.adopt():
                log.info("took over segments of a worker that is gone", segments=adopted)
        result = self._ingest.step()
        if result.batch:
            self._alerting.look(result.batch, result.events)
        if result.torn:
            sentence = f"{len(result.torn)} spool segments held lines that can't be read, kept in spool/aside ({result.torn[0]})."
            log.warning("torn lines", files=result.torn)
            self._alerting.tell([condition("spool", sentence, time.time())])
        return result

    def _theme_of(self, category: str) -> str:
        return self._keeper.ruleset.policy.theme_of(category) if category else "other"

    # --- casework to workers --------------------------------------------------------------------------------------

    def publish(self) -> None:
        """Write the snapshot now if grants or accounts are other than in the last one; from any thread, after the commit."""
        self._publisher.publish()

    def _casework_step(self) -> None:
        self._publisher.step()
        if self._data_version.changed():
            self._changed = True
        if self._changed:
            self._publisher.publish_if_audited()
            self._changed = False
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
        else:
            found.conditions += sealed_conditions(self.ruleset.sealed, found.at)
        with self.casework.reading() as session:
            found.conditions += refresh_conditions(session)
        if self._step_fault is not None:
            found.conditions.append(health.Condition("store", self._step_fault))
        self.health = found
        # Told once for as long as it lasts; the worker's name and the like are part of the key, a changing figure is not.
        now = {(c.cause, "".join(ch for ch in c.sentence if not ch.isdigit())): c for c in found.conditions}
        fresh = [condition(c.cause, c.sentence, found.at, level=c.level) for key, c in now.items() if key not in self._raised]
        self._alerting.tell(fresh)
        self._raised = set(now)  # after the telling: one that failed is told again

    def _retention_step(self) -> None:
        policy = self.ruleset.policy
        expire(self.store, self.casework, self._ingest.aside, policy.retention.event_days, policy.timezone, time.time())

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
        return AlertFeed(self._hub, after)

    def _wake(self) -> None:
        if self._hub.followed:
            with contextlib.suppress(RuntimeError):  # the loop is closing
                self._loop.call_soon_threadsafe(self._hub.wake)
