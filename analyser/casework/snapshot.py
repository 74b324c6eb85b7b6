"""The state snapshot: what workers must know of the casework, written as one file that is swapped in whole."""

import fcntl
import os
import time
from pathlib import Path

import msgspec
from sqlalchemy.orm import Session

from analyser.casework import accounts, unblock
from rules.state import Snapshot, read_snapshot


def publish_snapshot(session: Session, path: Path, *, now: float | None = None) -> Snapshot:
    """Write grants in force and gateway accounts to `path`; call it in a session begun after the change was committed.

    The generation always grows, also when the file was lost: it is at least the time in milliseconds. Two processes
    that publish at once take turns.
    """
    moment = time.time() if now is None else now
    lock = os.open(path.with_name(path.name + ".lock"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        grants = tuple(unblock.grant_value(row) for row in unblock.in_force(session, now=moment))
        snapshot = Snapshot(
            generation=max(_generation_of(path) + 1, int(time.time() * 1000)), written=moment, grants=grants,
            accounts=accounts.proxy_accounts(session),
        )  # fmt: skip
        fresh = path.with_name(path.name + ".new")
        with os.fdopen(os.open(fresh, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(msgspec.json.encode(snapshot))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    finally:
        os.close(lock)
    return snapshot


def _generation_of(path: Path) -> int:
    try:
        return read_snapshot(path.read_bytes()).generation
    except (FileNotFoundError, msgspec.DecodeError):
        return 0
