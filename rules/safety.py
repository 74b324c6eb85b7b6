"""Protocol safety: ports, private networks, numbers for names, and names that disagree."""

import ipaddress
from functools import lru_cache

import msgspec

from blocklists.url import CanonicalUrl
from rules.decision import Reason
from rules.kinds import Network
from rules.request import Request

# Names that never leave a network: RFC 6761, RFC 6762, RFC 8375, ICANN's reservation of .internal (2024), and habit (.lan).
_PRIVATE_SUFFIXES = ("localhost", "local", "internal", "home.arpa", "lan", "intranet", "corp", "home")


class Safety(msgspec.Struct, frozen=True):
    """What the policy opens of what is closed by nature."""

    ports: frozenset[int]
    connect_ports: frozenset[int]
    private_networks: tuple[Network, ...]
    private_hosts: frozenset[str]
    """Canonical hosts, with their sub-domains."""
    numeric_networks: tuple[Network, ...]

    def fault_of(self, request: Request) -> tuple[Reason, str] | None:
        """Return why the request would carry traffic around the rules, with the key or host at fault, or None."""
        url = request.url
        if url.port not in self.ports and not (request.method == "CONNECT" and url.port in self.connect_ports):
            return Reason.UNSAFE_PORT, f"gateway.ports: {url.port}"
        if request.method == "CONNECT" and url.port not in self.connect_ports:
            return Reason.UNSAFE_PORT, f"gateway.connect_ports: {url.port}"
        fault = self._fault_of_host(url)
        if fault is not None:
            return fault
        if request.claimed_hosts:
            for claimed in request.claimed_hosts:
                if claimed != url.host and not _same_site(claimed, url):
                    return Reason.HOST_MISMATCH, f"{claimed} outside, {url.host} inside"
        return None

    def permits_address(self, host: str, address: str) -> bool:
        """True when a connection for `host` may go to `address` (text of an IP address), as DNS or the policy gave it."""
        reach, ip = _reach(address)
        if ip is None:
            return False
        if reach == "public":
            return True
        return any(ip in network for network in self.private_networks) or self.names(host)

    def names(self, host: str) -> bool:
        """True when the policy names the host, or a parent of it, as a private target."""
        while host:
            if host in self.private_hosts:
                return True
            host = host.partition(".")[2]
        return False

    def _fault_of_host(self, url: CanonicalUrl) -> tuple[Reason, str] | None:
        host = url.host
        if url.is_address:
            reach, ip = _reach(host.strip("[]"))
            if ip is not None and any(ip in network for network in self.private_networks):
                return None
            if self.private_hosts and host in self.private_hosts:
                return None
            if reach != "public":
                return Reason.PRIVATE_ADDRESS, f"gateway.private_targets: {host}"
            if any(ip in network for network in self.numeric_networks if ip is not None):
                return None
            return Reason.ADDRESS_LITERAL, f"gateway.numeric_targets: {host}"
        last = url.host_suffixes[-1]
        if ("." not in last or last.rpartition(".")[2] in _PRIVATE_LAST) and _is_private_name(host) and not self.names(host):
            return Reason.PRIVATE_ADDRESS, f"gateway.private_targets: {host}"
        return None


_PRIVATE_LAST = frozenset(suffix.rpartition(".")[2] for suffix in _PRIVATE_SUFFIXES)


def _is_private_name(host: str) -> bool:
    return "." not in host or any(host.endswith("." + suffix) for suffix in _PRIVATE_SUFFIXES)


def _same_site(claimed: str, url: CanonicalUrl) -> bool:
    domain = url.registrable_domain
    return claimed == domain or claimed.endswith("." + domain)


@lru_cache(maxsize=4096)
def _reach(text: str) -> tuple[str, ipaddress.IPv4Address | ipaddress.IPv6Address | None]:
    """Say whether an address is `public` or `private`; anything special, unreadable or not routed counts as private."""
    try:
        ip = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return "private", None
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if inner is not None:
            return _reach(str(inner))[0], inner if ip.ipv4_mapped else ip
        if int(ip) >> 32 == 0x0064FF9B << 64:  # NAT64, RFC 6052
            return _reach(str(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)))
    special = ip.is_multicast or ip.is_reserved or getattr(ip, "is_site_local", False)
    return ("public" if ip.is_global and not special else "private"), ip
