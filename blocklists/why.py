"""Why is this address listed: list, publisher, version and line of the source for everything that speaks of it."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from blocklists.allow import AllowIndex
from blocklists.entries import Allowed, Entry, HostLines, Item
from blocklists.errors import ListError
from blocklists.expressions import ExpressionIndex
from blocklists.formats.interface import InCategory, Options
from blocklists.formats.registry import FORMATS
from blocklists.index import ListIndex
from blocklists.library import Library
from blocklists.reading import is_archive
from blocklists.stored import StoredList, read_parts
from blocklists.url import CanonicalUrl


class Reason(msgspec.Struct, frozen=True):
    """One entry that speaks of an address, and where it comes from."""

    list: str
    category: str
    kind: str
    """What the entry means, as in `ListHit`."""
    entry: str
    action: str
    """`block`, `allow`, or `except` for what a block list excepts from itself."""
    publisher: str
    source: str
    """Path or address that the list was loaded from."""
    version: int
    loaded: str
    sha256: str
    file: str = ""
    """File inside a tree or archive."""
    line: int = 0
    """Line of the source; 0 when the source is no longer kept."""


class Found(msgspec.Struct, frozen=True):
    """An entry that holds a text."""

    list: str
    category: str
    kind: str
    entry: str


def why(
    library: Library, index: ListIndex, allow: AllowIndex, url: CanonicalUrl, expressions: ExpressionIndex | None = None
) -> list[Reason]:  # fmt: skip
    """Return a reason for every entry that speaks of the URL. Reads the kept sources: a second for a million lines."""
    allowed = allow.find(url)
    questions = [(_Hit(*hit), "block") for hit in index.lookup(url)]
    if expressions is not None:
        questions += [(_Hit(one.list, one.category, "expression", one.pattern), "block") for one in expressions.find(url)]
    questions += [(_Hit(*hit), "except") for hit in index.exceptions(url)]
    questions += [(_Hit(*allowed), "allow")] if allowed is not None else []
    stored = {one.name: one for one in library.all_stored()}
    return [_reason(library, stored[hit.list], hit, action) for hit, action in questions if hit.list in stored]


class _Hit(NamedTuple):
    list: str
    category: str
    kind: str
    entry: str


def search(library: Library, text: str, limit: int = 100) -> list[Found]:
    """Return at most `limit` entries that hold a text, letter case aside; lists of digests hold no text to search."""
    wanted = text.strip().lower().encode("ascii", "backslashreplace")
    found: list[Found] = []
    if not wanted:
        return found
    for stored in library.all_stored():
        for section in stored.sections:
            if section.kind == "hash":
                continue
            for part in read_parts(library.entries_path(stored), section):
                for entry in _lines_with(part, wanted):
                    found.append(Found(stored.name, section.category, section.kind, entry.decode()))
                    if len(found) >= limit:
                        return found
    return found


def line_of(library: Library, stored: StoredList, kind: str, entry: str, category: str = "") -> tuple[str, int]:
    """Return file and line of an entry in the kept source of its list; ("", 0) when it is not kept or not there.

    With a category, where the list has several: its line in that one.
    """
    file, line = _place(library, stored, kind, entry, category)
    own = library.history.source(stored).name
    return (Path(stored.source).name, line) if line and file in ("", own) else (file, line)


def _place(library: Library, stored: StoredList, kind: str, entry: str, category: str) -> tuple[str, int]:
    source = library.history.source(stored)
    if not source.exists():
        return "", 0
    # A folder of one category is kept as an archive, which the reader of trees knows; its category is what somebody said it is.
    tree = stored.format == "squidguard" and is_archive(source)
    name = "ut1" if tree else stored.format
    options = Options(stored.category, stored.subdomains, stored.columns, stored.expressions)
    wanted = None if tree or not category else {own for own, ours in (stored.category_map or {}).items() if ours == category} | {category}
    digest = hashlib.sha256(entry.encode()).hexdigest()
    try:
        for file, item in _items(source, name, options, wanted):
            if isinstance(item, HostLines) and item.kind == kind:
                place = (b"\n" + item.data).find(f"\n{entry}\n".encode())
                if place >= 0:
                    return file, int(item.numbers[item.data.count(b"\n", 0, place)])
            elif isinstance(item, Entry | Allowed) and (
                (item.kind == kind and item.text == entry) or (item.kind == "hash" and digest.startswith(item.text))
            ):
                return file, item.line
    except (ListError, OSError):
        return "", 0
    return "", 0


def _items(source: Path, format_: str, options: Options, categories: set[str] | None) -> Iterator[tuple[str, Item]]:
    for item in FORMATS[format_].read(source, options):
        if isinstance(item, InCategory):
            if categories is None or item.category in categories:
                yield item.file, item.item
        elif isinstance(item, Entry | Allowed | HostLines):
            yield "", item


def _reason(library: Library, stored: StoredList, hit: _Hit, action: str) -> Reason:
    file, line = line_of(library, stored, hit.kind, hit.entry, hit.category)
    return Reason(
        hit.list, hit.category, hit.kind, hit.entry, action, stored.publisher, stored.source, stored.version, stored.loaded,
        stored.sha256, file, line,
    )  # fmt: skip


def _lines_with(part: bytes, wanted: bytes) -> Iterator[bytes]:
    lowered = part.lower()
    at = lowered.find(wanted)
    while at >= 0:
        begin = part.rfind(b"\n", 0, at) + 1
        end = part.find(b"\n", at)
        yield part[begin:end]
        at = lowered.find(wanted, end)
