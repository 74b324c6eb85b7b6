"""From mitmproxy's request to the immutable one that the rules judge."""

import re
from functools import lru_cache

from mitmproxy import http

from blocklists.url import CanonicalUrl, UrlError, canonical_host, canonicalise
from proxy.visit import Exchange, Visit, destination_of
from rules.request import Destination, Request, climbs
from rules.ruleset import Ruleset
from rules.typed import typed_of

_READ = frozenset({
    b"host", b"referer", b"origin", b"sec-fetch-dest", b"accept", b"content-type", b"content-length", b"content-encoding",
    b"proxy-authorization", b"transfer-encoding", b"range",
})  # fmt: skip
_STRIPPED = frozenset({
    b"proxy-authorization", b"proxy-connection",
    # The school's own limits on accounts: only the gateway may set them.
    b"x-googapps-allowed-domains", b"youtube-restrict", b"restrict-access-to-tenants", b"restrict-access-context",
    b"sec-restrict-tenant-access-policy",
    # HTTP/2 without TLS, which the layers don't speak.
    b"http2-settings",
    # Shared dictionaries: a page compressed against one can't be read here.
    b"available-dictionary", b"dictionary-id",
    # Compressed WebSocket messages would be unpacked here without a bound, and packed again.
    b"sec-websocket-extensions",
})  # fmt: skip
_CODINGS = frozenset({b"gzip", b"deflate", b"br", b"zstd", b"identity", b"*", b"x-gzip"})
_JOINED = frozenset({b"content-type", b"content-encoding"})
"""Fields of a body that count all together when they stand there twice."""
LINE_ENDS = re.compile(rb"[\r\n\0]+")
"""What the value of a header field never holds."""
_UNSENDABLE = re.compile(r"[\x00-\x20\x7f#]")
"""No browser sends these in a path: it ends at "#", and the others are taken out of the address that is judged."""
_METHOD = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}")
"""A token (RFC 9110, 9.1): in HTTP/2 a method could hold another request line."""
_AUTHORITY = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\s/\\?#@:\[\]]+)(?::([0-9]{0,5}))?")


class BadRequestError(ValueError):
    """The request names no host that a browser would open, or two at once."""


def take_headers(request: http.Request) -> dict[bytes, bytes]:
    """Return the header fields that decisions need, and take out those that must not leave the gateway."""
    found: dict[bytes, bytes] = {}
    kept: list[tuple[bytes, bytes]] = []
    changed = False
    headers = request.data.headers
    if LINE_ENDS.search(b" ".join([field[1] for field in headers.fields])) is not None:
        # To some servers the rest is another field (RFC 9110, 5.5); a line that is folded on counts too, which no browser sends.
        raise BadRequestError("the value of a header ends too early")
    for field in headers.fields:
        name = field[0].lower()
        if name in _READ:
            if name == b"host" and name in found and found[name] != field[1]:
                raise BadRequestError("two Host headers")
            found[name] = found[name] + b", " + field[1] if name in _JOINED and name in found else field[1]
        if name in _STRIPPED or name.startswith(b"x-schoolgate"):
            changed = True
        elif name == b"accept-encoding":
            value = _plain_codings(field[1])
            changed = changed or value is not field[1]
            kept.append((field[0], value))
        elif name == b"upgrade" and b"h2c" in [token.strip().lower() for token in field[1].split(b",")]:
            changed = True
        else:
            kept.append(field)
    if changed:
        headers.fields = tuple(kept)
    if found.get(b"transfer-encoding", b"chunked").lower() != b"chunked":
        # A body compressed for the way is one that can't be read here (RFC 9112, 6.1).
        raise BadRequestError("an unknown transfer coding")
    return found


@lru_cache(maxsize=256)
def _plain_codings(value: bytes) -> bytes:
    """Keep only the content codings that we can undo."""
    tokens = [token.strip() for token in value.split(b",")]
    kept = [token for token in tokens if token.split(b";", 1)[0].strip().lower() in _CODINGS]
    return value if len(kept) == len(tokens) else b", ".join(kept) or b"identity"


