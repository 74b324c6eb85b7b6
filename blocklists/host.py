"""Hosts: their canonical form, parents, and place in the Public Suffix List."""

import ipaddress
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

from can_ada import parse
from publicsuffixlist import PSLFILE, PublicSuffixList

MAX_HOST = 253
"""Longest name that the DNS can hold (RFC 1035, 2.3.4)."""

_DIGITS = frozenset("0123456789")
_DOTS = re.compile(r"\.\.+")
_IPV4 = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+")
_SERVER_LABEL = re.compile(r"(?:www[0-9]*|web[0-9]*|ftp[0-9]*)\.(?=[^.]+\.)")
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_SUFFIXES = PublicSuffixList()


class UrlError(ValueError):
    """The text can't be read as a web address; the message is one sentence for people."""


class HostFacts:
    """A canonical host and what follows from it; worked out once per host and shared."""

    __slots__ = ("bare", "host", "is_address", "suffixes")

    host: str
    bare: str
    """The host without a leading `www.`, `webN.` or `ftp.` where two labels remain (squidGuard's rule for URL entries)."""
    is_address: bool
    suffixes: tuple[str, ...]
    """The host, then its parents down to two labels."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.is_address = host[0] == "[" or (host[-1] in _DIGITS and _IPV4.fullmatch(host) is not None)
        if self.is_address:
            self.bare, self.suffixes = host, (host,)
            return
        self.bare = bare_host(host) if host[0] in "wf" else host
        suffixes = [host]
        edge, last = host.find("."), host.rfind(".")
        while edge < last:
            suffixes.append(host[edge + 1 :])
            edge = host.find(".", edge + 1)
        self.suffixes = tuple(suffixes)


@lru_cache(maxsize=16_384)
def host_facts(host: str) -> HostFacts:
    """Return the facts of a host that a WHATWG parser has accepted; raises `UrlError` where nothing is left of it."""
    if host.startswith(".") or host.endswith(".") or ".." in host:
        # Without its spare dots the name may be an address in disguise ("0x7f.1.."), so it is parsed again.
        host = _DOTS.sub(".", host).strip(".")
        try:
            host = parse(f"http://{host}/").hostname
        except ValueError:
            raise UrlError("The address has no host that a browser would open.") from None
    if not host:
        raise UrlError("The address has no host.")
    if host[0] == "[":
        host = _unwrapped(host)
    if len(host) > MAX_HOST:
        raise UrlError(f"The host name is longer than {MAX_HOST} characters.")
    return HostFacts(host)


def networks_of(host: str, prefixes: Iterable[int]) -> Iterator[str]:
    """Yield the networks that hold an address host, one for each wanted length of prefix; those of IPv6 come plus 100."""
    six = host[0] == "["
    # Without the `ipaddress` module's networks, which take ten times as long: lists of networks know 30 lengths.
    bits, value = (128, int(ipaddress.IPv6Address(host[1:-1]))) if six else (32, int(ipaddress.IPv4Address(host)))
    for prefix in prefixes:
        if (prefix >= 100) == six:
            length = prefix - 100 * six
            start = value >> (bits - length) << (bits - length)
            text = str(ipaddress.IPv6Address(start)) if six else f"{start >> 24}.{start >> 16 & 255}.{start >> 8 & 255}.{start & 255}"
            yield f"{text}/{length}"


def bare_host(host: str) -> str:
    """Return the host without `www.`, `webN.` or `ftp.` in front, as long as two labels remain."""
    match = _SERVER_LABEL.match(host)
    return host[match.end() :] if match else host


@lru_cache(maxsize=16_384)
def registrable_domain(host: str) -> str:
    """Return the public suffix and one label more, or the host itself when it is a public suffix or a single label."""
    return _SUFFIXES.privatesuffix(host) or host


def is_public_suffix(host: str) -> bool:
    """True for a single label and for names under which registries sell names (ICANN section of the Public Suffix List)."""
    if host in ICANN_SUFFIXES:
        return True
    parent = host.partition(".")[2]
    return not parent or (parent in WILDCARD_PARENTS and host not in _EXCEPTIONS)


def _icann_rules() -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
    """Return the exact rules, the parents of wildcard rules and the exceptions from those, in punycode.

    Read from the file rather than asked rule by rule: compiling a list asks this a million times.
    """
    exact: set[str] = set()
    parents: set[str] = set()
    exceptions: set[str] = set()
    with Path(PSLFILE).open(encoding="utf-8") as lines:
        for line in lines:
            if "===END ICANN DOMAINS===" in line:
                break
            rule = line.split(maxsplit=1)[0] if line.strip() else "//"
            if rule.startswith("//"):
                continue
            kept = parents if rule.startswith("*.") else exceptions if rule.startswith("!") else exact
            kept.add(parse(f"http://{rule.lstrip('*.!')}/").hostname)
    return frozenset(exact), frozenset(parents), frozenset(exceptions)


def _unwrapped(host: str) -> str:
    """Return the IPv4 address inside an IPv4-mapped or NAT64 address, or the host unchanged."""
    address = ipaddress.IPv6Address(host[1:-1])
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    if address in NAT64:
        return str(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return host


ICANN_SUFFIXES, WILDCARD_PARENTS, _EXCEPTIONS = _icann_rules()
