"""One decision, written down: the record that workers spool, the event store keeps and the console shows."""

import msgspec

EVENT_SCHEMA = 1


class Event(msgspec.Struct, frozen=True, omit_defaults=True):
    """One decision, written down (fields: the event contract in docs/architecture.md).

    Times are UTC. Secrets (credentials, cookies, tokens, password fields) never enter an event. A sealed hit
    carries `url_digest` and leaves host, path, search and matches empty.
    """

    id: str
    """32 hexadecimal digits, made by the worker; unique."""
    time: float
    """Seconds since the epoch, UTC."""
    worker: str
    client_address: str
    group: str
    identity_source: str
    action: str
    """`allow`, `log`, `warn`, `block`, or `error` when the gateway itself failed."""
    reason: str
    site: str = ""
    """Name of the school's site, from the policy."""
    user: str = ""
    device: str = ""
    room: str = ""
    method: str = ""
    scheme: str = ""
    host: str = ""
    registrable_domain: str = ""
    port: int = 0
    path: str = ""
    """Path without its query: queries carry secrets and search terms."""
    search: str = ""
    """The search term, when the request asks a search engine."""
    search_partial: bool = False
    """True for an autocomplete call, of which the finished search makes one event."""
    page: bool = False
    """True for a page that a person opened, false for its images, scripts and calls."""
    category: str = ""
    categories: tuple[str, ...] = ()
    level: int = 0
    list: str = ""
    rule: str = ""
    matches: tuple[str, ...] = ()
    """Phrases that matched, for alerts; at most ten."""
    excerpt: str = ""
    """The matched words with at most 200 characters around them."""
    grant: str = ""
    status: int = 0
    """Status code that the client got; 0 when the connection ended first."""
    media_type: str = ""
    bytes_in: int = 0
    """Bytes of the request's body."""
    bytes_out: int = 0
    """Bytes of the response's body."""
    milliseconds: float = 0.0
    """From the request's headers to the end of the answer."""
    inspected: bool = True
    """False for a connection that was let through unread (spliced)."""
    url_digest: str = ""
    """Keyed BLAKE2b digest of the URL, only for a sealed hit."""
    fault: str = ""
    """What failed, for an event about the gateway itself."""


encoder = msgspec.json.Encoder()
decoder = msgspec.json.Decoder(Event)
