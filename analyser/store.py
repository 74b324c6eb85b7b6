"""The event store: one encrypted DuckDB file, owned by this process, written by one thread."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import duckdb

from analyser import schema
from analyser.query import EventQuery
from analyser.storefile import StoreFile, size_of, timestamp, transaction
from rules.event import Event

LEDGER_SECONDS: Final = 24 * 3600
"""How long the names of ingested segments are kept: far longer than a segment's file can outlive its ingest."""


@dataclass(frozen=True, slots=True)
class SegmentRecord:
    """One spool segment as the ledger keeps it."""

    name: str
    events: int
    torn: int


@dataclass(frozen=True, slots=True)
class StoreStats:
    """Figures about the store, for health and reports."""

    events: int
    segments: int
    torn_lines: int
    batch: int
    newest: float | None
    """Time of the newest event, seconds since the epoch."""
    file_bytes: int
    log_bytes: int
    """Size of the write-ahead log."""


class EventStore:
    """Every event ever ingested and not yet expired.

    `key` is any secret text or bytes; the file and its log hold nothing readable. Methods may be called from any
    thread: writes queue for the one write thread, each reader has a cursor of its own and sees whole transactions.
    """

    def __init__(self, path: Path, key: bytes) -> None:
        self.path = path
        self.findings: list[str] = []
        """Sentences about what opening had to put right, for health and an alert."""
        self._file = StoreFile(path, key, self.findings)
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="event-store")
        self._guard = threading.Lock()
        self._closed = False
        try:
            self._connection = self._writer.submit(self._file.open).result()
        except BaseException:
            self._writer.shutdown()
            raise

    # --- writing --------------------------------------------------------------------------------------------------

    def add(self, rows: str, segments: Sequence[SegmentRecord]) -> int:
        """Store a JSON array of events and the segments they came from in one transaction; return the batch number."""
        batch = self._write(lambda connection: self._add(connection, rows, segments))
        self._file.note_batch(batch)
        return batch

    def can_hold(self, rows: str) -> bool:
        """Say whether a JSON array of events could be stored; nothing is."""
        try:
            self._read(f"SELECT count(time) FROM ({schema.ROWS})", [0, rows])  # noqa: S608  (constants only)
        except duckdb.DataError:
            return False
        return True

    def known_segments(self, names: Sequence[str]) -> set[str]:
        """Return those of the names that were ingested already."""
        found = self._read("SELECT name FROM store.segments WHERE list_contains(?, name)", [list(names)])
        return {str(row[0]) for row in found}

    def forget_segments(self, before: float) -> None:
        """Drop ledger lines older than a moment; the caller has seen that their files are gone."""
        self._write(lambda connection: connection.execute("DELETE FROM store.segments WHERE ingested < ?", [timestamp(before)]) and None)

    def delete_before(self, moment: float) -> int:
        """Delete the events before a moment, give their room in the file free, and return how many they were."""
        oldest = self._read("SELECT epoch(min(time)) FROM store.events", [])[0][0]
        if oldest is None or oldest >= moment:
            return 0
        deleted = self._write(lambda c: c.execute("DELETE FROM store.events WHERE time < ?", [timestamp(moment)]).fetchall())
        self.checkpoint()
        return int(deleted[0][0])

    def checkpoint(self) -> None:
        """Move the write-ahead log into the file."""
        self._writer.submit(lambda: self._connection.execute("CHECKPOINT store")).result()

    # --- reading --------------------------------------------------------------------------------------------------

    def query(self, query: EventQuery) -> list[dict[str, Any]]:
        """Return events as rows ready for JSON: the fields of `Event`, time as ISO 8601 in UTC."""
        sql, parameters = query.sql()
        names = [name for name, _ in schema.EVENT_COLUMNS]
        rows = []
        for row in self._read(sql, parameters):
            values = dict(zip(names, row, strict=True))
            values["time"] = iso(values["time"])
            rows.append(values)
        return rows

    def event(self, event_id: str) -> Event | None:
        """Return one event, or None."""
        rows = self._read(f"SELECT {schema.SELECTED} FROM store.events AS e WHERE id = ? LIMIT 1", [event_id])  # noqa: S608
        return _event(rows[0]) if rows else None

    def after_batch(self, batch: int, limit: int = 5000) -> list[tuple[int, list[Event]]]:
        """Return the events of later batches, whole batches in order, stopping after about `limit` events."""
        last = self._read(
            "SELECT max(batch) FROM (SELECT batch, sum(count(*)) OVER (ORDER BY batch) - count(*) AS before FROM store.events "
            "WHERE batch > ? GROUP BY batch) WHERE before < ?",
            [batch, limit],
        )[0][0]
        if last is None:
            return []
        rows = self._read(
            f"SELECT e.batch, {schema.SELECTED} FROM store.events AS e WHERE batch > ? AND batch <= ? ORDER BY batch, time, id",  # noqa: S608
            [batch, last],
        )
        batches: dict[int, list[Event]] = {}
        for row in rows:
            batches.setdefault(row[0], []).append(_event(row[1:]))
        return list(batches.items())

    def noteworthy_since(self, since: float, until_batch: int, reason: str | None = None) -> list[Event]:
        """Return events since a moment, of batches already looked at, in order of time: those with a reason, or all that were
        blocked, warned of or have a level.
        """
        rows = self._read(
            f"SELECT {schema.SELECTED} FROM store.events AS e WHERE time >= ? AND batch <= ? "  # noqa: S608
            f"AND {'reason = ?' if reason else "(action IN ('block', 'warn') OR level > 0 OR ? <> '')"} ORDER BY time, id",
            [timestamp(since), until_batch, reason or ""],
        )
        return [_event(row) for row in rows]

    def read(self, sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Return the rows of a question that another module of the analyser asks of `store.events`; it sees whole transactions."""
        return self._read(sql, parameters)

    def stats(self) -> StoreStats:
        """Return figures about the store."""
        events, newest = self._read("SELECT count(*), epoch(max(time)) FROM store.events", [])[0]
        batch, _, segments, torn = self._read("SELECT * FROM store.totals", [])[0]
        return StoreStats(events, segments, torn, batch, newest, size_of(self.path), size_of(self._file.log))

    def close(self) -> None:
        """Finish pending writes, fold the log into the file and let it go; again does nothing."""
        if self._closed:
            return
        self._closed = True
        if self._writer.submit(self._shut).exception() is not None:
            self.findings.append("The event store could not be closed cleanly; its log is replayed at the next start.")
        self._writer.shutdown()

    # --- the connection -------------------------------------------------------------------------------------------

    def _write[T](self, work: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        return self._writer.submit(self._write_here, work).result()

    def _write_here[T](self, work: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        try:
            with transaction(self._connection):
                return work(self._connection)
        except duckdb.FatalException:
            # DuckDB refuses everything after an internal fault until the file is opened again.
            self.findings.append("The event store had an internal fault and was opened again; no ingested event is lost.")
            with self._guard:
                self._connection.close()
                self._connection = self._file.open()
            raise

    def _read(self, sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        with self._guard:
            cursor = self._connection.cursor()
        try:
            return cursor.execute(sql, list(parameters)).fetchall()
        finally:
            cursor.close()

    def _add(self, connection: duckdb.DuckDBPyConnection, rows: str, segments: Sequence[SegmentRecord]) -> int:
        events, torn = sum(s.events for s in segments), sum(s.torn for s in segments)
        connection.execute("UPDATE store.totals SET batch = batch + 1, events = events + ?, segments = segments + ?, torn = torn + ?",
                           [events, len(segments), torn])  # fmt: skip
        found = connection.execute("SELECT batch FROM store.totals").fetchone()
        assert found is not None, "the first schema step writes this row"
        batch = int(found[0])
        connection.execute(schema.INSERT, [batch, rows])
        now = timestamp(time.time())
        marks = ", ".join(["(?, ?, ?, ?, ?)"] * len(segments))
        values = [value for s in segments for value in (s.name, batch, s.events, s.torn, now)]
        connection.execute(f"INSERT INTO store.segments VALUES {marks}", values)  # noqa: S608  (marks only)
        return batch

    @property
    def latest_batch(self) -> int:
        """Number of the newest batch."""
        return int(self._read("SELECT batch FROM store.totals", [])[0][0])

    def _shut(self) -> None:
        with self._guard:
            try:
                self._connection.execute("CHECKPOINT store")
                self._connection.execute("DETACH store")
            finally:
                self._connection.close()


def iso(seconds: float) -> str:
    """Return ISO 8601 with milliseconds and a Z, from seconds since the epoch."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _event(row: tuple[Any, ...]) -> Event:
    fields = list(row)
    for index in _TUPLES:
        fields[index] = tuple(fields[index])
    return Event(*fields)


_TUPLES = [index for index, (_, kind) in enumerate(schema.EVENT_COLUMNS) if kind == "VARCHAR[]"]
