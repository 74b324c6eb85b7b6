"""The event store: one encrypted DuckDB file, owned by this process, written by one thread."""

import contextlib
import importlib.util
import shutil
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
from rules.event import Event

MEMORY_LIMIT: Final = "512MB"
LEDGER_SECONDS: Final = 24 * 3600
"""How long the names of ingested segments are kept: far longer than a segment's file can outlive its ingest."""


class StoreError(RuntimeError):
    """The event store can't be used; the message is one sentence for a person."""


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
        self._key = key.hex()
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="event-store")
        self._guard = threading.Lock()
        self._closed = False
        try:
            self._connection = self._writer.submit(self._open).result()
        except BaseException:
            self._writer.shutdown()
            raise

    # --- writing --------------------------------------------------------------------------------------------------

    def add(self, rows: str, segments: Sequence[SegmentRecord]) -> int:
        """Store a JSON array of events and the segments they came from in one transaction; return the batch number."""
        batch = self._write(lambda connection: self._add(connection, rows, segments))
        self._note_batch(batch)
        return batch

    def known_segments(self, names: Sequence[str]) -> set[str]:
        """Return those of the names that were ingested already."""
        found = self._read("SELECT name FROM store.segments WHERE list_contains(?, name)", [list(names)])
        return {str(row[0]) for row in found}

    def forget_segments(self, before: float) -> None:
        """Drop ledger lines older than a moment; the caller has seen that their files are gone."""
        self._write(lambda connection: connection.execute("DELETE FROM store.segments WHERE ingested < ?", [_timestamp(before)]) and None)

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
            [_timestamp(since), until_batch, reason or ""],
        )
        return [_event(row) for row in rows]

    def stats(self) -> StoreStats:
        """Return figures about the store."""
        events, newest = self._read("SELECT count(*), epoch(max(time)) FROM store.events", [])[0]
        batch, _, segments, torn = self._read("SELECT * FROM store.totals", [])[0]
        return StoreStats(events, segments, torn, batch, newest, _size(self.path), _size(self._log))

    def close(self) -> None:
        """Finish pending writes, fold the log into the file and let it go; again does nothing."""
        if self._closed:
            return
        self._closed = True
        if self._writer.submit(self._shut).exception() is not None:
            self.findings.append("The event store could not be closed cleanly; its log is replayed at the next start.")
        self._writer.shutdown()

    # --- the connection -------------------------------------------------------------------------------------------

    @property
    def _log(self) -> Path:
        return self.path.with_name(self.path.name + ".wal")

    @property
    def _batch_note(self) -> Path:
        """Number of the newest batch, kept outside: DuckDB passes over the damaged end of a log without a word."""
        return self.path.with_name(self.path.name + ".batch")

    def _open(self) -> duckdb.DuckDBPyConnection:
        copy = self._log.with_name(self._log.name + ".before")
        if _size(self._log):
            shutil.copyfile(self._log, copy)
        connection = self._open_with_log()
        found = connection.execute("SELECT batch FROM store.totals").fetchone()
        batch, noted = int(found[0]) if found else 0, self._noted_batch()
        if self.findings:
            pass  # the log could not be replayed at all; it is aside already
        elif batch < noted and copy.exists():
            aside = copy.with_name(f"{self._log.name}.damaged-{int(time.time())}")
            copy.rename(aside)
            self.findings.append(f"The event store's log was damaged: {noted - batch} batches are missing; it was kept as {aside.name}.")
        elif batch < noted:
            self.findings.append(
                f"The event store lacks its last {noted - batch} batches: an older copy was put back, or its log was lost."
            )
        copy.unlink(missing_ok=True)
        self._note_batch(batch)
        return connection

    def _noted_batch(self) -> int:
        try:
            return int(self._batch_note.read_text())
        except (OSError, ValueError):
            return 0

    def _note_batch(self, batch: int) -> None:
        with contextlib.suppress(OSError):  # only a help for finding damage
            self._batch_note.write_text(f"{batch:020}")

    def _open_with_log(self) -> duckdb.DuckDBPyConnection:
        try:
            return self._attach()
        except StoreError:
            raise
        except duckdb.Error as error:
            self._refuse_known_causes(error)
            if not self._log.exists():
                raise StoreError(
                    f"The event store {self.path} can't be read ({_first_line(error)}); move it aside and restart, and report it."
                ) from error
        # A log that can't be replayed would otherwise stop every start: keep it for later, go on with the file.
        aside = self._log.with_name(f"{self._log.name}.damaged-{int(time.time())}")
        self._log.rename(aside)
        self.findings.append(f"The event store's log could not be replayed and was kept as {aside.name}; its last events may be missing.")
        try:
            return self._attach()
        except duckdb.Error as error:
            raise StoreError(f"The event store {self.path} can't be read ({_first_line(error)}); move it aside and restart.") from error

    def _attach(self) -> duckdb.DuckDBPyConnection:
        fresh = not self.path.exists()
        # The limit goes into the connect settings: replay of the log happens before any SET could.
        connection = duckdb.connect(
            ":memory:",
            config={
                "memory_limit": MEMORY_LIMIT, "threads": 2, "autoinstall_known_extensions": "false", "autoload_known_extensions": "false",
                "temp_directory": str(self.path) + ".spill", "max_temp_directory_size": "2GB", "temp_file_encryption": "true",
            },
        )  # fmt: skip
        try:
            connection.execute(f"LOAD '{_quoted(str(_cryptography()))}'")
            connection.execute(f"ATTACH '{_quoted(str(self.path))}' AS store (ENCRYPTION_KEY '{self._key}')")
            connection.execute("SET enable_external_access = false")
            connection.execute("SET lock_configuration = true")
            if fresh:
                self.path.chmod(0o600)
            self._migrate(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _migrate(self, connection: duckdb.DuckDBPyConnection) -> None:
        connection.execute("CREATE TABLE IF NOT EXISTS store.schema_steps (number INTEGER, applied TIMESTAMP)")
        row = connection.execute("SELECT coalesce(max(number), 0) FROM store.schema_steps").fetchone()
        version = int(row[0]) if row else 0
        if version > len(schema.STEPS):
            raise StoreError(f"The event store {self.path} was made by a newer Schoolgate (version {version}); install that version.")
        for number, step in enumerate(schema.STEPS[version:], version + 1):
            with _transaction(connection):
                connection.execute(step)
                connection.execute("INSERT INTO store.schema_steps VALUES (?, ?)", [number, _timestamp(time.time())])
                if number == 1:
                    connection.execute("INSERT INTO store.totals VALUES (0, 0, 0, 0)")

    def _refuse_known_causes(self, error: duckdb.Error) -> None:
        text = str(error)
        if "encryption key" in text.lower() or "decrypt" in text.lower():
            raise StoreError(
                f"The key in keys/events.key does not open the event store {self.path}; restore the key that belongs to it from a backup."
            ) from error
        if "Could not set lock" in text or "already attached" in text:
            raise StoreError(f"Another process has the event store {self.path} open; stop it first, or use the running console.") from error
        if "No space left" in text:
            raise StoreError(f"The disk that holds the event store {self.path} is full; make room and restart.") from error

    def _write[T](self, work: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        return self._writer.submit(self._write_here, work).result()

    def _write_here[T](self, work: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        try:
            with _transaction(self._connection):
                return work(self._connection)
        except duckdb.FatalException:
            # DuckDB refuses everything after an internal fault until the file is opened again.
            self.findings.append("The event store had an internal fault and was opened again; no ingested event is lost.")
            with self._guard:
                self._connection.close()
                self._connection = self._open()
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
        now = _timestamp(time.time())
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


class _transaction:  # noqa: N801  (used like contextlib's own lower-case managers)
    """BEGIN … COMMIT around a block, ROLLBACK on an exception."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN")

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is None:
            self._connection.execute("COMMIT")
            return
        try:
            self._connection.execute("ROLLBACK")
        except duckdb.Error:
            return  # the fault that brought us here says more


def iso(seconds: float) -> str:
    """Return ISO 8601 with milliseconds and a Z, from seconds since the epoch."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _event(row: tuple[Any, ...]) -> Event:
    fields = list(row)
    for index in _TUPLES:
        fields[index] = tuple(fields[index])
    return Event(*fields)


_TUPLES = [index for index, (_, kind) in enumerate(schema.EVENT_COLUMNS) if kind == "VARCHAR[]"]


def _timestamp(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)


def _cryptography() -> Path:
    """Path of DuckDB's httpfs extension: an encrypted database needs its cryptography for writing."""
    found = importlib.util.find_spec("duckdb_extension_httpfs")
    if found is None or found.origin is None:
        raise StoreError("The package duckdb-extension-httpfs is missing; install it in DuckDB's own version, it encrypts the event store.")
    path = Path(found.origin).parent / "extensions" / f"v{duckdb.__version__}" / "httpfs.duckdb_extension"
    if not path.exists():
        raise StoreError(f"duckdb-extension-httpfs does not fit DuckDB {duckdb.__version__}; install both in the same version.")
    return path


def _quoted(text: str) -> str:
    return text.replace("'", "''")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:200]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
