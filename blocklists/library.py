"""The lists of an installation: load, remove, look at and compile them."""

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from blocklists.allow import AllowEntry, AllowIndex, write_allow
from blocklists.compiler import Compiler
from blocklists.errors import ListError
from blocklists.expressions import Expression, ExpressionIndex, write_expressions
from blocklists.formats.detect import detect
from blocklists.formats.interface import Options
from blocklists.formats.registry import FORMATS as REGISTRY
from blocklists.history import History
from blocklists.index import ListIndex
from blocklists.layout import Label
from blocklists.parsed import ParsedList, checked_map, parse
from blocklists.reading import sha256_of
from blocklists.reports import ListStatus, LoadReport
from blocklists.stored import (
    ListKind,
    SectionInfo,
    StoredList,
    locked,
    read_description,
    read_parts,
    read_section,
    replace_file,
)  # fmt: skip

FORMATS = tuple(REGISTRY)
NAME = re.compile("[a-z0-9][a-z0-9_.-]{0,63}")


class Library:
    """A folder of lists. Every change is a rename, under a lock, so that a crash or a full disk leaves the last good state."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.index_path = folder / "lists.idx"
        self.allow_path = folder / "allow.tsv"
        self.expressions_path = folder / "lists.expressions"
        self.history = History(folder)

    def load(
        self,
        name: str,
        path: Path,
        format: str | None = None,  # noqa: A002 - the word of the command line
        category: str | None = None,
        kind: ListKind = "block",
        *,
        subdomains: bool | None = None,
        columns: Mapping[str, str] | None = None,
        publisher: str = "",
        licence: str = "",
        expressions: bool = False,
        categories: Mapping[str, str] | None = None,
        origin: str = "",
    ) -> LoadReport:
        """Read a list from a file or folder and keep its entries; a list of the same name is replaced.

        Without `format` it is recognised from the content. `subdomains` says whether a host stands for its sub-domains
        too; None takes the format's own meaning (`domains`: yes, `hosts`: no). `columns` names the columns of CSV and
        JSON (`entry` or `category`), `categories` the publisher's names of categories and ours ("-" leaves one out).
        `expressions` reads a tree's files `expressions`, too. `origin` is where the file came from, when its path does not
        say so. A paused list stays paused. The last five versions stay for `rollback`. Raises `ListError`; the list that
        was loaded before then stays.
        """
        if not path.exists():
            raise ListError(f"{path} does not exist.")
        guess = detect(path) if format is None else None
        format_ = guess.format if guess is not None else str(format)
        if expressions and kind == "allow":
            raise ListError("Expressions can't allow: allow lists are compared as exact texts.")
        options = Options(self.checked(name, path, format_, category, kind), subdomains, columns, expressions, checked_map(categories))
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with locked(self.folder):
            try:
                parsed = parse(path, format_, options, kind)
                report = self._keep(name, path, parsed, publisher, licence, origin or str(path.resolve()))
                return msgspec.structs.replace(report, why_format=guess.why) if guess is not None else report
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

    def rollback(self, name: str, version: int | None = None) -> StoredList:
        """Put an earlier version of a list back, the one before the present when none is named; raises `ListError`."""
        if NAME.fullmatch(name) is None:
            raise ListError(f"There is no list named {name!r}; `lists status` shows the names.")
        with locked(self.folder):
            present = self.stored(name) if self._description_path(name).is_file() else None
            stored = self.history.bring_back(name, version, present.version if present is not None else None)
            if present is not None:  # whoever paused the list did not mean one version of it
                stored = msgspec.structs.replace(stored, paused=present.paused)
            self._describe(stored)
            self._sweep()
            return stored

    def pause(self, name: str, paused: bool = True) -> None:
        """Leave a list out of the compiled file, or take it in again; raises `ListError`."""
        with locked(self.folder):
            self._describe(msgspec.structs.replace(self.stored(name), paused=paused))

    def stored(self, name: str) -> StoredList:
        """Return the description of a loaded list; raises `ListError`."""
        path = self._description_path(name)
        if NAME.fullmatch(name) is None or not path.is_file():
            raise ListError(f"There is no list named {name!r}; `lists status` shows the names.")
        return read_description(path)

    def all_stored(self) -> list[StoredList]:
        """Return the descriptions of all loaded lists, by name; raises `ListError` for a damaged one."""
        return [read_description(path) for path in self._descriptions()]

    def entries_path(self, stored: StoredList) -> Path:
        """Return the file of a loaded list's entries."""
        return self.folder / stored.entries_file

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
                    stored.sha256, stored.source, fault, stored.paused, stored.version, stored.publisher, stored.licence,
                    stored.skipped, stored.excepted,
                )
            )  # fmt: skip
        return result

    def compile(self) -> None:
        """Write `lists.idx`, `allow.tsv` and `lists.expressions` from all lists; raises `ListError`, and the last good files then stay."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with locked(self.folder):
            compiler = Compiler()
            allowed: list[AllowEntry] = []
            expressions: list[Expression] = []
            sources: dict[str, str] = {}
            for path in self._descriptions():
                stored = read_description(path)
                if stored.paused:
                    continue
                sources[stored.name] = stored.sha256
                self._compile_list(stored, compiler, allowed, expressions)
            replace_file(self.expressions_path, lambda beside: write_expressions(beside, expressions))
            replace_file(self.index_path, lambda beside: _write_checked(compiler, beside, sources))
            replace_file(self.allow_path, lambda beside: write_allow(beside, allowed))

    def open_index(self) -> ListIndex:
        """Open the compiled lists; empty when nothing was ever compiled."""
        return ListIndex.open(self.index_path) if self.index_path.exists() else ListIndex.empty()

    def open_allow(self) -> AllowIndex:
        """Open the compiled allow lists; empty when nothing was ever compiled."""
        return AllowIndex.open(self.allow_path) if self.allow_path.exists() else AllowIndex.empty()

    def open_expressions(self) -> ExpressionIndex:
        """Open the compiled expressions; empty when nothing was ever compiled."""
        return ExpressionIndex.open(self.expressions_path) if self.expressions_path.exists() else ExpressionIndex.empty()

    # --- parts of load and compile ---------------------------------------------------------------------------------

    def checked(self, name: str, path: Path, format_: str, category: str | None, kind: str) -> str:
        """Return the category of a list that is to be loaded; raises `ListError` for arguments that don't fit each other."""
        if NAME.fullmatch(name) is None:
            raise ListError(f"{name!r} can't name a list; use lower-case letters, digits, dots, hyphens and underscores, at most 64.")
        known = REGISTRY.get(format_)
        if known is None:
            raise ListError(f"There is no format {format_!r}; the formats are {', '.join(FORMATS)}.")
        if kind not in ("block", "allow"):
            raise ListError(f"A list is of kind block or allow, not {kind!r}.")
        if kind == "allow" and not known.text_only:
            raise ListError("Digests and expressions can't allow: allow lists are compared as exact texts.")
        if not path.exists():
            raise ListError(f"{path} does not exist.")
        if path.is_dir() and not known.trees:
            raise ListError(f"{path} is a folder; the format {format_} reads one file.")
        if category is None:
            if known.categories:
                return ""
            if format_ == "squidguard":
                return path.resolve().name if path.is_dir() else path.resolve().parent.name
            if kind == "allow":
                return "allowed"
            raise ListError(f"Say which category the entries of {path.name} belong to (--category).")
        if not category or len(category) > 100 or not category.isprintable():
            raise ListError("A category is a printable name of at most 100 characters.")
        return category

    def _keep(self, name: str, path: Path, parsed: ParsedList, publisher: str, licence: str, origin: str) -> LoadReport:
        store = parsed.store
        digest = sha256_of(path)
        entries_path = self.folder / f"{name}.{hashlib.sha256(f'{digest} {datetime.now(UTC)}'.encode()).hexdigest()[:16]}.entries"
        version = self.history.next_version(name)
        paused = self._description_path(name).is_file() and read_description(self._description_path(name)).paused
        try:
            sections, duplicates = store.write(entries_path)
            count = sum(section.entries for section in sections)
            options = parsed.options
            stored = StoredList(
                name, parsed.format, parsed.kind, origin, digest, datetime.now(UTC).isoformat(timespec="seconds"),
                entries_path.name, count, duplicates, store.refused, sections, tuple(store.refusals), parsed.aliases, parsed.usage,
                store.skipped, tuple(store.skips), version, paused, publisher, licence, options.category, options.subdomains,
                dict(options.columns) if options.columns is not None else None, parsed.global_usage, options.expressions,
                dict(options.categories) if options.categories else None,
            )  # fmt: skip
            self.history.keep(stored, path)
            try:
                self._describe(stored)
            except BaseException:
                self.history.drop(name, version)
                raise
        except BaseException:
            entries_path.unlink(missing_ok=True)
            raise
        self.history.prune(name)
        self._sweep()
        return LoadReport(
            name, stored.format, stored.kind, count, duplicates, store.refused, stored.refusals, stored.categories, stored.aliases,
            stored.usage, digest, stored.skipped, stored.skips, stored.excepted, version, stored.global_usage, "", paused,
        )  # fmt: skip

    def _describe(self, stored: StoredList) -> None:
        replace_file(self._description_path(stored.name), lambda beside: beside.write_bytes(msgspec.json.encode(stored)))

    def _compile_list(
        self, stored: StoredList, compiler: Compiler, allowed: list[AllowEntry], expressions: list[Expression]
    ) -> None:  # fmt: skip
        path = self.folder / stored.entries_file
        try:
            for section in stored.sections:
                if section.kind == "expression":
                    patterns = read_section(path, section)
                    expressions.extend(Expression(stored.name, section.category, pattern.decode()) for pattern in patterns)
                elif stored.kind == "allow":
                    entries = read_section(path, section)
                    allowed.extend(AllowEntry(stored.name, section.category, section.kind, entry.decode()) for entry in entries)
                else:
                    _compile_section(stored.name, path, section, compiler)
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


def _compile_section(name: str, path: Path, section: SectionInfo, compiler: Compiler) -> None:
    if section.allow:
        compiler.add_exceptions(name, section.kind, read_section(path, section))
    elif section.kind == "hash":
        digests = (bytes.fromhex(entry.decode()) for entry in read_section(path, section))
        compiler.add_hashes(Label(name, section.category, "hash"), digests)
    else:
        for part in read_parts(path, section):
            compiler.add_lines(Label(name, section.category, section.kind), part)


def _write_checked(compiler: Compiler, path: Path, sources: dict[str, str]) -> None:
    """Write the compiled file and read it back: what goes live has been opened once."""
    compiler.write(path, sources)
    ListIndex.open(path).close()
