"""Tables of the casework database (SQLite by default, PostgreSQL by URL).

Times are UTC, stored as seconds since the epoch. Names of pupils and staff, search terms and notes are encrypted
columns; `*_key` columns beside them hold a keyed digest, so that equal values can be found without being readable.
"""

from sqlalchemy import Boolean, Float, ForeignKey, Index, Integer, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from analyser.casework.columns import EncryptedText


class Base(DeclarativeBase):
    """Common base of all casework tables."""


class Account(Base):
    """Somebody who signs in: to the console (role set), to the gateway (group set), or to both."""

    __tablename__ = "accounts"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(EncryptedText)
    name_key: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    """Keyed digest of the folded name: two spellings of one name are one account."""
    password_hash: Mapped[str | None] = mapped_column(String(200))
    """Argon2id; None until the person has set one through their one-time link."""
    role: Mapped[str | None] = mapped_column(String(20))
    """Console role, or None for somebody who only signs in to the gateway."""
    group: Mapped[str | None] = mapped_column("group_name", String(50))
    """Policy group at the gateway, or None for somebody who only uses the console."""
    disabled: Mapped[bool] = mapped_column(Boolean, default=False)
    wrong_guesses: Mapped[int] = mapped_column(Integer, default=0)
    locked_until: Mapped[float | None] = mapped_column(Float)
    created: Mapped[float] = mapped_column(Float)


class OneTimeLink(Base):
    """A link with which an account sets its password, once; only the digest of its secret is kept."""

    __tablename__ = "one_time_links"
    digest: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"), index=True)
    expires: Mapped[float] = mapped_column(Float)
    used: Mapped[float | None] = mapped_column(Float)


class ConsoleSession(Base):
    """A browser that is signed in; only the digest of its cookie is kept, so that a copy of the database opens nothing."""

    __tablename__ = "sessions"
    digest: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"), index=True)
    created: Mapped[float] = mapped_column(Float)
    last_seen: Mapped[float] = mapped_column(Float)
    account: Mapped[Account] = relationship()


class Token(Base):
    """A bearer token of a program; only its digest is kept."""

    __tablename__ = "tokens"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(100), unique=True)
    role: Mapped[str] = mapped_column(String(20))
    digest: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    created: Mapped[float] = mapped_column(Float)
    created_by: Mapped[str] = mapped_column(EncryptedText)
    """Who made it: for the rule of two people, a token and the account that made it are one person."""
    revoked: Mapped[float | None] = mapped_column(Float)


class Alert(Base):
    """One or more events that a person should look at."""

    __tablename__ = "alerts"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(30))
    """Detector: `grave-match`, `sealed-hit`, `repeated-blocks`, `circumvention`, `gateway-fault`."""
    status: Mapped[str] = mapped_column(String(20), default="open", index=True)
    """`open`, `acknowledged` or `closed`."""
    level: Mapped[int] = mapped_column(Integer)
    theme: Mapped[str] = mapped_column(String(50))
    subject: Mapped[str] = mapped_column(EncryptedText)
    """What people see: user name, or device, or address."""
    subject_key: Mapped[bytes] = mapped_column(LargeBinary(32))
    subject_kind: Mapped[str] = mapped_column(String(10))
    """`user`, `address` or `gateway`."""
    group: Mapped[str] = mapped_column("group_name", String(50), default="")
    why: Mapped[str] = mapped_column(EncryptedText)
    """One sentence for the DSL."""
    first_event: Mapped[float] = mapped_column(Float)
    last_event: Mapped[float] = mapped_column(Float)
    event_count: Mapped[int] = mapped_column(Integer, default=0)
    created: Mapped[float] = mapped_column(Float)
    changed: Mapped[float] = mapped_column(Float)
    revision: Mapped[int] = mapped_column(Integer, unique=True)
    """Grows with every change of any alert; the number after which the event stream goes on."""
    acknowledged_by: Mapped[str | None] = mapped_column(EncryptedText)
    acknowledged_at: Mapped[float | None] = mapped_column(Float)
    closed_at: Mapped[float | None] = mapped_column(Float)
    events: Mapped[list["AlertEvent"]] = relationship(back_populates="alert", order_by="AlertEvent.time")
    outcomes: Mapped[list["Outcome"]] = relationship(back_populates="alert", order_by="Outcome.recorded")
    __table_args__ = (Index("ix_alerts_joining", "kind", "theme", "subject_key", "status"),)


class AlertEvent(Base):
    """An event behind an alert: a reference, with what the alert needs to show once the event itself has expired."""

    __tablename__ = "alert_events"
    id: Mapped[int] = mapped_column(primary_key=True)
    alert_id: Mapped[int] = mapped_column(ForeignKey("alerts.id"))
    event_id: Mapped[str] = mapped_column(String(32))
    time: Mapped[float] = mapped_column(Float)
    summary: Mapped[str] = mapped_column(EncryptedText)
    """JSON of the fields shown: host, path, search, action, reason, category, level, matches, excerpt."""
    alert: Mapped[Alert] = relationship(back_populates="events")
    __table_args__ = (UniqueConstraint("alert_id", "event_id"),)


