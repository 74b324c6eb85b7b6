"""unbound configuration: `local-zone: "x" always_nxdomain` and its like, and `local-data` that points to a sink."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from blocklists.entries import Allowed, Entry, Item, Refused, Skipped
from blocklists.formats.hosts import is_sink
from blocklists.formats.interface import Format, Options, host_or_refusal, lines_of
from blocklists.reading import Line

_ZONE = re.compile(r"""local-zone:\s*["']?([^"'\s]+)["']?\s+["']?([a-z_]+)["']?""")
_DATA = re.compile(r"""local-data:\s*["'](\S+)\s+(?:\d+\s+)?(?:IN\s+)?(A|AAAA|CNAME)\s+(\S+?)["']""", re.IGNORECASE)
_BLOCKS = {
    "always_nxdomain", "always_null", "always_refuse", "always_nodata", "always_deny", "static", "refuse", "deny", "inform_deny",
    "inform_redirect", "redirect",
}  # fmt: skip
"""unbound.conf(5), "local-zone". `redirect` takes its answer from `local-data`: in block lists that is a sink."""
_PASSES = {"transparent", "typetransparent", "always_transparent", "inform"}


def read_unbound(lines: Iterable[Line]) -> Iterator[Item]:
    """Read zones that block, with everything below them, and single names that are given a sink's address."""
    for line in lines:
        text = line.text.strip()
        if line.fault is not None:
            yield Refused(line.number, line.text, line.fault)
            continue
        if not text or text.startswith("#") or text == "server:":
            continue
        if zone := _ZONE.match(text):
            name, type_ = zone[1], zone[2]
            item = host_or_refusal(line.number, "domain", name)
            if type_ in _BLOCKS or isinstance(item, Refused):
                yield item if type_ in _BLOCKS | _PASSES else Skipped(line.number, text, f"unbound has no type {type_} that blocks")
            elif type_ in _PASSES:
                yield Allowed(*item)
            else:
                yield Skipped(line.number, text, f"zones of the type {type_} block nothing")
        elif data := _DATA.match(text):
            sink = is_sink(data[3]) if data[2].upper() != "CNAME" else data[3] == "."
            if not sink:
                yield Skipped(line.number, text, "this gives the name another address and blocks nothing")
                continue
            entry = host_or_refusal(line.number, "host", data[1])
            yield entry if isinstance(entry, Refused) else Entry(*entry)
        else:
            yield Skipped(line.number, text, "this option of unbound blocks no name")


def _read(path: Path, _options: Options) -> Iterator[Item]:
    yield from read_unbound(lines_of(path))


UNBOUND = Format("unbound", "unbound configuration", _read)
