"""Phrases as schools exchange them: CSV with phrase, context, action, level and match, from any spreadsheet, and back.

Columns may stand in any order and be named as other products name them (Senso: Phrase, Context, Action, Severity, Match,
Type; Lightspeed: term, level). Our own files add the columns without which a phrase would not come back whole.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

import msgspec

from rules.keywords import cells
from rules.keywords.cells import CellError
from rules.keywords.sets import KeywordSet, Phrase, phrase_fault

COLUMNS: Final = (
    "phrase", "context", "action", "level", "match", "category", "kind", "language", "weight", "with", "unless", "loose", "lowers", "stops",
    "note",
)  # fmt: skip
MOST_BYTES: Final = 32_000_000
MOST_ROWS: Final = 200_000
_HEAD_ROWS: Final = 20
"""The line with the columns' names stands among the first of so many lines."""
_NAMES: Final[dict[str, tuple[str, ...]]] = {
    "phrase": ("phrase", "term", "keyword", "keywords", "word", "words", "text", "badterm", "searchterm"),
    "context": ("context", "contexts", "where", "appliesto", "source"),
    "action": ("action", "actions"),
    "level": ("level", "severity", "risk", "risklevel", "priority", "grade"),
    "match": ("match", "matchtype", "matchrule", "matching"),
    "category": ("category", "theme", "type", "topic", "library"),
    "kind": ("kind", "subcategory", "subtype"),
    "language": ("language", "lang"),
    "weight": ("weight", "score", "points"),
    "with": ("with", "near", "requires"),
    "unless": ("unless", "except", "exclude", "exclusions", "notwith"),
    "loose": ("loose", "disguised", "fuzzy"),
    "lowers": ("lowers",),
    "stops": ("stops",),
    "note": ("note", "notes", "comment", "comments", "description", "reason"),
}
_KNOWN: Final = {name: column for column, names in _NAMES.items() for name in names}


class ExchangeError(ValueError):
    """The file as a whole can't be used; the text is one sentence."""


class Entry(msgspec.Struct, frozen=True):
    """One phrase with its category."""

    category: str
    phrase: Phrase
    line: int = 0
    """Where it stood, 1 for the first line; 0 for one that was not read from a file."""


class RefusedRow(msgspec.Struct, frozen=True):
    """A line that can't be used."""

    line: int
    text: str
    reason: str
    """One sentence: what is wrong and what to do."""


class Imported(msgspec.Struct, frozen=True):
    """What a file holds."""

    entries: tuple[Entry, ...]
    refused: tuple[RefusedRow, ...]
    encoding: str
    delimiter: str
    ignored: tuple[str, ...]
    """Columns of which nothing is made."""


class Reading(NamedTuple):
    """How to understand a file that does not say everything."""

    categories: Mapping[str, str]
    """Policy category by the name that the file may use for it, folded by `cells.folded`."""
    category: str | None = None
    """For lines without one."""


def entries_of(sets: Iterable[KeywordSet], category: str | None = None) -> Iterator[Entry]:
    """Return every phrase of some sets, of one category where it is named."""
    for one in sets:
        if category in (None, one.category):
            for phrase in one.phrases:
                yield Entry(one.category, phrase)


