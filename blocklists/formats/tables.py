"""CSV and JSON with a column map: which column holds the entries, which one their category."""

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from blocklists.entries import Entry, EntryError, Item, Refused, host_entry
from blocklists.errors import ListError
from blocklists.formats.addresses import network_entries
from blocklists.formats.interface import Format, InCategory, Options, lines_of
from blocklists.formats.urls import address_entry
from blocklists.reading import Line, Source, decode_line

MAX_JSON = 64 << 20
"""Bytes of a JSON file: it is read as a whole."""
ENTRY_COLUMNS = frozenset(
    {
        "entry", "domain", "domains", "host", "hosts", "hostname", "site", "url", "urls", "rootdomain", "address", "ip", "ips", "cidr",
        "network",
    }
)  # fmt: skip
"""Columns that hold addresses when nobody names one."""
_NETWORK = re.compile(r"[0-9.]+(?:[/-][0-9.]+)?|\[?[0-9a-fA-F:]*:[0-9a-fA-F:.]+\]?(?:/[0-9]+)?")


def any_entry(text: str) -> list[tuple[str, str]]:
    """Return kind and text of a cell: host, "*.host", address with a path, IP address or network; raises `EntryError`."""
    text = text.strip()
    if _NETWORK.fullmatch(text) and ("/" in text or "-" in text or ":" in text):
        return network_entries(text)
    if "/" in text:
        return [address_entry(text)]
    return [("domain", host_entry(text))]


def read_csv(lines: Iterable[Line], options: Options, file: str) -> Iterator[Item | InCategory]:
    """Read a table, comma, semicolon or tab between its cells; the first line names the columns unless it holds an entry."""
    separator = ","
    entries: list[int] | None = None
    category_at: int | None = None
    for line in lines:
        if line.fault is not None:
            yield Refused(line.number, line.text, line.fault)
            continue
        if not line.text.strip() or line.text.startswith("#"):
            continue
        if entries is None:
            separator = max(",;\t", key=line.text.count)
        try:
            cells = next(csv.reader([line.text], delimiter=separator, strict=True))
        except (csv.Error, StopIteration):
            yield Refused(line.number, line.text, "the quotes of this line do not match")
            continue
        if entries is None:
            entries, category_at, named = _columns(cells, options.columns, file)
            if named:
                continue
        category = cells[category_at].strip() if category_at is not None and category_at < len(cells) else ""
        for at in entries:
            if at < len(cells) and cells[at].strip():
                yield from _placed(line.number, cells[at], category, options, file)


def _columns(cells: list[str], columns: Mapping[str, str] | None, file: str) -> tuple[list[int], int | None, bool]:
    names = [cell.strip().lower() for cell in cells]
    meanings = {name.lower(): meaning for name, meaning in (columns or {}).items()}
    missing = [name for name in meanings if name not in names]
    if missing:
        raise ListError(f"{file} has no column {missing[0]!r}; its columns are {', '.join(names)[:200]}.")
    entries = [at for at, name in enumerate(names) if (meanings.get(name) == "entry" if meanings else name in ENTRY_COLUMNS)]
    category = next((at for at, name in enumerate(names) if (meanings.get(name, name) == "category")), None)
    if entries:
        return entries, category, True
    try:
        any_entry(cells[0])
    except EntryError:
        raise ListError(f"{file} has no column that is known to hold addresses; say which one does (--column NAME=entry).") from None
    return [0], None, False


def read_json(data: bytes, options: Options, file: str) -> Iterator[Item | InCategory]:
    """Read an array of texts, of objects, or an object that holds one; a JSON value on each line does too."""
    try:
        whole: Any = msgspec.json.decode(data)
    except msgspec.DecodeError as error:
        whole = _by_lines(data, file, error)
    except RecursionError:
        raise ListError(f"{file} is nested too deeply for a list.") from None
    except UnicodeDecodeError as error:
        raise ListError(f"{file} holds bytes that are not UTF-8 ({error.reason}); fetch it again.") from None
    text = data.decode("utf-8", "replace")
    at = 0
    number = 1
    found = False
    for value, category in _values(whole, options.columns, ""):
        found = True
        # The decoder gives no places: the values come in the order of the text, so the next one stands behind the last.
        place = text.find(json.dumps(value, ensure_ascii=False), at)
        if place >= 0:
            number += text.count("\n", at, place)
            at = place
        yield from _placed(number, value, category, options, file)
    if not found:
        raise ListError(f"{file} has no field that is known to hold addresses; say which one does (--column NAME=entry).")


def _by_lines(data: bytes, file: str, error: Exception) -> list[Any]:
    values = []
    for number, line in enumerate(data.splitlines(), 1):
        if line.strip():
            try:
                values.append(msgspec.json.decode(line))
            except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
                raise ListError(f"{file}:{number}: this is not JSON ({str(error)[:100]}).") from None
    return values


def _values(value: Any, columns: Mapping[str, str] | None, category: str, depth: int = 0, taken: bool = False) -> Iterator[tuple[str, str]]:
    """Yield the texts that hold entries, each with the category of its object."""
    if depth > 12:
        return
    if isinstance(value, str):
        if taken or depth <= 1:
            yield value, category
    elif isinstance(value, list):
        for item in value:
            yield from _values(item, columns, category, depth + 1, taken)
    elif isinstance(value, dict):
        meanings = columns or {}
        named = next((v for k, v in value.items() if meanings.get(k, k if not meanings else "") == "category"), None)
        category = named if isinstance(named, str) else category
        for key, item in value.items():
            wanted = meanings.get(key) == "entry" if meanings else key.lower() in ENTRY_COLUMNS
            if wanted or isinstance(item, list | dict):
                yield from _values(item, columns, category, depth + 2, wanted)


def _placed(number: int, text: str, category: str, options: Options, file: str) -> Iterator[Item | InCategory]:
    items: list[Item]
    try:
        items = [
            Entry(number, "host" if kind == "domain" and options.subdomains is False else kind, entry) for kind, entry in any_entry(text)
        ]
    except EntryError as error:
        items = [Refused(number, text, str(error))]
    for item in items:
        yield InCategory(category[:100], file, item) if category.isprintable() and category and not options.category else item


def _read_csv(path: Path, options: Options) -> Iterator[Item | InCategory]:
    yield from read_csv(lines_of(path), options, path.name)


def _read_json(path: Path, options: Options) -> Iterator[Item | InCategory]:
    parts = []
    with path.open("rb") as stream:
        source = Source(stream, str(path), MAX_JSON)
        while part := source.read(1 << 20):
            parts.append(part)
    data = b"".join(parts)
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        data = data.decode("utf-16", "replace").encode()
    elif not _is_utf8(data):
        data = "".join(map(decode_line, data.splitlines(keepends=True))).encode()  # Latin-1, line by line, as in other lists
    yield from read_json(data.removeprefix(b"\xef\xbb\xbf"), options, path.name)


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


CSV = Format("csv", "table with a column of addresses (CSV)", _read_csv, categories=True)
JSON = Format("json", "JSON with a field of addresses", _read_json, categories=True)
