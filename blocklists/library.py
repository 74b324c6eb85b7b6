"""The lists of an installation: load, remove, look at and compile them."""

import hashlib
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from blocklists.allow import AllowEntry, AllowIndex, write_allow
from blocklists.compiler import Compiler
from blocklists.entries import Entry, Refused
from blocklists.errors import ListError
from blocklists.formats.text import TEXT_FORMATS, read_domains, read_hosts
from blocklists.formats.tree import Alias, InCategory, Usage, read_squidguard, read_ut1
from blocklists.index import ListIndex
from blocklists.layout import Label
from blocklists.reading import Source, read_lines, sha256_of
from blocklists.stored import EntryStore, ListKind, RefusedLine, StoredList, locked, read_description, read_section, replace_file

FORMATS = (*TEXT_FORMATS, "squidguard", "ut1")
NAME = re.compile("[a-z0-9][a-z0-9_.-]{0,63}")


class LoadReport(msgspec.Struct, frozen=True):
    """What one load did."""

    name: str
    format: str
    kind: ListKind
    entries: int
    duplicates: int
    """Lines whose canonical entry had been read before; they are among `entries`."""
    refused: int
    refusals: tuple[RefusedLine, ...]
    """The first refused lines, at most 1,000."""
    categories: dict[str, int]
    aliases: dict[str, str]
    usage: dict[str, tuple[str, ...]]
    sha256: str

    @property
    def benign_categories(self) -> tuple[str, ...]:
        """Categories that the publisher gives for allowing only (`white`): the policy must not block them unasked."""
        return tuple(sorted(name for name, labels in self.usage.items() if labels and "black" not in labels))


class ListStatus(msgspec.Struct, frozen=True):
    """One loaded list, or what is wrong with it."""

    name: str
    format: str
    kind: ListKind
    categories: dict[str, int]
    entries: int
    refused: int
    loaded: str
    sha256: str
    source: str
    fault: str | None = None


