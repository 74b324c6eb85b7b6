"""The state snapshot: grants in force and who may sign in, published by the console, read by every worker."""

from collections.abc import Iterable, Iterator
from typing import Literal, Self

import msgspec

from blocklists.url import CanonicalUrl
from rules.request import Destination, Request

Scope = Literal["exact", "path", "host"]


class Grant(msgspec.Struct, frozen=True):
    """A temporary unblock in force: who x what x until when."""

    id: str
    scope: Scope
    host: str
    """Canonical host. Scope `host` covers its sub-domains too."""
    target: str
    """Path and query as it was sent, or as it is canonical (scope `exact`), path prefix (`path`) or `/` (`host`)."""
    subject_kind: Literal["user", "group", "room", "address"]
    subject: str
    starts: float
    until: float
    """Seconds since the epoch, UTC: the first moment at which it no longer holds."""
    lifts: Literal["block", "warn"] = "block"
    """`warn` for a person's own "go on" past a warning: it never lifts a block."""

    def holds_for(self, request: Request) -> bool:
        """True while it is in force and the subject is the one it was given to."""
        if not self.starts <= request.at < self.until:
            return False
        subject = request.subject
        match self.subject_kind:
            case "user":
                return subject.user is not None and subject.user == self.subject
            case "group":
                return subject.group == self.subject
            case "room":
                return subject.room is not None and subject.room == self.subject
            case "address":
                return subject.client_address == self.subject

    def covers(self, url: CanonicalUrl) -> bool:
        """True when the URL is the granted one or lies inside it."""
        if self.scope == "host":
            return url.host == self.host or url.host.endswith("." + self.host)
        if url.host != self.host:
            return False
        path = url.path.lower()
        if "%5c" in path or "..;" in path:
            # Some servers take these for "/" and "..", and serve another page than the granted one.
            return False
        if self.scope == "exact":
            if url.path_and_sent_query == self.target:
                return True
            # An escaped "&" is part of a value, a plain one begins the next field: the same text, and another page.
            return url.path_and_query == self.target and (url.raw_query or "").count("&") == self.target.count("&", len(url.path))
        prefix = self.target
        return url.path == prefix or url.path.startswith(prefix if prefix.endswith("/") else prefix + "/")

    def covers_as_part(self, request: Request) -> bool:
        """True for an image, script or call of the granted page on another host.

        Browsers send only the origin as referrer to other hosts (Referrer Policy, strict-origin-when-cross-origin),
        so the page's host has to be enough. An address typed or followed is a document and is never covered.
        """
        page = request.referrer
        if page is None or request.destination is not Destination.SUBRESOURCE:
            return False
        return page.host == self.host or (self.scope == "host" and page.host.endswith("." + self.host))


class ProxyAccount(msgspec.Struct, frozen=True):
    """Somebody who signs in to the gateway with a name and password."""

    name: str
    password_hash: str
    """Argon2id, in its encoded form."""
    group: str
    disabled: bool = False


class Snapshot(msgspec.Struct, frozen=True):
    """The file that the console publishes and workers read."""

    generation: int = 0
    written: float = 0.0
    grants: tuple[Grant, ...] = ()
    accounts: tuple[ProxyAccount, ...] = ()


class State:
    """A snapshot with the indexes that make a look-up cost the same for one grant and for a thousand."""

    __slots__ = ("_by_subject", "_hosts", "accounts", "generation")

    def __init__(self, snapshot: Snapshot | None = None) -> None:
        snapshot = snapshot or Snapshot()
        self.generation = snapshot.generation
        self.accounts = {account.name: account for account in snapshot.accounts if not account.disabled}
        by_subject: dict[tuple[str, str, str], list[Grant]] = {}
        for grant in snapshot.grants:
            by_subject.setdefault((grant.host, grant.subject_kind, grant.subject), []).append(grant)
        self._by_subject = {key: tuple(grants) for key, grants in by_subject.items()}
        self._hosts = frozenset(grant.host for grant in snapshot.grants)

    @classmethod
    def of(cls, grants: Iterable[Grant] = (), accounts: Iterable[ProxyAccount] = ()) -> Self:
        """Build a state from values, for tests and for `explain`."""
        return cls(Snapshot(grants=tuple(grants), accounts=tuple(accounts)))

    def grant_for(self, request: Request) -> Grant | None:
        """Return a grant that opens this request for its subject now, or None."""
        if not self._hosts:
            return None
        for grant in self._near(request.url, request):
            if grant.covers(request.url):
                return grant
        if request.referrer is not None and request.destination is Destination.SUBRESOURCE:
            for grant in self._near(request.referrer, request):
                if grant.covers_as_part(request):
                    return grant
        return None

    def _near(self, url: CanonicalUrl, request: Request) -> Iterator[Grant]:
        """Grants of this subject, in force now, for the URL's host or a parent of it."""
        hosts = [suffix for suffix in url.host_suffixes if suffix in self._hosts]
        if not hosts:
            return
        subject = request.subject
        who = (("user", subject.user), ("group", subject.group), ("room", subject.room), ("address", subject.client_address))
        for host in hosts:
            for kind, name in who:
                if name is not None:
                    for grant in self._by_subject.get((host, kind, name), ()):
                        if grant.holds_for(request):
                            yield grant


def read_snapshot(data: bytes) -> Snapshot:
    """Decode a published snapshot; raises `msgspec.DecodeError` or `msgspec.ValidationError` for anything else."""
    return msgspec.json.decode(data, type=Snapshot)
