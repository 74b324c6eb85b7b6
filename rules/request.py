"""One request as the rules see it: an immutable value, free of proxy and sockets."""

import re
from enum import StrEnum
from urllib.parse import unquote

import msgspec

from blocklists.url import CanonicalUrl

_MAY_CLIMB = re.compile(r"\.\.|%(?:25)*2e", re.IGNORECASE)
_CLIMBS = re.compile(r"[/\\]\.\.(?:;[^/\\]*)?(?:[/\\]|\Z)")
_NESTED_PERCENT = re.compile(r"%(?:25)+")
_MOST_LAYERS = 32


class IdentitySource(StrEnum):
    """How the gateway knows who is asking, from the surest to a guess."""

    PROXY_AUTH = "proxy-auth"
    SUBNET = "subnet"
    NONE = "none"


class Subject(msgspec.Struct, frozen=True):
    """Who is asking."""

    client_address: str
    group: str
    user: str | None = None
    device: str | None = None
    room: str | None = None
    """Name of the policy's subnet entry that holds the address, if it names a room."""
    identity_source: IdentitySource = IdentitySource.NONE


class TypedText(msgspec.Struct, frozen=True):
    """Words of a conversation: what a person typed (a search term, a form field, a prompt), or what streams back to them."""

    text: str
    context: str = "search"
    """`search`, `form` or `prompt`."""
    answer: bool = False
    """True for words that the site sent: an assistant's answer, a message in a chat."""


class Destination(StrEnum):
    """What the browser will use the answer for (Fetch standard, `Sec-Fetch-Dest`), as far as it matters here."""

    DOCUMENT = "document"
    FRAME = "frame"
    """A page inside of a page: whoever can write into an open page can put any other one there."""
    SUBRESOURCE = "subresource"
    UNKNOWN = "unknown"


class Request(msgspec.Struct, frozen=True):
    """Everything that a decision depends on, apart from the ruleset and the state."""

    url: CanonicalUrl
    subject: Subject
    at: float
    """Seconds since the epoch, UTC."""
    method: str = "GET"
    destination: Destination = Destination.UNKNOWN
    referrer: CanonicalUrl | None = None
    """The page that asks for this, from `Referer` or `Origin`."""
    claimed_hosts: tuple[str, ...] = ()
    """Canonical hosts named elsewhere for the same request: CONNECT authority, SNI, Host or `:authority`."""
    typed: tuple[TypedText, ...] = ()
    page_text: str | None = None
    """Visible text of the response, once it is known."""


def climbs(path: str) -> bool:
    """True for a path with a ".." segment in it as some server may read it, plain or behind escapes, backslashes or ";".

    "/watch%2f..%2flesson" is "/lesson" to one server and "/watch..." to another, so whatever is judged, the other may be
    shown. Browsers resolve ".." before they ask (URL standard, 4.4), and no page has a reason to hide one.
    """
    if _MAY_CLIMB.search(path) is None:
        return False
    for _ in range(_MOST_LAYERS):
        if _CLIMBS.search(path) is not None:
            return True
        plain = unquote(_NESTED_PERCENT.sub("%", path))
        if plain == path:
            return False
        path = plain
    return True
