"""One list as the library keeps it: a file of canonical entries and a description beside it."""

import fcntl
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec
import numpy as np

from blocklists.entries import HostLines, Item
from blocklists.errors import ListError
from blocklists.spans import Keys, line_keys

MAX_SHOWN = 1_000
"""Refused lines that a report names; all are counted."""
MAX_SKIPS = 100
_BATCH = 20_000

type ListKind = Literal["block", "allow"]


class RefusedLine(msgspec.Struct, frozen=True):
    """A line that was not loaded; `line` is 0 for a whole file."""

    file: str
    line: int
    text: str
    reason: str


class SectionInfo(msgspec.Struct, frozen=True):
    """Entries of one category and kind: where their lines stand in the entries file."""

    category: str
    kind: str
    offset: int
    length: int
    entries: int
    allow: bool = False
    """In a list that blocks: what it excepts from itself. In one that allows, every section allows."""


class Section(NamedTuple):
    """Entries of one category and kind in memory: a line each, ended by a newline."""

    category: str
    kind: str
    allow: bool
    data: bytes


class StoredList(msgspec.Struct, frozen=True):
    """Everything known of a loaded list but its entries."""

    name: str
    format: str
    kind: ListKind
    source: str
    sha256: str
    loaded: str
    """ISO 8601, UTC."""
    entries_file: str
    entries: int
    duplicates: int
    refused: int
    sections: tuple[SectionInfo, ...]
    refusals: tuple[RefusedLine, ...] = ()
    aliases: dict[str, str] = {}
    usage: dict[str, tuple[str, ...]] = {}
    """Category to `black`, `white` or both, as the publisher's `usage` files say."""
    skipped: int = 0
    skips: tuple[RefusedLine, ...] = ()
    """The first lines that this product has no use for."""
    version: int = 0
    """Counts the loads of this list from 1; 0 for lists of earlier releases."""
    paused: bool = False
    publisher: str = ""
    licence: str = ""
    category: str = ""
    subdomains: bool | None = None
    columns: dict[str, str] | None = None
    global_usage: dict[str, tuple[str, ...]] = {}
    """The same from the tree's `global_usage` file."""
    expressions: bool = False
    """Whether the files `expressions` were read, too."""
    category_map: dict[str, str] | None = None
    """The publisher's names of categories to ours."""

    @property
    def categories(self) -> dict[str, int]:
        """Entries of each category."""
        counts: dict[str, int] = {}
        for section in self.sections:
            if section.allow:
                continue
            counts[section.category] = counts.get(section.category, 0) + section.entries
        return counts

    @property
    def excepted(self) -> int:
        """Entries that the list excepts from itself."""
        return sum(section.entries for section in self.sections if section.allow)