class Library:
    """A folder of lists. Every change is a rename, under a lock, so that a crash or a full disk leaves the last good state."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.index_path = folder / "lists.idx"
        self.allow_path = folder / "allow.tsv"

    def load(
        self,
        name: str,
        path: Path,
        format: str,  # noqa: A002 - the word of the command line
        category: str | None = None,
        kind: ListKind = "block",
        *,
        subdomains: bool | None = None,
    ) -> LoadReport:
        """Read a list from a file or folder and keep its entries; a list of the same name is replaced.

        `subdomains` says whether a host stands for its sub-domains too; None takes the format's own meaning (`domains`:
        yes, `hosts`: no). Raises `ListError`; the list that was loaded before then stays.
        """
        category = self._checked(name, path, format, category, kind)
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with locked(self.folder):
            try:
                return self._load(name, path, format, category, kind, subdomains)
            except OSError as error:
                raise ListError(f"{error.filename or path} can't be read or written ({error.strerror}).") from error

    def remove(self, name: str) -> None:
        """Forget a list; raises `ListError` when there is none of this name."""
        with locked(self.folder):
            description = self._description_path(name)
            if NAME.fullmatch(name) is None or not description.is_file():
                raise ListError(f"There is no list named {name!r}; `lists status` shows the names.")
            description.unlink()
            self._sweep()

    def status(self) -> list[ListStatus]:
        """Return every list, in the order of their names; a damaged one carries its fault."""
        result: list[ListStatus] = []
        for path in self._descriptions():
            try:
                stored = read_description(path)
            except ListError as error:
                result.append(ListStatus(path.stem, "", "block", {}, 0, 0, "", "", "", str(error)))
                continue
            size = sum(section.length for section in stored.sections)
            entries = self.folder / stored.entries_file
            fault = (
                None if entries.is_file() and entries.stat().st_size == size else f"{entries} is missing or damaged; load the list again."
            )
            result.append(
                ListStatus(
                    stored.name, stored.format, stored.kind, stored.categories, stored.entries, stored.refused, stored.loaded,
                    stored.sha256, stored.source, fault,
                )
            )  # fmt: skip
        return result

    def compile(self) -> None:
        """Write `lists.idx` and `allow.tsv` from all lists; raises `ListError`, and the last good files then stay."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with locked(self.folder):
            compiler = Compiler()
            allowed: list[AllowEntry] = []
            sources: dict[str, str] = {}
            for path in self._descriptions():
                stored = read_description(path)
                sources[stored.name] = stored.sha256
                self._compile_list(stored, compiler, allowed)
            replace_file(self.index_path, lambda beside: _write_checked(compiler, beside, sources))
            replace_file(self.allow_path, lambda beside: write_allow(beside, allowed))

    def open_index(self) -> ListIndex:
        """Open the compiled lists; empty when nothing was ever compiled."""
        return ListIndex.open(self.index_path) if self.index_path.exists() else ListIndex.empty()

    def open_allow(self) -> AllowIndex:
        """Open the compiled allow lists; empty when nothing was ever compiled."""
        return AllowIndex.open(self.allow_path) if self.allow_path.exists() else AllowIndex.empty()

    # --- parts of load and compile ---------------------------------------------------------------------------------

    def _checked(self, name: str, path: Path, format_: str, category: str | None, kind: str) -> str:
        """Return the category; raises `ListError` for arguments that don't fit each other."""
        if NAME.fullmatch(name) is None:
            raise ListError(f"{name!r} can't name a list; use lower-case letters, digits, dots, hyphens and underscores, at most 64.")
        if format_ not in FORMATS:
            raise ListError(f"There is no format {format_!r}; the formats are {', '.join(FORMATS)}.")
        if kind not in ("block", "allow"):
            raise ListError(f"A list is of kind block or allow, not {kind!r}.")
        if kind == "allow" and format_ == "sha256":
            raise ListError("A hash list can't allow: allow lists are compared as exact texts.")
        if not path.exists():
            raise ListError(f"{path} does not exist.")
        if path.is_dir() and format_ in TEXT_FORMATS:
            raise ListError(f"{path} is a folder; the format {format_} reads one file.")
        if category is None:
            if format_ in ("squidguard", "ut1"):
                return path.resolve().name if path.is_dir() else path.resolve().parent.name
            if kind == "allow":
                return "allowed"
            raise ListError(f"Say which category the entries of {path.name} belong to (--category).")
        if not category or len(category) > 100 or not category.isprintable():
            raise ListError("A category is a printable name of at most 100 characters.")
        return category

    def _load(self, name: str, path: Path, format_: str, category: str, kind: ListKind, subdomains: bool | None) -> LoadReport:
        store = EntryStore()
        aliases: dict[str, str] = {}
        usage: dict[str, tuple[str, ...]] = {}
        for item in _read(path, format_, category, subdomains):
            if isinstance(item, Entry):
                store.add(category, item.kind, item.text)
            elif isinstance(item, InCategory):
                if isinstance(item.item, Entry):
                    store.add(item.category, item.item.kind, item.item.text)
                else:
                    store.refuse(item.file, item.item.line, item.item.text, item.item.reason)
            elif isinstance(item, Alias):
                aliases[item.name] = item.category
            elif isinstance(item, Usage):
                usage[item.category] = item.labels
            else:
                store.refuse(path.name, item.line, item.text, item.reason)
        digest = sha256_of(path)
        entries_path = self.folder / f"{name}.{hashlib.sha256(f'{digest} {datetime.now(UTC)}'.encode()).hexdigest()[:16]}.entries"
        try:
            sections, duplicates = store.write(entries_path)
            count = sum(section.entries for section in sections)
            if not count:
                hint = f"; the first refused line is {store.refusals[0].line}: {store.refusals[0].reason}" if store.refusals else ""
                raise ListError(f"{path} holds no entry in the format {format_}{hint}.")
            stored = StoredList(
                name, format_, kind, str(path.resolve()), digest, datetime.now(UTC).isoformat(timespec="seconds"), entries_path.name,
                count, duplicates, store.refused, sections, tuple(store.refusals), aliases, usage,
            )  # fmt: skip
            replace_file(self._description_path(name), lambda beside: beside.write_bytes(msgspec.json.encode(stored)))
        except (ListError, OSError):
            entries_path.unlink(missing_ok=True)
            raise
        self._sweep()
        return LoadReport(
            name, format_, kind, count, duplicates, store.refused, stored.refusals, stored.categories, aliases, usage, digest
        )  # fmt: skip

    def _compile_list(self, stored: StoredList, compiler: Compiler, allowed: list[AllowEntry]) -> None:
        path = self.folder / stored.entries_file
        try:
            for section in stored.sections:
                entries = read_section(path, section)
                if stored.kind == "allow":
                    allowed.extend(AllowEntry(stored.name, section.category, section.kind, entry.decode()) for entry in entries)
                elif section.kind == "hash":
                    digests = (bytes.fromhex(entry.decode()) for entry in entries)
                    compiler.add_hashes(Label(stored.name, section.category, "hash"), digests)
                else:
                    compiler.add(Label(stored.name, section.category, section.kind), entries)
        except (OSError, ValueError) as error:
            raise ListError(f"{path} can't be read ({error}); load the list {stored.name} again.") from error

    def _description_path(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def _descriptions(self) -> list[Path]:
        return sorted(path for path in self.folder.glob("*.json") if not path.name.startswith("."))

    def _sweep(self) -> None:
        """Delete entries files that no description names."""
        try:
            kept = {read_description(path).entries_file for path in self._descriptions()}
        except ListError:
            return  # a damaged description may name any of them
        for path in self.folder.glob("*.entries"):
            if path.name not in kept:
                path.unlink(missing_ok=True)


def _read(path: Path, format_: str, category: str, subdomains: bool | None) -> Iterator[Entry | InCategory | Alias | Usage | Refused]:
    if format_ == "ut1":
        yield from read_ut1(path)
        return
    if format_ == "squidguard":
        yield from read_squidguard(path, category)
        return
    with path.open("rb") as stream:
        lines = read_lines(Source(stream, str(path)))
        if format_ == "domains":
            items = read_domains(lines, subdomains=subdomains is not False)
        elif format_ == "hosts":
            items = read_hosts(lines, subdomains=subdomains is True)
        else:
            items = TEXT_FORMATS[format_](lines)
        yield from items


def _write_checked(compiler: Compiler, path: Path, sources: dict[str, str]) -> None:
    """Write the compiled file and read it back: what goes live has been opened once."""
    compiler.write(path, sources)
    ListIndex.open(path).close()
