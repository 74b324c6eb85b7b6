# ruff: noqa: TRY004  # a wrong type is a wrong value of the file like any other: ValueError with a sentence
"""Kinds of values in the policy: each turns what TOML gave into what the rules use, or says what is wrong."""

import ipaddress
from collections.abc import Callable, Mapping
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from blocklists.url import UrlError, canonical_host
from rules.decision import Action
from rules.schedule import read_days, read_times

type Network = ipaddress.IPv4Network | ipaddress.IPv6Network

TEXT_CONTEXTS = ("search", "form", "prompt", "page")
CONTEXTS = (*TEXT_CONTEXTS, "host")


class Kind(NamedTuple):
    """How one value is read. For lists and maps, `item` reads what is inside."""

    name: str
    """As documentation names it."""
    read: Callable[[object], object]
    """Raises `ValueError` with one sentence."""
    item: "Kind | None" = None


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"expected text in quotes, not {_shown(value)}.")
    return value


def _name(value: object) -> str:
    text = _text(value)
    if not text or len(text) > 200 or not text.isprintable():
        raise ValueError("expected a short name of printable characters.")
    return text


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"expected true or false, not {_shown(value)}.")
    return value


def whole(low: int, high: int) -> Kind:
    """Return the kind of whole numbers from `low` to `high`."""

    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"expected a whole number from {low:,} to {high:,}, not {_shown(value)}.")
        return value

    return Kind(f"number {low:,} to {high:,}", read)


def _action(value: object) -> Action:
    try:
        return Action(_text(value))
    except ValueError:
        raise ValueError(f'expected "allow", "log", "warn" or "block", not {_shown(value)}.') from None


def _network(value: object) -> Network:
    try:
        return ipaddress.ip_network(_text(value))
    except ValueError:
        raise ValueError(f'expected a network such as "10.2.0.0/16" or an address, not {_shown(value)}.') from None


def _address(value: object) -> str:
    try:
        return str(ipaddress.ip_address(_text(value)))
    except ValueError:
        raise ValueError(f'expected an address such as "10.0.0.5", not {_shown(value)}.') from None


def _host(value: object) -> str:
    try:
        return canonical_host(_text(value).removeprefix("*."))
    except UrlError:
        raise ValueError(f'expected a host name such as "example.org", not {_shown(value)}.') from None


def _target(value: object) -> Network | str:
    try:
        return _network(value)
    except ValueError:
        return _host(value)


def _zone(value: object) -> ZoneInfo:
    try:
        return ZoneInfo(_text(value))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f'expected a time zone such as "Europe/London", not {_shown(value)}.') from None


def _context(value: object) -> str:
    if value not in CONTEXTS:
        raise ValueError(f"expected one of {', '.join(CONTEXTS)}, not {_shown(value)}.")
    return str(value)


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise ValueError(f"expected a list in square brackets, not {_shown(value)}.")
    return value


def _map(value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise ValueError(f"expected a table, not {_shown(value)}.")
    return value


def list_of(item: Kind) -> Kind:
    """Return the kind of lists of `item`."""
    return Kind(f"list of {item.name}", _list, item)


def map_of(item: Kind) -> Kind:
    """Return the kind of tables whose keys are free and whose values are `item`."""
    return Kind(f"table of {item.name}", _map, item)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


TEXT = Kind("text", _text)
NAME = Kind("name", _name)
FLAG = Kind("true or false", _flag)
ACTION = Kind("action", _action)
NETWORK = Kind("network", _network)
ADDRESS = Kind("address", _address)
HOST = Kind("host", _host)
TARGET = Kind("network or host", _target)
ZONE = Kind("time zone", _zone)
CONTEXT = Kind("context", _context)
DAYS = Kind("day or span of days", lambda value: read_days(_text(value)))
TIMES = Kind("span of time", lambda value: read_times(_text(value)))
PORT = whole(1, 65_535)
LEVEL = whole(1, 5)