@lru_cache(maxsize=8192)
def host_of(authority: str) -> str:
    """Return the canonical host of a `Host` header or authority; raises `BadRequestError`."""
    match = _AUTHORITY.fullmatch(authority)
    if match is None:
        raise BadRequestError("the host can't be read")
    try:
        return canonical_host(match[1])
    except UrlError as error:
        raise BadRequestError("the host can't be read") from error


@lru_cache(maxsize=4096)
def referrer_of(text: str) -> CanonicalUrl | None:
    """Return the page that a `Referer` or `Origin` header names."""
    try:
        return canonicalise(text) if text.startswith(("http://", "https://")) else None
    except UrlError:
        return None


def read_request(flow: http.HTTPFlow, headers: dict[bytes, bytes], visit: Visit, exchange: Exchange, ruleset: Ruleset) -> Request:
    """Build the rules' request; raises `BadRequestError` or `UrlError` for an address that can't be judged."""
    data = flow.request.data
    claimed: list[str] = []
    host_header = headers.get(b"host")
    if host_header is not None:
        claimed.append(host_of(host_header.decode("latin-1")))
    if data.authority:
        claimed.append(host_of(data.authority.decode("latin-1")))
        if data.http_version[:6] == b"HTTP/1":
            # Absolute form inside a tunnel: judged like any other claim, and never passed on.
            data.authority = b""
    if visit.outer_host is not None:
        host = claimed[-1] if claimed else visit.outer_host
        port = visit.outer_port
        claimed.append(visit.outer_host)
        if visit.sni is not None:
            claimed.append(visit.sni)
    else:
        host, port = host_of(_bracketed(data.host)), data.port
    path = flow.request.path
    if _UNSENDABLE.search(path) is not None or (path[:1] != "/" and not (path == "*" and data.method == b"OPTIONS")):
        # Sent as it came, but judged as something else.
        raise BadRequestError("the path can't be read")
    if climbs(path.partition("?")[0]):
        raise BadRequestError("the path leads to another one")
    if _METHOD.fullmatch(data.method) is None:
        raise BadRequestError("the method is none")
    scheme = data.scheme.decode("latin-1")
    url = canonicalise(f"{scheme}://{host}:{port}{path if path[:1] == '/' else '/'}")
    referrer = headers.get(b"referer") or headers.get(b"origin")
    exchange.wanted = wanted = headers.get(b"sec-fetch-dest", b"").decode("latin-1").lower()
    exchange.accept = accept = headers.get(b"accept", b"").decode("latin-1").lower()
    destination = destination_of(wanted, accept, referred=referrer is not None)
    exchange.page = destination is Destination.DOCUMENT
    if b"range" in headers and destination in (Destination.DOCUMENT, Destination.FRAME):
        # A part of a page could not be weighed like the page.
        flow.request.headers.pop("range", None)
        flow.request.headers.pop("if-range", None)
    typed, exchange.search = typed_of(ruleset, url)
    if exchange.search is not None and names_sealed(exchange.search.text, ruleset):
        exchange.search = None
    other = tuple([name for name in dict.fromkeys(claimed) if name != url.host]) if claimed else ()
    return Request(
        url, visit.who(ruleset), exchange.started, flow.request.method, destination,
        referrer_of(referrer.decode("latin-1")) if referrer is not None else None, other, typed,
    )  # fmt: skip


def names_sealed(term: str, ruleset: Ruleset) -> bool:
    """True for a search term that is a sealed address: browsers send what is typed as an address to be completed, too."""
    if "." not in term or " " in term:
        return False
    try:
        return ruleset.sealed.find(canonicalise(term)) is not None
    except UrlError:
        return False


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and host[0] != "[" else host
