"""What the gateway knows about a client connection and about one exchange on it."""

from proxy.bodies import Counter
from rules.decision import Decision
from rules.request import Destination, Request, Subject
from rules.ruleset import Ruleset
from rules.searches import SearchTerm

FRAMES = frozenset({"iframe", "frame", "embed", "object", "fencedframe"})
"""Uses of an answer (`Sec-Fetch-Dest`) that show a page inside of a page."""


class Visit:
    """One client connection."""

    __slots__ = (
        "address",
        "group",
        "lasting",
        "open",
        "outer_host",
        "outer_port",
        "roster",
        "sni",
        "spliced",
        "subject",
        "unchecked",
        "user",
    )

    def __init__(self, address: str) -> None:
        self.address = address
        self.user: str | None = None
        self.group: str | None = None
        """Group of the account that signed in."""
        self.outer_host: str | None = None
        """Canonical host of the CONNECT request, once there is a tunnel."""
        self.outer_port = 0
        self.unchecked = False
        """True for a tunnel that was opened while there were no rules, so that a page inside it can say so, and for nothing else."""
        self.sni: str | None = None
        """Canonical server name of the TLS connection inside the tunnel."""
        self.spliced: Exchange | None = None
        self.lasting: dict[Exchange, object] = {}
        """What outlives its decision: open WebSockets with their flows, a connection that passes unread with None."""
        self.open = 0
        """Exchanges under way."""
        self.subject: Subject | None = None
        self.roster: object = None
        """The policy's roster that gave `subject`."""

    def who(self, ruleset: Ruleset) -> Subject:
        """Return the subject under a ruleset; worked out once per connection and policy."""
        roster = ruleset.policy.roster
        if self.subject is None or self.roster is not roster:
            self.subject = ruleset.policy.identify(self.address, self.user, self.group)
            self.roster = roster
        return self.subject

    def signed_in(self, user: str | None, group: str | None) -> None:
        """Take over who signed in; a change forgets the old subject."""
        if user != self.user or group != self.group:
            self.user, self.group, self.subject = user, group, None


class Exchange:
    """One request with its answer, from the first header to the event."""

    __slots__ = (
        "accept", "bytes_in", "coding", "content_type", "counter", "decision", "done", "fault", "id", "length", "media_type", "own", "page",
        "page_text", "private", "request", "request_coding", "request_type", "ruleset", "search", "started", "subject", "visit", "wanted",
    )  # fmt: skip

    def __init__(self, identifier: str, started: float, visit: Visit) -> None:
        self.id = identifier
        self.started = started
        self.visit = visit
        self.subject: Subject | None = None
        self.request: Request | None = None
        self.ruleset: Ruleset | None = None
        self.decision: Decision | None = None
        self.search: SearchTerm | None = None
        self.page = False
        self.own = False
        """True for the gateway's own pages."""
        self.private: bool | None = None
        """True where no text is read (`rules.look.Look.private`), None while nobody has asked."""
        self.wanted = ""
        """`Sec-Fetch-Dest`."""
        self.accept = ""
        self.request_type = ""
        """`Content-Type` of the request's body, where that body is read."""
        self.request_coding = ""
        self.bytes_in = 0
        self.media_type = ""
        self.content_type = ""
        self.coding = ""
        self.length = -1
        """Bytes of the answer's body, -1 where only counting tells."""
        self.counter: Counter | None = None
        self.page_text = ""
        self.fault = ""
        self.done = False


def destination_of(wanted: str, accept: str, *, referred: bool) -> Destination:
    """Say what the answer is for; browsers leave `Sec-Fetch-Dest` out on plain HTTP, so `Accept` and `Referer` stand in."""
    if wanted:
        return Destination.DOCUMENT if wanted == "document" else Destination.FRAME if wanted in FRAMES else Destination.SUBRESOURCE
    if accept.startswith(("text/html", "application/xhtml")):
        return Destination.DOCUMENT
    if accept.startswith(("image/", "text/css", "video/", "audio/", "font/")) or referred:
        return Destination.SUBRESOURCE
    return Destination.UNKNOWN
