"""A list as it has been read, before it is kept: what previews and guards look at."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from blocklists.entries import Allowed, Entry, HostLines, Item, Refused
from blocklists.errors import ListError
from blocklists.formats.interface import Alias, InCategory, Options, Usage
from blocklists.formats.registry import FORMATS
from blocklists.stored import EntryStore, ListKind

_WITH_EXCEPTIONS = ("adblock", "rpz", "unbound", "adguard-services")
"""Formats in which a list says what it allows: loaded to allow, only that counts."""


class ParsedList(NamedTuple):
    """Everything that a source says."""

    format: str
    kind: ListKind
    options: Options
    store: EntryStore
    aliases: dict[str, str]
    usage: dict[str, tuple[str, ...]]
    global_usage: dict[str, tuple[str, ...]]


LEFT_OUT = "-"
"""Where a category map leads to when a category is to be left out."""


def checked_map(categories: Mapping[str, str] | None) -> dict[str, str] | None:
    """Return a category map as it is kept, None for an empty one; raises `ListError` for names that can't be."""
    for name in (*(categories or {}), *(categories or {}).values()):
        if not name or len(name) > 100 or not name.isprintable():
            raise ListError("A category is a printable name of at most 100 characters; write a map as PUBLISHERS-NAME=YOUR-NAME.")
    return dict(categories) if categories else None


def parse(path: Path, format_: str, options: Options, kind: ListKind = "block") -> ParsedList:
    """Read a list without keeping it; raises `ListError` for one that is broken as a whole or holds no entry, and `OSError`."""
    store = EntryStore()
    parsed = ParsedList(format_, kind, options, store, {}, {}, {})
    category = options.category or ("allowed" if kind == "allow" else "")
    only_allowed = kind == "allow" and format_ in _WITH_EXCEPTIONS
    ours = options.categories or {}
    for item in FORMATS[format_].read(path, options):
        if isinstance(item, InCategory):
            name = ours.get(item.category, item.category)
            if name == LEFT_OUT:
                store.leave_out(item.category, item.file, item.item)
            else:
                _take(store, name, item.file, item.item, only_allowed, kind)
        elif isinstance(item, Alias):
            if ours.get(item.category) != LEFT_OUT:
                parsed.aliases[item.name] = ours.get(item.category, item.category)
        elif isinstance(item, Usage):
            # Under our name it is ours: what the publisher gives the category for has been answered by whoever mapped it.
            if item.category not in ours:
                (parsed.global_usage if item.everywhere else parsed.usage)[item.category] = item.labels
        elif not category and isinstance(item, Entry | Allowed | HostLines):
            raise ListError(f"Say which category the entries of {path.name} belong to (--category).")
        else:
            _take(store, category, path.name, item, only_allowed, kind)
    if store.empty:
        hint = f"; the first refused line is {store.refusals[0].line}: {store.refusals[0].reason}" if store.refusals else ""
        raise ListError(f"{path} holds no entry in the format {format_}{hint}.")
    return parsed


def _take(store: EntryStore, category: str, file: str, item: Item, only_allowed: bool, kind: ListKind) -> None:
    if isinstance(item, HostLines):
        store.add_lines(category, item.kind, item.data)
    elif isinstance(item, Entry):
        if only_allowed:
            store.skip(file, item.line, item.text, "a rule that blocks, in a list that is loaded to allow")
        else:
            store.add(category, item.kind, item.text)
    elif isinstance(item, Allowed):
        store.add(category, item.kind, item.text, allow=kind == "block")
    elif isinstance(item, Refused):
        store.refuse(file, item.line, item.text, item.reason)
    else:
        store.skip(file, item.line, item.text, item.reason)