class Outcome(Base):
    """What a person did about an alert."""

    __tablename__ = "outcomes"
    id: Mapped[int] = mapped_column(primary_key=True)
    alert_id: Mapped[int] = mapped_column(ForeignKey("alerts.id"), index=True)
    triage: Mapped[str] = mapped_column(String(20))
    """`true_positive`, `false_positive` or `unclear`."""
    actions: Mapped[str] = mapped_column(Text)
    """JSON list of action names."""
    note: Mapped[str] = mapped_column(EncryptedText)
    recorded_by: Mapped[str] = mapped_column(EncryptedText)
    recorded: Mapped[float] = mapped_column(Float)
    alert: Mapped[Alert] = relationship(back_populates="outcomes")


class UnblockRequest(Base):
    """Somebody asks for a blocked page to be opened for a while."""

    __tablename__ = "unblock_requests"
    id: Mapped[int] = mapped_column(primary_key=True)
    url: Mapped[str] = mapped_column(EncryptedText)
    scope: Mapped[str] = mapped_column(String(10))
    subject_kind: Mapped[str] = mapped_column(String(10))
    subject: Mapped[str] = mapped_column(EncryptedText)
    reason: Mapped[str] = mapped_column(EncryptedText)
    minutes: Mapped[int | None] = mapped_column(Integer)
    until: Mapped[float | None] = mapped_column(Float)
    source: Mapped[str] = mapped_column(String(20))
    """`api`, `console` or `block-page`."""
    requested_by: Mapped[str] = mapped_column(EncryptedText)
    requested_by_key: Mapped[bytes] = mapped_column(LargeBinary(32))
    requested: Mapped[float] = mapped_column(Float)
    status: Mapped[str] = mapped_column(String(20), default="pending", index=True)
    """`pending`, `approved` or `refused`."""
    decided_by: Mapped[str | None] = mapped_column(EncryptedText)
    decided: Mapped[float | None] = mapped_column(Float)
    decision_note: Mapped[str | None] = mapped_column(EncryptedText)
    grant_id: Mapped[str | None] = mapped_column(ForeignKey("grants.id"))


class GrantRow(Base):
    """A temporary unblock as it was given; `rules.state.Grant` is what workers see of it."""

    __tablename__ = "grants"
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    scope: Mapped[str] = mapped_column(String(10))
    host: Mapped[str] = mapped_column(EncryptedText)
    target: Mapped[str] = mapped_column(EncryptedText)
    subject_kind: Mapped[str] = mapped_column(String(10))
    subject: Mapped[str] = mapped_column(EncryptedText)
    lifts: Mapped[str] = mapped_column(String(10), default="block")
    starts: Mapped[float] = mapped_column(Float)
    until: Mapped[float] = mapped_column(Float, index=True)
    requested_by: Mapped[str] = mapped_column(EncryptedText)
    approved_by: Mapped[str | None] = mapped_column(EncryptedText)
    ended: Mapped[float | None] = mapped_column(Float)
    """When somebody ended it early."""
    ended_by: Mapped[str | None] = mapped_column(EncryptedText)
    expired: Mapped[float | None] = mapped_column(Float)
    """When the audit noted that it ran out by itself."""


class AuditEntry(Base):
    """One step in the hash-chained audit: append only, each entry's digest covers the one before it."""

    __tablename__ = "audit"
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    time: Mapped[float] = mapped_column(Float)
    actor: Mapped[str] = mapped_column(EncryptedText)
    """As `Actor.written` gives it: `NAME`, `token:NAME`, `user:NAME`, `address:IP`, `os:NAME`, `gateway`."""
    action: Mapped[str] = mapped_column(String(60))
    object: Mapped[str] = mapped_column(EncryptedText)
    detail: Mapped[str] = mapped_column(EncryptedText)
    """JSON."""
    detail_digest: Mapped[bytes] = mapped_column(LargeBinary(32))
    """Keyed digest of the readable detail: the chain covers it instead of the detail, which may be erased one day."""
    previous: Mapped[bytes] = mapped_column(LargeBinary(32))
    digest: Mapped[bytes] = mapped_column(LargeBinary(32))


class AuditHead(Base):
    """Number and digest of the newest audit entry: shows when the chain's end was cut off."""

    __tablename__ = "audit_head"
    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(Integer)
    digest: Mapped[bytes] = mapped_column(LargeBinary(32))


class DetectorCursor(Base):
    """How far the detectors have come; moved in the same transaction as the alerts they raise."""

    __tablename__ = "detector_cursor"
    id: Mapped[int] = mapped_column(primary_key=True)
    batch: Mapped[int] = mapped_column(Integer)
    """Number of the last ingested batch whose events were looked at."""
