"""Sources of lists: name, address, how the file is read, when and how it may be fetched. Kept in the casework, audited."""

import ipaddress
import re
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from analyser.casework import audit
from analyser.casework.clock import moment
from analyser.casework.list_models import ListRun, ListSource
from analyser.casework.people import Actor
from analyser.lists.credentials import headers_of
from analyser.lists.errors import SourceError
from analyser.lists.verify import public_key
from blocklists.library import FORMATS, NAME
from blocklists.parsed import checked_map
from blocklists.sealedinput import FORMATS as SEALED_FORMATS
from blocklists.stored import ListKind

LEAST_MINUTES: Final = 15
"""Shortest time between two fetches: publishers shut out those who ask more often."""
MOST_MINUTES: Final = 31 * 24 * 60
_HOURS = re.compile(r"(\d{1,2})-(\d{1,2})")


class Hours(msgspec.Struct, frozen=True):
    """Hours of the day, UTC, in which a publisher asks not to be asked: from `begin` up to `end`, over midnight where that is earlier."""

    begin: int
    end: int

    @classmethod
    def read(cls, text: str) -> "Hours":
        """Read `8-19`; raises `SourceError`."""
        found = _HOURS.fullmatch(text.strip())
        if found is None or int(found[1]) > 23 or int(found[2]) > 24 or int(found[1]) == int(found[2]) % 24:
            raise SourceError(f"{text!r} are not hours of a day; write for example 8-19 for “not from 08:00 to 19:00 UTC”.")
        return cls(int(found[1]), int(found[2]) % 24)

    def hold(self, at: float) -> bool:
        """True within these hours; `at` is seconds since the epoch."""
        hour = int(at % 86_400) // 3600
        return self.begin <= hour < self.end if self.begin < self.end else hour >= self.begin or hour < self.end

    def end_after(self, at: float) -> float:
        """Return when the hours that hold at a moment end."""
        midnight = at - at % 86_400
        end = midnight + self.end * 3600
        return end if end > at else end + 86_400

    def __str__(self) -> str:
        """Write the hours as they are read."""
        return f"{self.begin}-{self.end or 24}"


