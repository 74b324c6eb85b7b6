"""Tables of the life of a list: where it comes from, what each run of a refresh did, and changes that wait for a second person."""

from sqlalchemy import Float, Integer, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from analyser.casework.columns import EncryptedText
from analyser.casework.models import Base


class ListSource(Base):
    """Where a list comes from and how it is read; what was fetched last."""

    __tablename__ = "list_sources"
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    settings: Mapped[str] = mapped_column(Text)
    """JSON of `analyser.lists.sources.Source`."""
    created: Mapped[float] = mapped_column(Float)
    created_by: Mapped[str] = mapped_column(EncryptedText)
    etag: Mapped[str | None] = mapped_column(String(300))
    last_modified: Mapped[str | None] = mapped_column(String(100))
    fetched: Mapped[float | None] = mapped_column(Float)
    """When the file that is kept was fetched, or was last found to be the newest."""
    fetched_path: Mapped[str | None] = mapped_column(Text)
    fetched_sha256: Mapped[str | None] = mapped_column(String(64))
    offered_sha256: Mapped[str | None] = mapped_column(String(64))
    """Digest of the fetched file that was made live or held last: the same one is not offered again."""
    next_fetch: Mapped[float | None] = mapped_column(Float)
    """When the console fetches it by itself; None for a source that nobody wants refreshed."""
    failures: Mapped[int] = mapped_column(Integer, default=0)
    """Runs that failed since the last one that did not."""


class ListRun(Base):
    """One run of a refresh: what it did, or why it could not."""

    __tablename__ = "list_runs"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), index=True)
    started: Mapped[float] = mapped_column(Float)
    finished: Mapped[float] = mapped_column(Float)
    started_by: Mapped[str] = mapped_column(EncryptedText)
    result: Mapped[str] = mapped_column(String(20))
    """`fetched`, `unchanged` or `failed`."""
    sentence: Mapped[str] = mapped_column(Text)
    bytes: Mapped[int] = mapped_column(Integer, default=0)
    sha256: Mapped[str] = mapped_column(String(64), default="")


class ListChange(Base):
    """A list that a guard held back: it becomes live when a second person approves it."""

    __tablename__ = "list_changes"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), index=True)
    proposal: Mapped[str] = mapped_column(Text)
    """JSON of `analyser.lists.trial.Proposal`; its path is the copy that is kept until somebody decides."""
    sha256: Mapped[str] = mapped_column(String(64))
    findings: Mapped[str] = mapped_column(Text)
    """JSON of the guards' findings."""
    preview: Mapped[str] = mapped_column(Text)
    """JSON of `analyser.lists.preview.Preview`: numbers and hosts, no person."""
    proposed: Mapped[float] = mapped_column(Float)
    proposed_by: Mapped[str] = mapped_column(EncryptedText)
    proposed_by_key: Mapped[bytes] = mapped_column(LargeBinary(32))
    status: Mapped[str] = mapped_column(String(20), default="pending", index=True)
    """`pending`, `approved` or `refused`."""
    decided: Mapped[float | None] = mapped_column(Float)
    decided_by: Mapped[str | None] = mapped_column(EncryptedText)
    note: Mapped[str | None] = mapped_column(EncryptedText)
