"""Addresses with paths: URL lists, and squidGuard's `urls`."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from blocklists.entries import Entry, EntryError, Item, Refused, host_entry, url_entry
from blocklists.formats.interface import Format, Options, content, lines_of
from blocklists.reading import Line


def read_urls(lines: Iterable[Line]) -> Iterator[Item]:
    """Read addresses with paths; one without path is a host with its sub-domains."""
    for line in lines:
        text = content(line.text)
        if line.fault is not None:
            yield Refused(line.number, line.text, line.fault)
        elif text:
            try:
                yield Entry(line.number, *address_entry(text))
            except EntryError as error:
                yield Refused(line.number, text, str(error))


def address_entry(text: str) -> tuple[str, str]:
    """Return kind and text of an address, which is a host with its sub-domains when it has no path; raises `EntryError`."""
    kind, entry = url_entry(text)
    return ("domain", host_entry(entry[:-1])) if entry.endswith("/") and kind == "path" else (kind, entry)


def read_squidguard_urls(lines: Iterable[Line]) -> Iterator[Item]:
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


def _read(path: Path, _options: Options) -> Iterator[Item]:
    yield from read_urls(lines_of(path))


URLS = Format("urls", "addresses with paths, one a line", _read)
