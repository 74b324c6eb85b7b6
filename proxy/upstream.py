"""Where an upstream connection may lead: names are resolved here, and the address that is used is the one that was checked."""

import asyncio
import ipaddress
import socket
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import NamedTuple

type IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

CACHE_SECONDS = 30.0
FAILURE_SECONDS = 3.0
CACHE_ENTRIES = 4096
CONNECT_SECONDS = 15.0
RESOLVE_SECONDS = 10.0
ATTEMPTS = 4
"""Addresses of one name that are tried before giving up."""

FORBIDDEN = "forbidden target"
"""Start of the error text by which the hooks tell a refused address from a silent one."""

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_6TO4 = ipaddress.IPv6Network("2002::/16")


class UpstreamError(Exception):
    """The upstream connection can't or may not be opened; the text is a sentence for people."""


class ForbiddenTargetError(UpstreamError):
    """The host leads into a private network that the policy does not name."""


class UpstreamRules(NamedTuple):
    """What the policy says about upstream targets."""

    permits: Callable[[str, str], bool] = lambda host, address: False  # noqa: ARG005
    """(host, address) -> whether the policy names this address, or this host, as a private target."""
    hosts: Mapping[str, str] = {}
    """Static table: host name -> address."""


def embedded(address: IpAddress) -> IpAddress:
    """Return the IPv4 address that an IPv6 address carries inside (mapped, NAT64, 6to4), or the address itself."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if address in _6TO4:
            return ipaddress.IPv4Address((int(address) >> 80) & 0xFFFFFFFF)
    return address


def may_connect(host: str, text: str, rules: UpstreamRules) -> bool:
    """Return whether the policy lets the gateway connect to an address that `host` resolved to.

    Everything that the IANA special-purpose registries don't call globally reachable is refused (private, loopback,
    link-local with the clouds' metadata services, carrier NAT, multicast), unless the policy names it.
    """
    address = ipaddress.ip_address(text)
    inner = embedded(address)
    # Site-local IPv6 (RFC 3879) is in no registry any more, and still in old networks.
    if inner.is_global and not (inner.is_multicast or inner.is_reserved or getattr(inner, "is_site_local", False)):
        return True
    return rules.permits(host, str(inner))


class Upstreams:
    """Resolves, checks and opens upstream connections for one worker."""

    def __init__(self, rules: UpstreamRules | None = None, console: tuple[str, int] | None = None) -> None:
        self.rules = rules or UpstreamRules()
        self.console = console
        self._cache: OrderedDict[str, tuple[float, tuple[str, ...]]] = OrderedDict()
        self._running: dict[str, asyncio.Task[tuple[str, ...]]] = {}

    def use(self, rules: UpstreamRules) -> None:
        """Take over a changed policy."""
        if rules != self.rules:
            self.rules = rules
            self._cache.clear()

    async def connect(self, address: tuple[str, int], protocol: asyncio.Protocol) -> None:
        """Open a connection to one of the host's addresses; raises `UpstreamError` or `OSError`.

        `address` is (host, port) as the request names it. It is never changed: mitmproxy finds connections to reuse by it.
        """
        host, port = address[0], address[1]
        loop = asyncio.get_running_loop()
        candidates = (host,) if (host, port) == self.console else await self.addresses(host)
        problem: Exception | None = None
        for candidate in candidates[:ATTEMPTS]:
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    await loop.create_connection(lambda: protocol, candidate, port)
                return
            except (OSError, TimeoutError) as error:
                problem = error
        raise UpstreamError(f"{host} does not answer on port {port}") from problem

    async def addresses(self, host: str) -> tuple[str, ...]:
        """Return the addresses of a host that may be used; raises `UpstreamError` when there is none."""
        host = host.strip("[]").rstrip(".").lower()
        found = await self._lookup(host)
        usable = tuple(text for text in found if may_connect(host, text, self.rules))
        if not usable:
            raise ForbiddenTargetError(f"{FORBIDDEN}: {host} leads into a private network that the policy does not name")
        return usable

    async def _lookup(self, host: str) -> tuple[str, ...]:
        try:
            return (str(ipaddress.ip_address(host)),)
        except ValueError:
            pass
        static = self.rules.hosts.get(host)
        if static:
            return (static,)
        now = asyncio.get_running_loop().time()
        entry = self._cache.get(host)
        if entry is not None and entry[0] > now:
            if not entry[1]:
                raise UpstreamError(f"{host} has no address")
            return entry[1]
        task = self._running.get(host)
        if task is None:
            task = self._running[host] = asyncio.get_running_loop().create_task(self._resolve(host))
            task.add_done_callback(lambda _: self._running.pop(host, None))
        # Shielded: a client that leaves must not take the answer away from the others who wait for it.
        found = await asyncio.shield(task)
        if not found:
            raise UpstreamError(f"{host} has no address")
        return found

    async def _resolve(self, host: str) -> tuple[str, ...]:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(RESOLVE_SECONDS):
                answers = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            found = tuple(dict.fromkeys(str(answer[4][0]).split("%", 1)[0] for answer in answers))
        except (OSError, UnicodeError, TimeoutError):
            found = ()
        self._cache[host] = (loop.time() + (CACHE_SECONDS if found else FAILURE_SECONDS), found)
        self._cache.move_to_end(host)
        while len(self._cache) > CACHE_ENTRIES:
            self._cache.popitem(last=False)
        return found
