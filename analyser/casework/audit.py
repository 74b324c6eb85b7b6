"""The audit: append only, each entry's digest covers the one before, so that an edit, a gap or a cut end shows.

Digests are keyed (HMAC-SHA256): somebody who can write the file but has no key can't mend the chain. Three things
must agree: the entries, the head record in the database, and a copy of the head in a file beside it. A cut end shows
because the head names an entry that is gone; putting back an old copy of the whole database shows by the file.
"""

import fcntl
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from analyser.casework.clock import moment
from analyser.casework.columns import CaseworkKeyError, keys_of
from analyser.casework.models import AuditEntry, AuditHead

_UNREADABLE = (CaseworkKeyError, TypeError, ValueError, AttributeError)
"""What reading an entry raises whose columns were overwritten: with other bytes, or with values of another kind."""
HEAD = "audit_head"
START = bytes(32)
"""What the first entry names as its predecessor."""


class HeadCopy(msgspec.Struct, frozen=True):
    """The newest entry's number and digest, as kept outside the database."""

    number: int
    digest: str


@dataclass(frozen=True, slots=True)
class VerifyResult:
    """What a check of the chain found."""

    ok: bool
    entries: int
    sentence: str
    first_bad: int | None = None
    """Number of the first entry that does not fit, where one can be named."""


def append(
    session: Session,
    actor: str,
    action: str,
    about: str,
    detail: Mapping[str, Any] | None = None,
    *,
    now: float | None = None,
) -> AuditEntry:
    """Add an entry in the session's transaction: it stands if and only if the work it speaks of stands.

    `actor` is an account's name, `token:NAME`, `user:NAME`, `address:IP`, `os:NAME` or `gateway`; `action` is like `grant.end`.
    """
    keys = keys_of(session)
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("select pg_advisory_xact_lock(7361002)"))
    head = session.get(AuditHead, 1, populate_existing=True)
    number, previous = (head.number + 1, head.digest) if head is not None else (1, START)
    at = moment(now)
    readable = msgspec.json.encode(detail or {}, order="deterministic").decode()
    detail_digest = keys.chain_digest(readable.encode())
    digest = keys.chain_digest(_material(number, at, actor, action, about, detail_digest, previous))
    entry = AuditEntry(
        number=number, time=at, actor=actor, action=action, object=about, detail=readable,
        detail_digest=detail_digest, previous=previous, digest=digest,
    )  # fmt: skip
    session.add(entry)
    if head is None:
        session.add(AuditHead(id=1, number=number, digest=digest))
    else:
        head.number, head.digest = number, digest
    session.flush()
    session.info[HEAD] = HeadCopy(number, digest.hex())
    return entry


def verify(session: Session, head_file: Path | None = None) -> VerifyResult:
    """Walk the chain from its first entry; the sentence says what was found, for a person."""
    keys = keys_of(session)
    copy = _read_head(head_file)
    count, previous, copy_seen = 0, START, copy is None
    query = select(AuditEntry).order_by(AuditEntry.number).execution_options(yield_per=500)
    try:
        for entry in session.scalars(query):
            count += 1
            if entry.number != count:
                return VerifyResult(
                    False, count - 1, f"Entry {count} is missing: the one found in its place is number {entry.number}.", count
                )
            fault = _fault_of(entry, previous, keys.chain_digest)
            if fault is not None:
                return VerifyResult(False, count, f"Entry {count} {fault}.", count)
            if copy is not None and entry.number == copy.number:
                copy_seen = entry.digest.hex() == copy.digest
            previous = entry.digest
    except _UNREADABLE:
        bad = _first_unreadable(session, count, keys.chain_digest)
        return VerifyResult(False, bad - 1, f"Entry {bad} can't be read: it was changed, or written with another key.", bad)
    try:
        head = session.get(AuditHead, 1, populate_existing=True)
    except _UNREADABLE:
        return VerifyResult(False, count, "The head record can't be read: it was changed.")
    recorded = head.number if head is not None else 0
    if recorded != count or (head is not None and head.digest != previous):
        return VerifyResult(
            False, count, f"The head record names entry {recorded}, but the chain ends at entry {count}: its end was cut or put back."
        )
    if not copy_seen:
        assert copy is not None
        return VerifyResult(
            False,
            count,
            f"The head file beside the database names entry {copy.number}, which this chain does not hold: an older copy was put back.",
        )
    return VerifyResult(True, count, f"The audit chain is whole: {count} entries.")


def entries(session: Session, *, after: int = 0, limit: int = 200) -> list[dict[str, Any]]:
    """Return entries after a number, oldest first, as JSON-ready rows."""
    query = select(AuditEntry).where(AuditEntry.number > after).order_by(AuditEntry.number).limit(limit)
    return [
        {
            "number": e.number, "time": e.time, "actor": e.actor, "action": e.action, "object": e.object,
            "detail": msgspec.json.decode(e.detail), "digest": e.digest.hex(),
        }
        for e in session.scalars(query)
    ]  # fmt: skip


def newest(session: Session) -> int:
    """Return the number of the newest entry, 0 before the first."""
    return session.scalar(select(AuditHead.number).where(AuditHead.id == 1)) or 0


def check_key(session: Session) -> None:
    """Write the first entry of a new database, or raise CaseworkKeyError when the key does not open an old one."""
    head = session.get(AuditHead, 1)
    if head is None:
        append(session, "gateway", "casework.create", "casework")
        return
    last = session.get(AuditEntry, head.number)
    if last is not None:
        assert isinstance(last.detail, str)


def keep_head(path: Path, head: HeadCopy) -> None:
    """Write the head beside the database, never back to a lower number than another process wrote."""
    lock = os.open(path.with_name(path.name + ".lock"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        kept = _read_head(path)
        if kept is not None and kept.number >= head.number:
            return
        fresh = path.with_name(path.name + ".new")
        with os.fdopen(os.open(fresh, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(msgspec.json.encode(head))
        fresh.replace(path)
    finally:
        os.close(lock)


def _read_head(path: Path | None) -> HeadCopy | None:
    if path is None:
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=HeadCopy)
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, msgspec.ValidationError):
        # A head file that can't be read proves nothing; name an entry that no chain holds, so that `verify` reports it.
        return HeadCopy(0, "unreadable")


def _first_unreadable(session: Session, after: int, digest_of: Any) -> int:
    """Number of the first entry that can't be read: entries are fetched many at a time, so that one has to be looked for."""
    numbers = session.scalars(select(AuditEntry.number).where(AuditEntry.number >= after).order_by(AuditEntry.number)).all()
    for number in numbers:
        try:
            entry = session.get_one(AuditEntry, number)
            _fault_of(entry, entry.previous, digest_of)
        except _UNREADABLE:
            return number
    return after + 1


def _fault_of(entry: AuditEntry, previous: bytes, digest_of: Any) -> str | None:
    if entry.previous != previous:
        return "does not follow the entry before it"
    if digest_of(entry.detail.encode()) != entry.detail_digest:
        return "was changed: its detail does not match its digest"
    if (
        digest_of(_material(entry.number, entry.time, entry.actor, entry.action, entry.object, entry.detail_digest, previous))
        != entry.digest
    ):
        return "was changed: its fields do not match its digest"
    return None


def _material(number: int, at: float, actor: str, action: str, about: str, detail: bytes, previous: bytes) -> bytes:
    return msgspec.json.encode([number, repr(at), actor, action, about, detail.hex(), previous.hex()])
