"""Lists of addresses and networks: IPv4 and IPv6, single, as CIDR, with a mask, or as a range."""

import ipaddress
from collections.abc import Iterable, Iterator
from pathlib import Path

from blocklists.entries import Entry, EntryError, Item, Refused
from blocklists.formats.interface import Format, Options, content, lines_of
from blocklists.host import NAT64
from blocklists.reading import Line

WIDEST = {4: 8, 6: 19}
"""Shortest prefixes taken: registries hand out no larger blocks, and a wider entry is a mistake."""
_MOST_OF_RANGE = 64

type Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def read_networks(lines: Iterable[Line]) -> Iterator[Item]:
    """Read one address or network a line: "10.1.2.3", "10.0.0.0/24", "10.0.0.0/255.255.255.0", "10.0.0.1-10.0.0.9", "2001:db8::/32"."""
    for line in lines:
        text = content(line.text)
        if line.fault is not None:
            yield Refused(line.number, line.text, line.fault)
        elif text:
            try:
                for kind, entry in network_entries(text.split()[0].rstrip(",;")):
                    yield Entry(line.number, kind, entry)
            except EntryError as error:
                yield Refused(line.number, text, str(error))


def network_entries(text: str) -> list[tuple[str, str]]:
    """Return kind and text of what covers an address, network or range: `host` for single addresses; raises `EntryError`."""
    if "%" in text:
        raise EntryError("an address with a zone means something on one machine only")
    try:
        first, dash, last = text.partition("-")
        if dash:
            low, high = ipaddress.ip_address(first.strip()), ipaddress.ip_address(last.strip())
            networks: list[Network] = list(ipaddress.summarize_address_range(low, high))
        else:
            networks = [ipaddress.ip_network(text.strip("[]"), strict=False)]
    except (ValueError, TypeError):
        raise EntryError("this is not an address or network, such as 192.0.2.0/24") from None
    if len(networks) > _MOST_OF_RANGE:
        raise EntryError("the range is made of too many networks; write it as networks")
    return [_entry(network) for network in networks]


def _entry(network: Network) -> tuple[str, str]:
    if isinstance(network, ipaddress.IPv6Network) and network.prefixlen >= 96:
        address = network.network_address
        if address.ipv4_mapped is not None or address in NAT64:
            # A request for either is taken for the IPv4 address inside it (`blocklists.host`).
            network = ipaddress.IPv4Network((int(address) & 0xFFFFFFFF, network.prefixlen - 96))
    if network.prefixlen < WIDEST[network.version]:
        raise EntryError(f"{network} is wider than any network that one operator has")
    if network.prefixlen == network.max_prefixlen:
        text = str(network.network_address)
        return "host", f"[{text}]" if network.version == 6 else text
    return "network", str(network)


def _read(path: Path, _options: Options) -> Iterator[Item]:
    yield from read_networks(lines_of(path))


NETWORKS = Format("networks", "addresses and networks (CIDR)", _read)
