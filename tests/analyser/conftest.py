"""Fixtures of the analyser's tests: stores in a temporary folder, events, segments."""

import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from analyser.casework import accounts
from analyser.casework.database import CaseworkDatabase
from analyser.casework.people import Actor
from analyser.store import EventStore
from rules.event import Event, encoder

KEY = bytes(range(32))


@pytest.fixture(autouse=True)
def quick_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Argon2 with little memory: the tests try many passwords."""
    monkeypatch.setattr(accounts, "hasher", accounts.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
    accounts._no_password.cache_clear()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[CaseworkDatabase]:
    """A new casework database."""
    opened = CaseworkDatabase(tmp_path / "casework.db", KEY)
    yield opened
    opened.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EventStore]:
    """A new event store."""
    opened = EventStore(tmp_path / "events.duckdb", KEY)
    yield opened
    opened.close()


@pytest.fixture
def admin() -> Actor:
    """Somebody who may do things."""
    return Actor("account", "head.tech")


@pytest.fixture
def make_event() -> Callable[..., Event]:
    """Make events: `make_event(action="block", at=12.0)`; `at` is seconds after a fixed moment."""

    def make(at: float = 0.0, **fields: object) -> Event:
        values: dict[str, object] = {
            "id": secrets.token_hex(16), "time": 1_795_000_000.0 + at, "worker": "worker-1", "client_address": "10.0.0.7", "group": "ks2",
            "identity_source": "proxy-auth", "action": "allow", "reason": "default", "user": "ann", "host": "www.google.com",
            "registrable_domain": "google.com",
        }  # fmt: skip
        return Event(**(values | fields))  # type: ignore[arg-type]

    return make


@pytest.fixture
def write_segment(tmp_path: Path) -> Callable[..., Path]:
    """Write a closed spool segment: `write_segment(events, tail=b"", worker="worker-1")`."""
    spool = tmp_path / "spool"
    spool.mkdir(exist_ok=True)
    counter = iter(range(1, 1_000_000))

    def write(events: list[Event], *, tail: bytes = b"", worker: str = "worker-1", ending: str = ".ndjson") -> Path:
        path = spool / f"{worker}-100-{int(time.time())}-{next(counter):08}{ending}"
        draft = path.with_name("draft")
        draft.write_bytes(b"".join(encoder.encode(event) + b"\n" for event in events) + tail)
        draft.rename(path)
        return path

    return write
