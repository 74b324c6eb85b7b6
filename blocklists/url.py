"""The canonical URL: one function for the list compiler and for the request path.

Two steps: the WHATWG URL standard (what browsers do, by can_ada), then the Safe Browsing canonicalisation (escapes
undone until nothing changes, dots and slashes collapsed, IPv4 inside IPv6 unwrapped). Deviations from Safe Browsing:
a host that no browser accepts is an error, and `?` and `\\` that were escaped in a path stay escaped, so that the
canonical text reads back as itself.
"""

import re
from functools import lru_cache

import msgspec
from can_ada import parse
from msgspec.structs import force_setattr

from blocklists.host import HostFacts, UrlError, host_facts, registrable_domain

__all__ = ["CanonicalUrl", "UrlError", "canonical_host", "canonicalise", "expression_hosts", "expressions", "leading_folders"]

MAX_CHARACTERS = 65_536
"""Longer addresses are refused: no browser or server of note accepts them."""
_MAX_ROUNDS = 32
"""Nested escapes deeper than this are refused, so that unescaping stays linear."""

_PORTS = {"http:": 80, "https:": 443, "ws:": 80, "wss:": 443, "ftp:": 21}
_HEX = "0123456789abcdefABCDEF"
_UNESCAPED = {f"%{a}{b}": chr(int(a + b, 16)) for a in _HEX for b in _HEX}
_ESCAPED = {chr(code): f"%{code:02X}" for code in range(256)}
_ESCAPE = re.compile("%[0-9a-fA-F]{2}")
_NESTED_PERCENT = re.compile("%(?:25)+")
_UNSAFE_IN_PATH = re.compile(r"[^!-~]|[#%?\\]")
_UNSAFE_IN_QUERY = re.compile(r"[^!-~]|[#%]")
_SLASHES = re.compile("//+")
_SURROGATE = re.compile("[\ud800-\udfff]")
_OTHER_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(?![0-9])")


class CanonicalUrl(msgspec.Struct, frozen=True, eq=False, gc=False):
    """An address in the one form that lists, rules and events compare; immutable, equal by its text."""

    scheme: str
    """`http`, `https`, `ws`, `wss` or `ftp`."""
    _facts: HostFacts
    port: int
    """The effective port."""
    path: str
    """Starts with "/"; escapes undone except where the text would read differently."""
    query: str | None
    """Canonical query without "?"; None when there is none or an empty one."""
    raw_query: str | None
    """The query as the browser sends it: `&`, `=` and `+` inside a value are still escaped. For reading search terms."""
    _text: str | None = None

    @property
    def host(self) -> str:
        """Lower case, punycode, no outer dots; IPv4 as dotted quad; IPv6 shortest, in brackets."""
        return self._facts.host

    @property
    def host_suffixes(self) -> tuple[str, ...]:
        """The host, then its parents down to two labels; an address or a single label stands alone."""
        return self._facts.suffixes

    @property
    def host_facts(self) -> HostFacts:
        """The host with everything that is worked out once per host."""
        return self._facts

    @property
    def is_address(self) -> bool:
        """True when the host is an IPv4 or IPv6 address."""
        return self._facts.is_address

    @property
    def registrable_domain(self) -> str:
        """The public suffix and one label more (Public Suffix List, both sections), or the host itself."""
        return self._facts.host if self._facts.is_address else registrable_domain(self._facts.host)

    @property
    def path_and_query(self) -> str:
        """Path, with "?" and the query where there is one."""
        return self.path if self.query is None else f"{self.path}?{self.query}"

    @property
    def path_and_sent_query(self) -> str:
        """Path, with the query as it was sent: an escaped "&" in it stays a part of its value."""
        return self.path if self.raw_query is None else f"{self.path}?{self.raw_query}"

    @property
    def sent(self) -> str:
        """The address to open again: `text`, but with the query as it was sent."""
        return self.text[: len(self.text) - len(self.path_and_query)] + self.path_and_sent_query

    @property
    def text(self) -> str:
        """The whole canonical text, without user, password and fragment; the port only where it is not the scheme's own."""
        text = self._text
        if text is None:
            port = "" if _PORTS[self.scheme + ":"] == self.port else f":{self.port}"
            text = f"{self.scheme}://{self.host}{port}{self.path_and_query}"
            force_setattr(self, "_text", text)
        return text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CanonicalUrl) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"CanonicalUrl({self.text!r})"

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return canonicalise, (self.text,)


def canonicalise(text: str) -> CanonicalUrl:
    """Return the canonical form of an address as a browser, a proxy request or a list writes it.

    A text without a scheme is read as `http://` plus the text. Characters that stand for undecodable bytes
    (surrogates) count as those bytes. Raises `UrlError`, and nothing else, for what no browser would open.
    """
    try:
        url = parse(text)
        default_port = _PORTS[url.protocol]
    except (ValueError, TypeError, KeyError):
        url = parse_leniently(text)
        default_port = _PORTS[url.protocol]
    if len(text) > MAX_CHARACTERS:
        raise UrlError(f"The address is longer than {MAX_CHARACTERS:,} characters.")
    path: str = url.pathname
    # The parser leaves dot segments behind a segment that begins with a dot: "/.x/y/../z" stays as it is.
    if "%" in path or "//" in path or "/." in path:
        path = _canonical_path(path)
    search: str = url.search
    raw_query = query = search[1:] or None
    if query is not None and "%" in query:
        query = _UNSAFE_IN_QUERY.sub(_escape, _unescape_fully(query))
    port: str = url.port
    return CanonicalUrl(url.protocol[:-1], host_facts(url.hostname), int(port) if port else default_port, path, query, raw_query)


