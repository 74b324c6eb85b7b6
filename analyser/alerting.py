"""From stored events to alerts, each batch once: the alerts of a batch and the cursor behind it stand or fall together."""

import time
from collections.abc import Callable, Sequence
from typing import Final

from sqlalchemy.orm import Session

from analyser.casework.database import CaseworkDatabase
from analyser.casework.models import DetectorCursor
from analyser.detect.detectors import Detectors
from analyser.detect.draft import AlertDraft
from analyser.detect.grave import DELIBERATE_SECONDS
from analyser.joining import join
from analyser.store import EventStore
from rules.decision import Reason
from rules.event import Event

CURSOR_BATCHES: Final = 200
"""The cursor moves with every alert, and without one at least this often: reading batches again does no harm."""


class Alerting:
    """Runs the detectors over each batch and raises what they draft; used from the ingest thread alone."""

    def __init__(self, database: CaseworkDatabase, store: EventStore, detectors: Detectors, raised: Callable[[], None]) -> None:
        self._database = database
        self._store = store
        self._detectors = detectors
        self._raised = raised
        with database.reading() as session:
            row = session.get(DetectorCursor, 1)
            self._cursor = self._stored = row.batch if row is not None else 0
        self._unraised: list[AlertDraft] = []
        """Drafts of batches that the detectors have seen and the casework has not: it could not be written."""

    def look(self, batch: int, events: Sequence[Event]) -> None:
        """Run the detectors over a batch; when its alerts can't be written, they are kept and written with the next ones."""
        self._unraised += self._detectors.feed(events)
        self._cursor = batch
        self.settle()

    def settle(self) -> None:
        """Write what is still to be written; raises what the database raises."""
        if self._unraised:
            with self._database.session() as session:
                join(session, self._unraised)
                self._move(session)
            self._unraised = []
            self._stored = self._cursor
            self._raised()
        elif self._cursor - self._stored >= CURSOR_BATCHES:
            self.keep_place()

    def tell(self, drafts: Sequence[AlertDraft]) -> None:
        """Raise alerts about the gateway itself, which no event speaks of; from any thread."""
        if drafts:
            with self._database.session() as session:
                join(session, drafts)
            self._raised()

    def keep_place(self) -> None:
        """Write down how far the detectors have come."""
        if self._cursor > self._stored and not self._unraised:
            with self._database.session() as session:
                self._move(session)
            self._stored = self._cursor

    def catch_up(self) -> None:
        """Give the detectors their memory back, then look at batches that were stored but not looked at."""
        newest = self._store.stats().newest
        if newest is None:
            return
        since = min(newest, time.time())
        seen = {
            event.id: event
            for event in (
                *self._store.noteworthy_since(since - DELIBERATE_SECONDS, self._cursor, Reason.SEALED_LIST),
                *self._store.noteworthy_since(since - self._detectors.settings.memory_seconds, self._cursor),
            )
        }
        self._detectors.feed(sorted(seen.values(), key=lambda event: event.time))
        while batches := self._store.after_batch(self._cursor):
            for batch, events in batches:
                self.look(batch, events)

    def _move(self, session: Session) -> None:
        session.merge(DetectorCursor(id=1, batch=self._cursor))
