"""A list tried beside the library: the present lists with one of them replaced, compiled in a folder of their own.

Nothing in force changes while it exists. `adopt` makes the tried list part of the library, without reading it again.
"""

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final, Literal

import msgspec

from blocklists.errors import ListError
from blocklists.library import Library
from blocklists.reports import LoadReport
from blocklists.stored import ListKind, Section, StoredList, locked, read_sections, replace_file

FOLDER: Final = ".trials"
"""Below the folder of the lists, so that files can be shared by hard links."""
_STALE_SECONDS = 3600
_COMPILED = ("lists.expressions", "lists.idx", "allow.tsv")

type Act = Literal["load", "rollback", "pause", "resume", "remove", "seal"]


class Proposal(msgspec.Struct, frozen=True):
    """What somebody wants to do with a list: load it, or do something with the one that is there."""

    name: str
    path: str = ""
    """File, folder or archive to load; to `seal`: a file of digests; "" for every other act."""
    format: str | None = None
    category: str | None = None
    kind: ListKind = "block"
    subdomains: bool | None = None
    columns: dict[str, str] | None = None
    publisher: str = ""
    licence: str = ""
    expressions: bool = False
    categories: dict[str, str] | None = None
    """The publisher's names of categories and ours; "-" leaves one out."""
    origin: str = ""
    """Where the file came from, when its path does not say so."""
    act: Act = "load"
    version: int | None = None
    """For `rollback`: which one; None is the one before the present."""
    scheduled: bool = False
    """The console fetched it by itself: nobody sits at a terminal to be told."""


class Trial:
    """A proposal, read; `candidate` is the whole library with it in place."""

    def __init__(self, library: Library, candidate: Library, proposal: Proposal, report: LoadReport, seen: dict[str, bytes]) -> None:
        self.library = library
        self.candidate = candidate
        self.proposal = proposal
        self.report = report
        self._seen = seen
        self._compiled = False

    def compile(self) -> None:
        """Write the candidate's compiled files; raises `ListError`."""
        if not self._compiled:
            self.candidate.compile()
            self._compiled = True

    @property
    def before(self) -> StoredList | None:
        """The list of this name that is loaded now."""
        try:
            return self.library.stored(self.proposal.name)
        except ListError:
            return None

    def sections_before(self) -> list[Section]:
        """Entries of the list of this name that is loaded now; raises `ListError` and `OSError`."""
        stored = self.before
        return read_sections(self.library.entries_path(stored), stored) if stored is not None else []

    def sections(self) -> list[Section]:
        """Entries of the proposed list; none for one that is taken away or paused."""
        if self.proposal.act in ("remove", "pause"):
            return []
        stored = self.candidate.stored(self.proposal.name)
        return read_sections(self.candidate.entries_path(stored), stored)

    def adopt(self) -> LoadReport:
        """Make the proposed list live in the library, compiled; raises `ListError`, and the present one then stays."""
        library, name = self.library, self.proposal.name
        if self.proposal.act != "load":
            return self._act()
        self.compile()
        with locked(library.folder):
            unchanged = _descriptions(library.folder, without=name) == {n: d for n, d in self._seen.items() if n != f"{name}.json"}
            try:
                stored = self._keep()
                if unchanged:
                    for file in _COMPILED:
                        replace_file(library.folder / file, partial(_take, self.candidate.folder / file))
            except OSError as error:
                raise ListError(f"{error.filename or library.folder} can't be written ({error.strerror}).") from error
        if not unchanged:
            library.compile()  # somebody else changed a list meanwhile
        return msgspec.structs.replace(self.report, version=stored.version)

    def _act(self) -> LoadReport:
        """Do with the list that is there what was proposed; the whole library is compiled anew."""
        library, proposal = self.library, self.proposal
        if proposal.act == "rollback":
            library.rollback(proposal.name, self.candidate.stored(proposal.name).version)
        elif proposal.act == "remove":
            library.remove(proposal.name)
        else:
            library.pause(proposal.name, proposal.act == "pause")
        library.compile()
        return self.report

    def _keep(self) -> StoredList:
        library, name = self.library, self.proposal.name
        tried = self.candidate.stored(name)
        old = self.before
        stem = hashlib.sha256(f"{tried.sha256} {datetime.now(UTC)}".encode()).hexdigest()[:16]
        stored = msgspec.structs.replace(tried, entries_file=f"{name}.{stem}.entries", version=library.history.next_version(name))
        entries = library.entries_path(stored)
        os.link(self.candidate.entries_path(tried), entries)
        try:
            library.history.keep(stored, Path(self.proposal.path))
            try:
                replace_file(library.folder / f"{name}.json", lambda beside: beside.write_bytes(msgspec.json.encode(stored)))
            except BaseException:
                library.history.drop(name, stored.version)
                raise
        except BaseException:
            entries.unlink(missing_ok=True)
            raise
        library.history.prune(name)
        if old is not None:
            library.entries_path(old).unlink(missing_ok=True)  # the history holds it by another name
        return stored