def parse_leniently(text: str):  # type: ignore[no-untyped-def]  # can_ada has no types
    """Parse what the quick way refused: no scheme, or characters that are not Unicode text."""
    if len(text) > MAX_CHARACTERS:
        raise UrlError(f"The address is longer than {MAX_CHARACTERS:,} characters.")
    text = _SURROGATE.sub(_surrogate_as_bytes, text).strip("\t\n\r\f\v \0")
    if text.startswith("//"):
        text = "http:" + text
    elif "://" not in text.partition("?")[0]:
        if not text or text[0] in "/\\?#:" or _OTHER_SCHEME.match(text):
            raise UrlError("The text is not a web address.")
        text = "http://" + text
    try:
        url = parse(text)
    except (ValueError, TypeError):
        raise UrlError("The text is not a web address that a browser would open.") from None
    if url.protocol not in _PORTS:
        raise UrlError(f"Addresses that start with {url.protocol[:32]} are not web addresses.")
    return url


@lru_cache(maxsize=16_384)
def canonical_host(text: str) -> str:
    """Return the canonical form of a bare host: no scheme, port or path. Raises `UrlError`."""
    if not text or any(c in "/\\?#@" for c in text) or (":" in text and not text.startswith("[")):
        raise UrlError("The text is not a host name.")
    if text.startswith("[") and not text.endswith("]"):
        raise UrlError("The text is not a host name.")
    return host_facts(parse_leniently("http://" + text).hostname).host


def expressions(url: CanonicalUrl) -> list[str]:
    """Return the host-suffix x path-prefix expressions of Safe Browsing (v4, "Suffix/prefix expressions"), at most 30.

    Hosts: the exact one and up to four made of its last five labels. Paths: with query, without, and up to four
    leading folders, each ending in "/".
    """
    paths = path_expressions(url.path, url.query)
    return [host + path for host in expression_hosts(url) for path in paths]


def expression_hosts(url: CanonicalUrl) -> tuple[str, ...]:
    """Return the at most five hosts of a URL's expressions, the exact one first."""
    suffixes = url.host_suffixes
    return suffixes if len(suffixes) <= 4 else (suffixes[0], *(s for s in suffixes[1:] if s.count(".") < 5))


def path_expressions(path: str, query: str | None) -> list[str]:
    """Return the at most six path expressions of one URL: as it stands, then its leading folders, shortest first."""
    paths = [f"{path}?{query}", path] if query is not None else [path]
    return [*paths, *(folder for folder in leading_folders(path) if folder != path)]


def leading_folders(path: str) -> list[str]:
    """Return the at most four leading folders of a path, shortest first; a path that ends in "/" may be one of them."""
    folders = []
    edge = 0
    for _ in range(4):
        folders.append(path[: edge + 1])
        edge = path.find("/", edge + 1)
        if edge < 0:
            break
    return folders


def _canonical_path(path: str) -> str:
    """Undo escapes, resolve dot segments and collapse slashes, in that order, then escape what must be."""
    if "%" in path:
        path = _unescape_fully(path)
    if "//" in path:
        path = _SLASHES.sub("/", path)
    if "/." in path:
        path = _without_dot_segments(path)
    return _UNSAFE_IN_PATH.sub(_escape, path)


def _without_dot_segments(path: str) -> str:
    kept: list[str] = []
    segments = path.split("/")
    for segment in segments[1:]:
        if segment == "..":
            if kept:
                kept.pop()
        elif segment not in (".", ""):
            kept.append(segment)
    folder = segments[-1] in ("", ".", "..")
    return "/" + "/".join(kept) + ("/" if folder and kept else "")


def _unescape_fully(text: str) -> str:
    """Undo percent escapes until nothing changes; the characters stand for bytes (latin-1)."""
    for _ in range(_MAX_ROUNDS):
        # "%2525…25" shrinks by one level a round; taken at once, the rounds stay few.
        plain = _ESCAPE.sub(_unescape, _NESTED_PERCENT.sub("%", text) if "%25" in text else text)
        if plain == text:
            return text
        text = plain
        if "%" not in text:
            return text
    raise UrlError("The address hides its text behind too many layers of escapes.")


def _unescape(match: re.Match[str]) -> str:
    return _UNESCAPED[match[0]]


def _escape(match: re.Match[str]) -> str:
    return _ESCAPED[match[0]]


def _surrogate_as_bytes(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"%{code - 0xDC00:02X}" if 0xDC80 <= code <= 0xDCFF else "\ufffd"