class Source(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a list comes from and how it is read."""

    name: str
    address: str
    """`https://…`, or the full path of a file or folder on this machine."""
    format: str | None = None
    """None: recognised from the content."""
    category: str | None = None
    kind: ListKind = "block"
    subdomains: bool | None = None
    columns: dict[str, str] | None = None
    every_minutes: int | None = None
    """The console fetches it this often; None: only when somebody asks."""
    not_between: Hours | None = None
    publisher: str = ""
    licence: str = ""
    checksum: str = ""
    """Address of the publisher's file of digests."""
    signature: str = ""
    """Address of the publisher's Ed25519 signature; `public_key` belongs to it."""
    public_key: str = ""
    expressions: bool = False
    """squidGuard: read the files `expressions`, too."""
    categories: dict[str, str] | None = None
    """The publisher's names of categories and ours; "-" leaves one out."""
    sealed: bool = False
    """Unlawful content: kept as digests alone, and in force as soon as it is fetched unless a guard holds it."""
    credentials: str = ""
    """Full path of a file that says who asks (`analyser.lists.credentials`); its content is never written down."""
    plain_http: bool = False
    """True where somebody said that http without TLS will do; needs a signature to be safe."""

    @property
    def is_remote(self) -> bool:
        """True for a source that is fetched over the network."""
        return "://" in self.address


def checked(source: Source) -> Source:
    """Return the source as it is kept; raises `SourceError` with what is wrong with it."""
    if NAME.fullmatch(source.name) is None:
        raise SourceError(f"{source.name!r} can't name a list; use lower-case letters, digits, dots, hyphens and underscores, at most 64.")
    known = SEALED_FORMATS if source.sealed else FORMATS
    if source.format is not None and source.format not in known:
        raise SourceError(f"There is no format {source.format!r}; the formats are {', '.join(known)}.")
    if source.sealed:
        _check_sealed(source)
    if source.every_minutes is not None and not LEAST_MINUTES <= source.every_minutes <= MOST_MINUTES:
        raise SourceError(f"A refresh is every {LEAST_MINUTES} to {MOST_MINUTES:,} minutes.")
    checked_map(source.categories)
    if bool(source.signature) != bool(source.public_key):
        raise SourceError("A signature needs its address (--signature) and the publisher's key (--public-key), both or neither.")
    if source.public_key:
        public_key(source.public_key)
    if source.credentials:
        source = msgspec.structs.replace(source, credentials=str(Path(source.credentials).expanduser().absolute()))
        headers_of(source.credentials)
    if not source.is_remote:
        if source.checksum or source.signature or source.credentials:
            raise SourceError(
                "Checksum, signature and credentials are for lists that are fetched from an address, not for a file of this machine."
            )
        path = Path(source.address).expanduser().absolute()
        if not path.exists():
            raise SourceError(f"There is no file or folder {path}; name the one that holds the list.")
        return msgspec.structs.replace(source, address=str(path))
    for address in filter(None, (source.address, source.checksum, source.signature)):
        check_address(address, plain_http=source.plain_http)
    if source.plain_http and (source.sealed or source.credentials):
        raise SourceError("Sealed lists and credentials go over encrypted connections only; leave --plain-http out.")
    return source


def _check_sealed(source: Source) -> None:
    if source.kind != "block" or source.category not in (None, "illegal") or source.columns or source.categories or source.expressions:
        raise SourceError("A sealed list always blocks and always has the category illegal; leave the other options out.")
    if source.format is None:
        raise SourceError(f"Say with --format how the sealed list is written: {', '.join(SEALED_FORMATS)}; of those nothing is guessed.")


def check_address(address: str, *, plain_http: bool) -> None:
    """Raise `SourceError` for an address that is neither https, nor http on this machine or where that was said to do."""
    try:
        parts = urlsplit(address)
        host = parts.hostname
        _ = parts.port
    except ValueError:
        host = None
    if host is None or parts.scheme not in ("http", "https"):
        raise SourceError(f"{address} is not an address that a list can be fetched from; write https://….")
    if parts.username is not None or parts.password is not None:
        raise SourceError("An address of a list holds no password: it would stand readable in records and reports.")
    if parts.scheme == "http" and not plain_http and not is_loopback(host):
        raise SourceError(f"{address} is not encrypted: anybody on the way could change the list. Use https, or say --plain-http.")


def is_loopback(host: str) -> bool:
    """True for this machine's own address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def add(session: Session, actor: Actor, source: Source, *, now: float | None = None) -> ListSource:
    """Write a source down, or replace the one of that name; what was fetched from another address is forgotten."""
    source = checked(source)
    at = moment(now)
    row = session.get(ListSource, source.name)
    replaced = row is not None
    if row is None:
        row = ListSource(name=source.name, settings="", created=at, created_by=actor.written, failures=0)
        session.add(row)
    elif settings_of(row).address != source.address or settings_of(row).sealed != source.sealed:
        row.etag = row.last_modified = row.fetched = row.fetched_path = row.fetched_sha256 = row.offered_sha256 = None
    else:
        row.etag = row.last_modified = None  # checks may have changed: the next fetch makes them anew
    row.settings = msgspec.json.encode(source).decode()
    row.failures, row.created_by = 0, actor.written  # who changed it last is who proposes what it brings
    row.next_fetch = at if source.every_minutes is not None else None
    session.flush()
    detail = msgspec.to_builtins(source) | {"replaced": replaced}
    audit.append(session, actor.written, "lists.source", f"list:{source.name}", detail, now=now)
    return row


def remove(session: Session, actor: Actor, name: str, *, now: float | None = None) -> None:
    """Forget a source; the list that was loaded from it stays."""
    session.delete(find(session, name))
    audit.append(session, actor.written, "lists.source-remove", f"list:{name}", {}, now=now)


def find(session: Session, name: str) -> ListSource:
    """Return a source; raises `SourceError` when there is none of this name."""
    row = session.get(ListSource, name)
    if row is None:
        raise SourceError(f"There is no source named {name!r}; `lists sources list` shows them.")
    return row


def every(session: Session) -> list[ListSource]:
    """Return all sources, by name."""
    return list(session.scalars(select(ListSource).order_by(ListSource.name)))


def settings_of(row: ListSource) -> Source:
    """Return what somebody wrote down about a source."""
    return msgspec.json.decode(row.settings, type=Source)


def note_outcome(session: Session, name: str, sentence: str) -> None:
    """Add what became of a fetched list to the report of its last run."""
    run = next(iter(runs(session, name, 1)), None)
    if run is not None:
        run.sentence = f"{run.sentence} {sentence}"


def runs(session: Session, name: str | None = None, limit: int = 50) -> list[ListRun]:
    """Return the reports of refreshes, newest first."""
    query = select(ListRun).order_by(ListRun.id.desc()).limit(limit)
    return list(session.scalars(query if name is None else query.where(ListRun.name == name)))
