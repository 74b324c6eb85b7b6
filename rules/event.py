"""One decision, written down: the record that workers spool, the event store keeps and the console shows."""

from collections.abc import Iterable

import msgspec


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


class EventEncoder:
    """Turns events into JSON, whatever stands in their texts."""

    def __init__(self) -> None:
        self._json = msgspec.json.Encoder()

    def encode(self, event: Event) -> bytes:
        """Return the JSON of one event."""
        return self.encode_lines((event,))[:-1]

    def encode_lines(self, events: Iterable[Event]) -> bytes:
        """Return one line of JSON for each event.

        Text from the network may hold halves of surrogate pairs, which UTF-8 can't write; they become `?`. One such
        event must not hold up the others, and none may be lost.
        """
        lines = list(events)
        try:
            return self._json.encode_lines(lines)
        except UnicodeEncodeError:
            return self._json.encode_lines([_writable(event) for event in lines])


def _writable(event: Event) -> Event:
    plain = {name: _plain(value) for name in event.__struct_fields__ if isinstance(value := getattr(event, name), str | tuple)}
    return msgspec.structs.replace(event, **plain)


def _plain(value: str | tuple[str, ...]) -> str | tuple[str, ...]:
    return value.encode("utf-8", "replace").decode("utf-8") if isinstance(value, str) else tuple([str(_plain(text)) for text in value])


encoder = EventEncoder()
decoder = msgspec.json.Decoder(Event)
