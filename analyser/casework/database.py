"""The casework database: opened with its key, migrated at opening, one transaction for each piece of work."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.orm import Session

from analyser.casework import audit
from analyser.casework.columns import CaseworkKeys, attach_keys

MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_MILLISECONDS = 15_000
_READING = "schoolgate_reading"


class CaseworkError(RuntimeError):
    """The casework database can't be used; the message is one sentence for a person."""


class CaseworkDatabase:
    """Alerts, unblock requests, grants, accounts and the audit chain.

    `location` is a file's path (SQLite: WAL, synchronous=FULL) or an SQLAlchemy URL; `key` has 32 bytes. Opening
    creates the file with mode 0600 and brings its tables up to date. Safe for many threads and processes.
    """

    def __init__(self, location: Path | str, key: bytes) -> None:
        self.keys = CaseworkKeys(key)
        text_form = str(location)
        self.path = Path(text_form) if "://" not in text_form else None
        url = f"sqlite:///{self.path}" if self.path is not None else text_form
        self.engine = _make_engine(url, self.keys)
        self.head_file = self.path.with_name(self.path.name + ".audit-head") if self.path is not None else None
        try:
            if self.path is not None:
                os.close(os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
            self._migrate()
            self._check_key()
        except OSError as error:
            self.engine.dispose()
            raise CaseworkError(
                f"The casework database {text_form} can't be opened ({error.strerror}); check that its folder is writable."
            ) from error
        except DatabaseError as error:
            self.engine.dispose()
            raise CaseworkError(
                f"The casework database {_shown(url)} can't be used ({error.orig}); restore it from a backup or move it aside."
            ) from error
        except BaseException:
            self.engine.dispose()
            raise

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Give one writing transaction: committed at the end of the block, rolled back on an exception.

        It holds the database's one write lock from its first statement, so keep it short, compute password hashes
        outside, and never open a second one inside: it would wait for itself.
        """
        with Session(self.engine, expire_on_commit=False, info={"casework_keys": self.keys}) as session:
            with session.begin():
                yield session
            head = session.info.get(audit.HEAD)
            if head is not None and self.head_file is not None:
                audit.keep_head(self.head_file, head)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Give one reading transaction: a steady view that waits for nobody; what it changes is rolled back."""
        with Session(self._readers, expire_on_commit=False, autoflush=False, info={"casework_keys": self.keys}) as session:
            try:
                yield session
            finally:
                session.expunge_all()  # so that rows read here keep their values afterwards
                session.rollback()

    @property
    def _readers(self) -> Engine:
        return self.engine.execution_options(**{_READING: True})

    def verify_audit(self) -> audit.VerifyResult:
        """Check the whole audit chain, its head record, and the copy of the head outside the database."""
        with self.reading() as session:
            return audit.verify(session, self.head_file)

    def data_version(self) -> "DataVersion":
        """Return a watcher that tells cheaply whether anything was committed since it was last asked."""
        return DataVersion(self.engine)

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()

    def _migrate(self) -> None:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        scripts = ScriptDirectory.from_config(config)
        # One transaction, lock first: of two processes that start together, the second finds the work done.
        with self.engine.begin() as connection:
            _lock_migrations(connection)
            current = MigrationContext.configure(connection).get_current_revision()
            known = {script.revision for script in scripts.walk_revisions()}
            if current is not None and current not in known:
                raise CaseworkError(
                    f"The casework database {_shown(str(self.engine.url))} was made by a newer Schoolgate (revision {current}); "
                    "install that version."
                )
            if current != scripts.get_current_head():
                config.attributes["connection"] = connection
                command.upgrade(config, "head")

    def _check_key(self) -> None:
        """Refuse a wrong key at opening, not at the first name that is shown."""
        with self.session() as session:
            audit.check_key(session)


class DataVersion:
    """Tells whether the database changed, by a connection of its own."""

    def __init__(self, engine: Engine) -> None:
        self._sqlite = engine.dialect.name == "sqlite"
        self._connection: Connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        self._seen: object = None

    def changed(self) -> bool:
        """True at the first call and after every commit of another connection or process."""
        if not self._sqlite:
            # PostgreSQL has no such number; the transaction horizon moves with every writer.
            seen: object = self._connection.execute(text("select pg_snapshot_xmax(pg_current_snapshot())::text")).scalar()
        else:
            seen = self._connection.exec_driver_sql("pragma data_version").scalar()
        changed, self._seen = seen != self._seen, seen
        return changed

    def close(self) -> None:
        """Give the connection back."""
        self._connection.close()


def _make_engine(url: str, keys: CaseworkKeys) -> Engine:
    sqlite = make_url(url).get_backend_name() == "sqlite"
    engine = create_engine(url, hide_parameters=True, **({"connect_args": {"timeout": BUSY_MILLISECONDS / 1000}} if sqlite else {}))
    attach_keys(engine.dialect, keys)
    if sqlite:
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves: the driver's own begins too late for IMMEDIATE
    for pragma in (
        f"busy_timeout={BUSY_MILLISECONDS}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "trusted_schema=OFF",
        "secure_delete=ON",
    ):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Connection) -> None:
    options = connection.get_execution_options()
    if options.get("isolation_level") == "AUTOCOMMIT":
        return
    connection.exec_driver_sql("BEGIN" if options.get(_READING) else "BEGIN IMMEDIATE")


def _lock_migrations(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("select pg_advisory_xact_lock(7361001)"))


def _shown(url: str) -> str:
    try:
        return make_url(url).render_as_string(hide_password=True).removeprefix("sqlite:///")
    except (OperationalError, ValueError):
        return "given by the settings"