class EntryStore:
    """Collects entries by category and kind, packed, so that millions fit in little memory."""

    def __init__(self) -> None:
        self._pending: dict[tuple[str, str, bool], list[str]] = {}
        self._packed: dict[tuple[str, str, bool], list[bytes]] = {}
        self.refusals: list[RefusedLine] = []
        self.refused = 0
        self.skips: list[RefusedLine] = []
        self.skipped = 0
        self._left_out: set[str] = set()

    def add(self, category: str, kind: str, text: str, *, allow: bool = False) -> None:
        """Add one canonical entry."""
        key = (category, kind, allow)
        pending = self._pending.get(key)
        if pending is None:
            pending = self._pending[key] = []
        pending.append(text)
        if len(pending) >= _BATCH:
            self._pack(key)

    def add_lines(self, category: str, kind: str, data: bytes, *, allow: bool = False) -> None:
        """Add canonical entries, each a line that ends with a newline."""
        self._packed.setdefault((category, kind, allow), []).append(data)

    def skip(self, file: str, line: int, text: str, reason: str) -> None:
        """Count a line that says nothing about a host, and keep the first ones for the report."""
        self.skipped += 1
        if len(self.skips) < MAX_SKIPS:
            self.skips.append(RefusedLine(file, line, _printable(text), reason))

    def leave_out(self, category: str, file: str, item: Item) -> None:
        """Count what a category map leaves out; one line of the report for each category."""
        self.skipped += len(item.numbers) if isinstance(item, HostLines) else 1
        if category not in self._left_out and len(self.skips) < MAX_SKIPS:
            self._left_out.add(category)
            self.skips.append(RefusedLine(file, 0, _printable(category), "this category is left out by the list's category map"))

    @property
    def empty(self) -> bool:
        """True when nothing was added."""
        return not self._packed and not any(self._pending.values())

    def sections(self) -> list[Section]:
        """Return all entries by category and kind."""
        for key in self._pending:
            self._pack(key)
        return [Section(*key, b"".join(parts)) for key, parts in sorted(self._packed.items())]

    def refuse(self, file: str, line: int, text: str, reason: str) -> None:
        """Count a refusal and keep the first ones for the report."""
        self.refused += 1
        if len(self.refusals) < MAX_SHOWN:
            self.refusals.append(RefusedLine(file, line, _printable(text), reason))

    def write(self, path: Path) -> tuple[tuple[SectionInfo, ...], int]:
        """Write all entries; returns the sections and the number of duplicates within them."""
        sections: list[SectionInfo] = []
        duplicates = offset = 0
        for key in self._pending:
            self._pack(key)
        with path.open("wb") as file:
            for (category, kind, allow), parts in sorted(self._packed.items()):
                keys = np.concatenate([line_keys(part) for part in parts])
                duplicates += _repeated(keys)
                length = sum(map(len, parts))
                sections.append(SectionInfo(category, kind, offset, length, len(keys), allow))
                offset += length
                file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        return tuple(sections), duplicates

    def _pack(self, key: tuple[str, str, bool]) -> None:
        pending = self._pending[key]
        if pending:
            self._packed.setdefault(key, []).append(("\n".join(pending) + "\n").encode("ascii"))
            pending.clear()


def read_parts(path: Path, section: SectionInfo) -> Iterator[bytes]:
    """Yield the lines of one section in parts, each of whole lines; raises `ListError` where the file is too short."""
    with path.open("rb") as file:
        file.seek(section.offset)
        left, rest = section.length, b""
        while left:
            data = file.read(min(left, 1 << 22))
            if not data:
                raise ListError(f"{path} is cut short; load the list again.")
            left -= len(data)
            data = rest + data
            cut = data.rfind(b"\n") + 1
            rest = data[cut:]
            yield data[:cut]


def read_section(path: Path, section: SectionInfo) -> Iterator[bytes]:
    """Yield the entries of one section; raises `ListError` where the file is shorter than its description says."""
    for part in read_parts(path, section):
        yield from part.split(b"\n")[:-1]


def read_sections(path: Path, stored: StoredList) -> list[Section]:
    """Return all entries of a list; raises `ListError` and `OSError`."""
    return [Section(info.category, info.kind, info.allow, b"".join(read_parts(path, info))) for info in stored.sections]


def read_description(path: Path) -> StoredList:
    """Read a list's description; raises `ListError`."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=StoredList)
    except (OSError, msgspec.MsgspecError) as error:
        raise ListError(f"{path} can't be read ({error}); load the list again.") from error


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a file beside `path`, flush it to disk and rename it into place; on any error nothing changes."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    beside = Path(name)
    try:
        write(beside)
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        raise ListError(f"{path} can't be written ({error.strerror}); make room or correct its rights, then try again.") from error
    finally:
        beside.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def locked(folder: Path, wait_seconds: float = 60.0) -> Iterator[None]:
    """Hold the folder's lock; raises `ListError` when another process keeps it for longer than the wait."""
    try:
        handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ListError(f"{folder} can't be written ({error.strerror}); correct its rights, then try again.") from error
    try:
        until = time.monotonic() + wait_seconds
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise ListError("Another command is changing the lists; try again when it has finished.") from None
                time.sleep(0.05)
        yield
    finally:
        os.close(handle)


def _repeated(keys: Keys) -> int:
    ordered = np.sort(keys)
    return int(np.count_nonzero(ordered[1:] == ordered[:-1]))


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "�" for c in text[:120])