@contextmanager
def trial(library: Library, proposal: Proposal) -> Iterator[Trial]:
    """Read a proposed list beside the present ones for the length of a block; raises `ListError`."""
    try:
        folder = _folder(library.folder)
    except OSError as error:
        raise ListError(f"{library.folder} can't be written ({error.strerror}); make room or correct its rights.") from error
    try:
        with locked(library.folder):
            seen = _share(library, folder)
        candidate = Library(folder)
        if proposal.act == "load":
            report = candidate.load(
                proposal.name, Path(proposal.path), proposal.format, proposal.category, proposal.kind, subdomains=proposal.subdomains,
                columns=proposal.columns, publisher=proposal.publisher, licence=proposal.licence, expressions=proposal.expressions,
                categories=proposal.categories, origin=proposal.origin,
            )  # fmt: skip
        else:
            report = _done(library, candidate, proposal)
        yield Trial(library, candidate, proposal, report, seen)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _done(library: Library, candidate: Library, proposal: Proposal) -> LoadReport:
    """Do in the candidate what is proposed; returns a report of the list as it then is, or was."""
    name = proposal.name
    if proposal.act == "rollback":
        present = next((stored for stored in library.all_stored() if stored.name == name), None)
        stored = library.history.version(name, proposal.version, present.version if present is not None else None)
        stored = msgspec.structs.replace(stored, paused=present is not None and present.paused)
        entries = candidate.entries_path(stored)
        entries.unlink(missing_ok=True)
        try:
            os.link(library.history.entries(stored), entries)
        except OSError as error:
            raise ListError(f"Version {stored.version} of the list {name} can't be put back ({error.strerror}).") from error
        replace_file(candidate.folder / f"{name}.json", lambda beside: beside.write_bytes(msgspec.json.encode(stored)))
    else:
        stored = candidate.stored(name)
        if proposal.act == "remove":
            candidate.remove(name)
        else:
            candidate.pause(name, proposal.act == "pause")
            stored = candidate.stored(name)
    return LoadReport(
        name, stored.format, stored.kind, stored.entries, stored.duplicates, stored.refused, stored.refusals, stored.categories,
        stored.aliases, stored.usage, stored.sha256, stored.skipped, stored.skips, stored.excepted, stored.version, stored.global_usage,
        "", stored.paused,
    )  # fmt: skip


def trials_folder(lists: Path) -> Path:
    """Return the folder below which trials lie: the console opens no compiled file from elsewhere."""
    return lists / FOLDER


def _folder(lists: Path) -> Path:
    above = trials_folder(lists)
    above.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left in above.iterdir():  # of a command that was killed
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
    return Path(tempfile.mkdtemp(dir=above))


def _share(library: Library, folder: Path) -> dict[str, bytes]:
    """Give the trial the present lists by second names of their files; returns their descriptions."""
    seen = _descriptions(library.folder)
    try:
        for name, text in seen.items():
            (folder / name).write_bytes(text)
            entries = library.entries_path(msgspec.json.decode(text, type=StoredList))
            os.link(entries, folder / entries.name)
    except msgspec.MsgspecError as error:
        raise ListError(f"The description {library.folder / name} is damaged ({error}); load that list again.") from error
    except OSError as error:
        raise ListError(f"{error.filename} can't be used ({error.strerror}); load the list it belongs to again.") from error
    return seen


def _descriptions(lists: Path, without: str = "") -> dict[str, bytes]:
    paths = (path for path in lists.glob("*.json") if not path.name.startswith(".") and path.stem != without)
    return {path.name: path.read_bytes() for path in paths}


def _take(source: Path, beside: Path) -> None:
    beside.unlink()
    try:
        os.link(source, beside)
    except OSError:  # a file system without hard links
        shutil.copyfile(source, beside)
