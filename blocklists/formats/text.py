"""Formats of one text file: plain domains, hosts, URLs, SHA-256 digests."""

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator

from blocklists.entries import Entry, EntryError, Refused, host_entry, url_entry
from blocklists.reading import Line

type Lines = Iterable[Line]
type Read = Iterator[Entry | Refused]

_COMMENT = ("#", "!", ";", "//")
_COMMENT_STARTS = "#!;/"
_DIGEST = re.compile("[0-9a-fA-F]{64}")
_SINKS = frozenset({"0.0.0.0", "::", "::1", "0", "fe80::1%lo0"})  # noqa: S104 - addresses in hosts files, nothing listens
_OWN_NAMES = frozenset(
    {
        "localhost", "localhost.localdomain", "localhost4", "localhost4.localdomain4", "localhost6", "localhost6.localdomain6", "local",
        "broadcasthost", "ip6-localhost", "ip6-loopback", "ip6-localnet", "ip6-mcastprefix", "ip6-allnodes", "ip6-allrouters",
        "ip6-allhosts", "0.0.0.0",  # noqa: S104
    }
)  # fmt: skip


def read_domains(lines: Lines, *, subdomains: bool = True) -> Read:
    """Read one host a line; "*." or "." in front, comments and blank lines are allowed."""
    kind = "domain" if subdomains else "host"
    for line in lines:
        text = _content(line.text)
        if line.fault is not None:
            yield Refused(line.number, line.text, line.fault)
        elif text:
            try:
                yield Entry(line.number, kind, host_entry(text))
            except EntryError as error:
                yield Refused(line.number, text, str(error))


def read_hosts(lines: Lines, *, subdomains: bool = False) -> Read:
    """Read a hosts file: a sink address, then names. The machine's own names are passed over."""
    kind = "domain" if subdomains else "host"
    for line in lines:
        if line.fault is not None:
            yield Refused(line.number, line.text, line.fault)
            continue
        address, *names = line.text.partition("#")[0].split() or [""]
        if not address or address.startswith(_COMMENT):
            continue
        if address not in _SINKS and not address.startswith("127.") and not names:
            yield Refused(line.number, line.text, "a line of a hosts file is an address and a name")
            continue
        if address not in _SINKS and not address.startswith("127.") and not _is_multicast(address):
            yield Refused(line.number, line.text, f"{address} is not an address that blocks, such as 0.0.0.0")
            continue
        for name in names:
            if name.lower() in _OWN_NAMES:
                continue
            try:
                yield Entry(line.number, kind, host_entry(name))
            except EntryError as error:
                yield Refused(line.number, name, str(error))


def read_urls(lines: Lines) -> Read:
    """Read addresses with paths; one without path is a host with its sub-domains."""
    for line in lines:
        text = _content(line.text)
        if line.fault is not None:
            yield Refused(line.number, line.text, line.fault)
        elif text:
            try:
                kind, entry = url_entry(text)
                if entry.endswith("/") and kind == "path":
                    kind, entry = "domain", host_entry(entry[:-1])
                yield Entry(line.number, kind, entry)
            except EntryError as error:
                yield Refused(line.number, text, str(error))


def read_squidguard_urls(lines: Lines) -> Read:
    """Read squidGuard's `urls`: "host/path", a prefix at "/" edges; one without path is that host's every page."""
    for line in lines:
        text = line.text.strip()
        if line.fault is not None:
            yield Refused(line.number, line.text, line.fault)
        elif text and not text.startswith("#"):
            try:
                yield Entry(line.number, *url_entry(text))
            except EntryError as error:
                yield Refused(line.number, text, str(error))


def read_sha256(lines: Lines) -> Read:
    """Read SHA-256 digests of Safe Browsing expressions, 64 hexadecimal digits, first on their line."""
    for line in lines:
        text = _content(line.text).partition(",")[0].strip().strip('"')
        if line.fault is not None:
            yield Refused(line.number, line.text, line.fault)
        elif text and _DIGEST.fullmatch(text):
            yield Entry(line.number, "hash", text.lower())
        elif text:
            yield Refused(line.number, text, "this is not a SHA-256 digest of 64 hexadecimal digits")


TEXT_FORMATS: dict[str, Callable[[Lines], Read]] = {
    "domains": read_domains, "hosts": read_hosts, "urls": read_urls, "sha256": read_sha256,
}  # fmt: skip


def _content(text: str) -> str:
    """Return the line without comment and outer blanks."""
    text = text.strip()
    if text[:1] in _COMMENT_STARTS and text.startswith(_COMMENT):
        return ""
    if "#" in text:
        # Only " #" begins a comment inside a line: "#" alone may belong to an address.
        text = re.split(r"\s#", text, maxsplit=1)[0].rstrip()
    return text


def _is_multicast(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).is_multicast or ipaddress.ip_address(text).is_reserved
    except ValueError:
        return False