def write_csv(entries: Iterable[Entry]) -> bytes:
    """Return the phrases as CSV (RFC 4180, UTF-8 with a mark that spreadsheets look for); `read_csv` gives them back."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for entry in entries:
        phrase = entry.phrase
        text, match = cells.split_match(phrase.text)
        writer.writerow([
            cells.guarded(text), cells.context_words(phrase.contexts), cells.action_of(phrase.level, phrase.lowers), phrase.level, match,
            entry.category, cells.guarded(phrase.kind), phrase.language, phrase.weight, cells.joined(phrase.needs),
            cells.joined(phrase.unless), "yes" if phrase.loose else "no", phrase.lowers, "yes" if phrase.stops else "no",
            cells.guarded(" ".join(phrase.note.split())),
        ])  # fmt: skip
    return out.getvalue().encode("utf-8-sig")


def read_csv(data: bytes, reading: Reading) -> Imported:
    """Read phrases, of whatever encoding and delimiter; raises `ExchangeError` where no line could be understood.

    Lines that can't be used are refused one by one, with their numbers; the others count.
    """
    text, encoding = decoded(data)
    delimiter, head, names = _head(text)
    columns = [_KNOWN.get(cells.folded(name).replace(" ", "")) for name in names]
    for column in set(columns) - {None}:
        if columns.count(column) > 1:
            raise ExchangeError(f'Two columns of line {head} both say "{column}"; take one of them out.')
    if "category" not in columns and reading.category is None:
        raise ExchangeError("The file has no category column; name the category of all its phrases with --category.")
    rows = _rows(text, delimiter, head)
    entries: list[Entry] = []
    refused: list[RefusedRow] = []
    first: dict[object, int] = {}
    for count, (line, last, row) in enumerate(rows):
        if count >= MOST_ROWS:
            raise ExchangeError(f"The file has more than {MOST_ROWS:,} lines; split it.")
        if isinstance(row, str):
            refused.append(RefusedRow(line, "", row))
            continue
        values = {column: cell for column, cell in zip(columns, row, strict=False) if column is not None}
        try:
            entry = _entry(values, line, last, reading)
        except CellError as error:
            refused.append(RefusedRow(line, " ".join(values.get("phrase", "").split())[:80], str(error)))
            continue
        before = first.setdefault(_same(entry), line)
        if before != line:
            reason = f"The same phrase stands in line {before} already; take one of them out."
            refused.append(RefusedRow(line, entry.phrase.text[:80], reason))
            continue
        entries.append(entry)
    ignored = tuple(name.strip() for name, column in zip(names, columns, strict=True) if column is None and name.strip())
    return Imported(tuple(entries), tuple(refused), encoding, delimiter, ignored)


def _entry(values: Mapping[str, str], line: int, last: int, reading: Reading) -> Entry:
    """Return the phrase of one row; raises `CellError`."""
    raw = values.get("phrase", "")
    if last > line and len(raw) > 500:
        raise CellError(f"A quotation mark opens here and is closed in line {last} only; double it inside a phrase, or take it out.")
    action = values.get("action", "")
    level, lowers = cells.level_of(values.get("level", ""), action), cells.number(values.get("lowers", ""), 0, 4, "lowers")
    text, alone = cells.with_match(cells.plain(raw), values.get("match", ""))
    if not text.strip("* "):
        raise CellError("There is no phrase in this line.")
    needs, unless = cells.several(values.get("with", "")), cells.several(values.get("unless", ""))
    fault = next((found for one in (text, *needs, *unless) if (found := phrase_fault(one)) is not None), None)
    if fault is not None:
        raise CellError(fault)
    weight = cells.number(values.get("weight", ""), 1, 1_000, "weight")
    phrase = Phrase(
        text, weight if weight is not None else cells.ALONE if alone else cells.TOGETHER, level,
        cells.contexts_of(values.get("context", "")), needs, unless, kind=cells.plain(values.get("kind", "")),
        language=cells.language_of(values.get("language", "")), loose=cells.flag(values.get("loose", ""), "loose"),
        lowers=cells.lowering(lowers, action), stops=cells.flag(values.get("stops", "").strip() or "yes", "stops"),
        note=cells.plain(values.get("note", "")),
    )  # fmt: skip
    return Entry(category_of(values.get("category", ""), reading), phrase, line)


def category_of(cell: str, reading: Reading) -> str:
    """Return the policy's category that a cell means; raises `CellError`."""
    name = cells.plain(cell)
    if not name:
        if reading.category is None:
            raise CellError("The line names no category; fill the cell, or give --category for such lines.")
        return reading.category
    found = reading.categories.get(cells.folded(name))
    if found is None:
        raise CellError(f'"{name[:60]}" is no category of the policy; say which it is with --category-map "{name[:60]}=CATEGORY".')
    return found


def _same(entry: Entry) -> object:
    phrase = entry.phrase
    return entry.category, " ".join(phrase.text.casefold().split()), phrase.contexts, phrase.needs, phrase.unless


def decoded(data: bytes) -> tuple[str, str]:
    """Return a file's text and its encoding; raises `ExchangeError`."""
    if len(data) > MOST_BYTES:
        raise ExchangeError(f"The file is larger than {MOST_BYTES // 1_000_000} MB; split it.")
    wide = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else ""
    for encoding in (wide,) if wide else ("utf-8-sig", "cp1252"):
        try:
            return data.decode(encoding), encoding.removesuffix("-sig")
        except UnicodeDecodeError:
            continue
    if wide:
        raise ExchangeError("The file says that it is UTF-16 and is not; save it as “CSV UTF-8”.")
    # Five bytes mean nothing in cp1252: lines that hold one are refused by their own sentence.
    return data.decode("cp1252", "replace"), "cp1252"


def _head(text: str) -> tuple[str, int, list[str]]:
    """Return the delimiter, the line with the columns' names, and the names."""
    best: tuple[int, str, int, list[str]] | None = None
    for delimiter in (",", ";", "\t"):
        for number, (line, _, row) in enumerate(_rows(text, delimiter, 0)):
            if number >= _HEAD_ROWS:
                break
            known = {_KNOWN.get(cells.folded(cell).replace(" ", "")) for cell in row} - {None} if not isinstance(row, str) else set()
            if "phrase" in known:
                assert not isinstance(row, str)
                if best is None or len(known) > best[0]:
                    best = (len(known), delimiter, line, row)
                break
    if best is None:
        raise ExchangeError(f"No line names the columns; let the first one read: {', '.join(COLUMNS[:5])}, category.")
    return best[1], best[2], best[3]


def _rows(text: str, delimiter: str, after: int) -> Iterator[tuple[int, int, list[str] | str]]:
    """Return the rows behind a line, each with its first and last line; a sentence in the place of one that is broken."""
    reader = csv.reader(io.StringIO(text, newline=None), delimiter=delimiter)
    while True:
        line = reader.line_num + 1
        try:
            row: list[str] | str = next(reader)
        except StopIteration:
            return
        except csv.Error:
            row = "The line is far too long, or a quotation mark in it has no other half; double quotation marks inside a phrase."
        if line > after and (isinstance(row, str) or any(re.search(r"\S", cell) for cell in row)):
            yield line, reader.line_num, row
