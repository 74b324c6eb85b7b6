"""One line of a list to one canonical entry, or the reason why it is refused."""

import re
from typing import TYPE_CHECKING, NamedTuple

from blocklists.host import ICANN_SUFFIXES, MAX_HOST, bare_host, is_public_suffix
from blocklists.layout import MAX_DEPTH
from blocklists.url import UrlError, canonical_host, canonicalise

if TYPE_CHECKING:  # a worker needs nothing else of numpy, which takes long to import
    import numpy as np
    from numpy.typing import NDArray

_PLAIN_HOST = re.compile(r"(?:[a-z0-9_][a-z0-9_-]*\.)+[a-z][a-z0-9-]*")
"""Names that the WHATWG parser leaves as they are; with "xn--" they go through it."""


class Entry(NamedTuple):
    """A canonical entry.

    `kind`: `host`, `domain`, `path`, `url`, `network` ("10.0.0.0/8"), `hash` (64 hexadecimal digits) or `prefix` (8 to 63).
    """

    line: int
    kind: str
    text: str


class Refused(NamedTuple):
    """A line that is not loaded, and why."""

    line: int
    text: str
    reason: str


class Allowed(NamedTuple):
    """A canonical entry that the list itself excepts: what it says otherwise about this host does not count."""

    line: int
    kind: str
    text: str


class Skipped(NamedTuple):
    """A line that this product has no use for, such as a rule that hides part of a page; counted, no fault of the list."""

    line: int
    text: str
    reason: str


class HostLines(NamedTuple):
    """Many canonical hosts at once: a line each, ended by a newline; read and checked in numpy."""

    kind: str
    data: bytes
    numbers: "NDArray[np.int64]"
    """The number of each line in its file."""


type Item = Entry | Allowed | Refused | Skipped | HostLines


class EntryError(ValueError):
    """The entry is refused; the message is the reason."""


def host_entry(text: str) -> str:
    """Return the canonical host of an entry; raises `EntryError` for no host, and for one that would block a whole registry."""
    if _PLAIN_HOST.fullmatch(text) and "xn--" not in text and len(text) <= MAX_HOST:
        host = text
    else:
        try:
            host = canonical_host(f"[{text}]" if text.count(":") > 1 and text[0] != "[" else _without_wildcard(text))
        except UrlError:
            raise EntryError(_why_no_host(text)) from None
        if "*" in host:
            raise EntryError(_why_no_host(text))
    _refuse_suffix(host)
    return host


def url_entry(text: str) -> tuple[str, str]:
    """Return kind and canonical entry of an address with a path.

    The host loses `www.`, `webN.` and `ftp.` (squidGuard's rule), the path its final "/"; its case is kept. With a
    query the entry is that address alone. Without path it is the host's every page: kind `path`, "host/".
    """
    if "*" in text:
        raise EntryError("wildcards are not supported in addresses")
    try:
        url = canonicalise(text)
    except UrlError as error:
        raise EntryError(str(error).rstrip(".")[:1].lower() + str(error).rstrip(".")[1:]) from None
    host = bare_host(url.host)
    if "." not in host and not url.is_address:
        raise EntryError(f"{host} is not the name of a site")
    if url.path.count("/") > MAX_DEPTH:
        raise EntryError(f"the path has more than {MAX_DEPTH} folders")
    if url.query is not None:
        return "url", f"{host}{url.path}?{url.query}"
    path = url.path.rstrip("/")
    if not path and not url.is_address:
        _refuse_suffix(host)
    return "path", host + (path or "/")


def _refuse_suffix(host: str) -> None:
    if not is_public_suffix(host) or host.startswith("["):
        return
    if "." not in host and host not in ICANN_SUFFIXES:
        raise EntryError(f"{host} is a single word, not the name of a site")
    raise EntryError(f"{host} is a public suffix: it would match every site under it")


def _without_wildcard(text: str) -> str:
    """ "*.example.org" and ".example.org" mean the name and everything under it, as a `domain` entry does."""
    return text.removeprefix("*.")


def _why_no_host(text: str) -> str:
    if not text.strip("*. "):
        return "the entry would match everything"
    if "*" in text:
        return "wildcards are supported only in front, as in *.example.org"
    if "://" in text or "/" in text:
        return "this is an address with a path, not a host name; load such lists with --format urls"
    return "this is not a host name that a browser would open"
