"""One request as the rules see it: an immutable value, free of proxy and sockets."""

from enum import StrEnum

import msgspec

from blocklists.url import CanonicalUrl


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
