"""Which name a request came in under: the console's own, the gateway's public host, or neither."""

import ipaddress
from enum import Enum, auto


class Door(Enum):
    """Through which name a request came in."""

    CONSOLE = auto()
    OWN_HOST = auto()
    UNKNOWN = auto()


def door_of(host_header: str, own_hosts: frozenset[str], console_names: frozenset[str]) -> Door:
    """Sort a `Host` header.

    An unknown name is refused: a hostile site may point its own name at this address and so read the console with the
    visitor's browser (DNS rebinding). An address literal can't be pointed anywhere, so it is always the console.
    """
    host = bare_host(host_header)
    if host in own_hosts:
        return Door.OWN_HOST
    if host in console_names or host == "localhost" or host.endswith(".localhost") or _is_address(host):
        return Door.CONSOLE
    return Door.UNKNOWN


def bare_host(host_header: str) -> str:
    """Return the host of a `Host` header in lower case, without port, brackets and final dot."""
    text = host_header.strip().lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0].rstrip(".")


def is_loopback(address: str | None) -> bool:
    """Say whether an address is this machine's own loopback."""
    try:
        return address is not None and ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
