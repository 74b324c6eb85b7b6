"""e2guardian's (and DansGuardian's) site and URL lists: hosts, addresses with paths, `#listcategory` and `.Include`."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from blocklists.entries import Entry, EntryError, Item, Refused, Skipped
from blocklists.formats.addresses import network_entries
from blocklists.formats.interface import Format, InCategory, Options, host_or_refusal, lines_of
from blocklists.formats.urls import address_entry
from blocklists.reading import Line

LONGEST = 2_048
"""e2guardian passes over longer lines (src/ListContainer.cpp)."""
_CATEGORY = re.compile(r'#listcategory:\s*"?([^"]+)"?')
_INCLUDE = re.compile(r"\.include\s*<", re.IGNORECASE)
_RANGE = re.compile(r"[0-9.]+\s*-\s*[0-9.]+|[0-9.]+/[0-9.]+|[0-9a-fA-F:]+/[0-9]+")
_PHRASE = re.compile(r"<([^<>]*)>")
_WEIGHT = re.compile(r"(-?\d+)(%?)")


def read_e2guardian(lines: Iterable[Line]) -> Iterator[tuple[str | None, Item]]:
    """Yield each item with the category that a `#listcategory` line in front of it names."""
    category: str | None = None
    for line in lines:
        text = line.text.strip()
        if line.fault is not None:
            yield category, Refused(line.number, line.text, line.fault)
        elif named := _CATEGORY.match(text):
            category = named[1].strip()[:100] or None
        elif text.startswith("#") or len(text) < 2:
            continue
        elif _INCLUDE.match(text):
            yield category, Skipped(line.number, text, "other files are not read along; load them as lists of their own")
        elif len(text) > LONGEST:
            yield category, Refused(line.number, text[:80], f"the line is longer than {LONGEST:,} characters")
        else:
            for item in _entries(line.number, text.partition(" #")[0].rstrip()):
                yield category, item


def _entries(number: int, text: str) -> Iterator[Item]:
    try:
        if _RANGE.fullmatch(text):
            for kind, entry in network_entries(text.replace(" ", "")):
                yield Entry(number, kind, entry)
            return
        text = text.rstrip("/") if text.count("/") == 1 else text
        if "/" in text or ":" in text:
            yield Entry(number, *address_entry(text))
            return
    except EntryError as error:
        yield Refused(number, text, str(error))
        return
    yield host_or_refusal(number, "domain", text)


class Phrase(NamedTuple):
    """One rule of a phrase list: all parts must be in the text of a page."""

    line: int
    parts: tuple[str, ...]
    """As written: a blank at either end means the edge of a word."""
    weight: int | None
    """None in lists of banned and exception phrases; may be negative."""
    proportional: bool = False
    """The weight is a percentage of what other phrases add up to."""
    category: str | None = None


def read_phrases(lines: Iterable[Line]) -> Iterator[Phrase | Refused]:
    """Read a phrase list: `<phrase><weight>`, `<a>,<b><50>`, `< word >`, `<x><-30>`, `<x><10%>`; for keyword sets."""
    category: str | None = None
    for line in lines:
        text = line.text.strip()
        if line.fault is not None:
            yield Refused(line.number, line.text, line.fault)
        elif named := _CATEGORY.match(text):
            category = named[1].strip()[:100] or None
        elif not text or text.startswith("#") or _INCLUDE.match(text):
            continue
        elif not text.startswith("<"):
            yield Refused(line.number, text, "a phrase stands between < and >")
        else:
            parts = _PHRASE.findall(text)
            weight = _WEIGHT.fullmatch(parts[-1]) if len(parts) > 1 and text.replace(" ", "").find(",<" + parts[-1].strip()) < 0 else None
            words = tuple(part for part in (parts[:-1] if weight else parts) if part.strip())
            if not words:
                yield Refused(line.number, text, "the line holds no phrase")
            else:
                yield Phrase(line.number, words, int(weight[1]) if weight else None, bool(weight and weight[2]), category)


def _read(path: Path, options: Options) -> Iterator[Item | InCategory]:
    for category, item in read_e2guardian(lines_of(path)):
        yield InCategory(category, path.name, item) if category and not options.category else item


E2GUARDIAN = Format("e2guardian", "site or URL list of e2guardian", _read, categories=True)
