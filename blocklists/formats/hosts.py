"""Hosts files: a sink address, then names."""

import ipaddress
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from blocklists.entries import Item, Refused
from blocklists.formats.interface import Format, Options, host_or_refusal
from blocklists.formats.plain import read_plain
from blocklists.reading import Line, Source

_SINKS = frozenset({"0.0.0.0", "::", "::1", "0", "fe80::1%lo0"})  # noqa: S104 - addresses in hosts files, nothing listens
_OWN_NAMES = frozenset(
    {
        "localhost", "localhost.localdomain", "localhost4", "localhost4.localdomain4", "localhost6", "localhost6.localdomain6", "local",
        "broadcasthost", "ip6-localhost", "ip6-loopback", "ip6-localnet", "ip6-mcastprefix", "ip6-allnodes", "ip6-allrouters",
        "ip6-allhosts", "0.0.0.0",  # noqa: S104
    }
)  # fmt: skip


def read_hosts(lines: Iterable[Line], *, subdomains: bool = False) -> Iterator[Item]:
    """Read a hosts file: a sink address, then names. The machine's own names are passed over."""
    kind = "domain" if subdomains else "host"
    for line in lines:
        if line.fault is not None:
            yield Refused(line.number, line.text, line.fault)
            continue
        address, *names = line.text.partition("#")[0].split() or [""]
        if not address or address.startswith(("#", "!", ";", "//")):
            continue
        if not is_sink(address) and not names:
            yield Refused(line.number, line.text, "a line of a hosts file is an address and a name")
            continue
        if not is_sink(address) and not _is_multicast(address):
            yield Refused(line.number, line.text, f"{address} is not an address that blocks, such as 0.0.0.0")
            continue
        for name in names:
            if name.lower() not in _OWN_NAMES:
                yield host_or_refusal(line.number, kind, name)


def is_sink(address: str) -> bool:
    """True for the addresses that lists point blocked names to: of no machine, or of the asking one."""
    return address in _SINKS or address.startswith("127.")


def _is_multicast(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).is_multicast
    except ValueError:
        return False


def _read(path: Path, options: Options) -> Iterator[Item]:
    subdomains = options.subdomains is True
    with path.open("rb") as stream:
        yield from read_plain(
            Source(stream, str(path)), "domain" if subdomains else "host", partial(read_hosts, subdomains=subdomains),
            (b"0.0.0.0 ", b"127.0.0.1 "),
        )  # fmt: skip


HOSTS = Format("hosts", "hosts file, an address and names on each line", _read)
