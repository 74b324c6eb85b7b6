"""The event store's file: one encrypted DuckDB file with its log, opened, repaired as far as it can be, and brought up to date."""

import contextlib
import importlib.util
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import duckdb

from analyser import schema

MEMORY_LIMIT: Final = "512MB"


class StoreError(RuntimeError):
    """The event store can't be used; the message is one sentence for a person."""


class StoreFile:
    """One store's file; `findings` gains a sentence for whatever opening had to put right."""

    def __init__(self, path: Path, key: bytes, findings: list[str]) -> None:
        self.path = path
        self.findings = findings
        self._key = key.hex()

    @property
    def log(self) -> Path:
        """The write-ahead log."""
        return self.path.with_name(self.path.name + ".wal")

    @property
    def _batch_note(self) -> Path:
        """Number of the newest batch, kept outside: DuckDB passes over the damaged end of a log without a word."""
        return self.path.with_name(self.path.name + ".batch")

    def open(self) -> duckdb.DuckDBPyConnection:
        """Return a connection with the store attached as `store`; raises StoreError."""
        before = len(self.findings)
        copy = self.log.with_name(self.log.name + ".before")
        if size_of(self.log):
            shutil.copyfile(self.log, copy)
        connection = self._open_with_log()
        found = connection.execute("SELECT batch FROM store.totals").fetchone()
        batch, noted = int(found[0]) if found else 0, self._noted_batch()
        if len(self.findings) > before:
            pass  # the log could not be replayed at all; it is aside already
        elif batch < noted and copy.exists():
            aside = copy.with_name(f"{self.log.name}.damaged-{int(time.time())}")
            copy.rename(aside)
            self.findings.append(f"The event store's log was damaged: {noted - batch} batches are missing; it was kept as {aside.name}.")
        elif batch < noted:
            self.findings.append(
                f"The event store lacks its last {noted - batch} batches: an older copy was put back, or its log was lost."
            )
        copy.unlink(missing_ok=True)
        self.note_batch(batch)
        return connection

    def _noted_batch(self) -> int:
        try:
            return int(self._batch_note.read_text())
        except (OSError, ValueError):
            return 0

    def note_batch(self, batch: int) -> None:
        """Write down the number of the newest batch."""
        with contextlib.suppress(OSError):  # only a help for finding damage
            self._batch_note.write_text(f"{batch:020}")

    def _open_with_log(self) -> duckdb.DuckDBPyConnection:
        try:
            return self._attach()
        except StoreError:
            raise
        except duckdb.Error as error:
            self._refuse_known_causes(error)
            if not self.log.exists():
                raise StoreError(
                    f"The event store {self.path} can't be read ({_first_line(error)}); move it aside and restart, and report it."
                ) from error
        # A log that can't be replayed would otherwise stop every start: keep it for later, go on with the file.
        aside = self.log.with_name(f"{self.log.name}.damaged-{int(time.time())}")
        self.log.rename(aside)
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
            with transaction(connection):
                connection.execute(step)
                connection.execute("INSERT INTO store.schema_steps VALUES (?, ?)", [number, timestamp(time.time())])
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


class transaction:  # noqa: N801  (used like contextlib's own lower-case managers)
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


def timestamp(seconds: float) -> datetime:
    """Return a moment as the store's columns hold it: UTC without a zone."""
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


def size_of(path: Path) -> int:
    """Return a file's size in bytes, 0 when there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
