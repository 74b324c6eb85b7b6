"""Plain domains, one a line, and wildcard domains ("*.example.org")."""

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from blocklists.entries import Item, Refused
from blocklists.formats.interface import Format, Options, content, host_or_refusal
from blocklists.formats.plain import read_plain
from blocklists.reading import Line, Source


def read_domains(lines: Iterable[Line], *, subdomains: bool = True) -> Iterator[Item]:
    """Read one host a line; "*." or "." in front, comments and blank lines are allowed."""
    kind = "domain" if subdomains else "host"
    for line in lines:
        text = content(line.text)
        if line.fault is not None:
            yield Refused(line.number, line.text, line.fault)
        elif text:
            yield host_or_refusal(line.number, kind, text)


def _read(path: Path, options: Options) -> Iterator[Item]:
    subdomains = options.subdomains is not False
    with path.open("rb") as stream:
        yield from read_plain(
            Source(stream, str(path)), "domain" if subdomains else "host", partial(read_domains, subdomains=subdomains)
        )  # fmt: skip


def _read_wildcard(path: Path, _options: Options) -> Iterator[Item]:
    """A wildcard means the name and all below it: publishers write it so, and a browser that asks for one asks for both."""
    with path.open("rb") as stream:
        yield from read_plain(Source(stream, str(path)), "domain", read_domains, (b"*.",))


DOMAINS = Format("domains", "plain domains, one a line", _read)
WILDCARD = Format("wildcard", "wildcard domains, such as *.example.org", _read_wildcard)
