"""Sealed lists: unlawful content, as full SHA-256 digests of Safe Browsing expressions and nothing else.

A folder holds a registry (`sealed.json`) and one file of sorted 32-byte digests per list. Whatever is registered must be
there, whole and not empty: otherwise opening fails, and the gateway fails closed. No function returns, prints or logs an
entry; there is none to remove a list.
"""

import hashlib
import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from importlib.resources import as_file, files
from pathlib import Path
from typing import Self

import msgspec

from blocklists.errors import ListError, SealedListError
from blocklists.host import host_facts
from blocklists.library import NAME
from blocklists.sealedinput import DIGEST_BYTES, SealedFormat, SealedInput, read_sealed
from blocklists.stored import locked, replace_file
from blocklists.url import CanonicalUrl, UrlError, expression_hosts, leading_folders

REGISTRY = "sealed.json"
TEST_LIST = "sealed-test"
FRESH_SECONDS = 36 * 3600
"""Publishers send these lists every day; one that is older than a day and a half has missed its turn."""
CANARY_SUFFIX = ".canary.test"
"""Nothing answers under .test (RFC 2606)."""


_REMEMBERED = 16_384
"""Folders of hosts that are remembered as being on no list, at most; all are forgotten then."""
_SHORT = 256
"""Characters of a host and folder that are remembered."""


class SealedEntry(msgspec.Struct, frozen=True):
    """One registered list."""

    name: str
    file: str
    entries: int
    """The publisher's; the canary comes on top."""
    sha256: str
    """Of the digests file."""
    loaded: str
    """ISO 8601, UTC."""
    checked: str = ""
    """ISO 8601, UTC: when its publisher last said that there is nothing newer; empty before."""
    canary: str = ""
    """A host of ours that the list holds, for filter tests; empty in lists of earlier releases. Never shown to people."""

    @property
    def digests(self) -> int:
        """Digests in the file."""
        return self.entries + bool(self.canary)


class Registry(msgspec.Struct, frozen=True):
    """The lists that must be there."""

    lists: tuple[SealedEntry, ...] = ()


class SealedReport(msgspec.Struct, frozen=True):
    """What a load took in; refused lines by number only."""

    name: str
    entries: int
    refused: int
    refused_lines: tuple[int, ...]
    """The first hundred."""


class SealedLists:
    """All sealed lists of an installation, in memory."""

    def __init__(self, folder: Path | None, registry: Registry, digests: dict[bytes, str], stamp: tuple[int, ...]) -> None:
        self._folder = folder
        self._registry = registry
        self._digests = digests
        self._clear: set[str] = set()
        self._stamp = stamp
        self._current = registry
        self._current_stamp = stamp

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Read every registered list. Raises `SealedListError` when one, or the registry, is missing, damaged or empty."""
        stamp = _stamp(folder)
        registry = _read_registry(folder)
        if not registry.lists:
            raise SealedListError(f"{folder / REGISTRY} names no sealed list; load one, at least the test list.")
        digests: dict[bytes, str] = {}
        for entry in registry.lists:
            for digest in _read_digests(folder, entry):
                digests.setdefault(digest, entry.name)
        return cls(folder, registry, digests, stamp)

    @classmethod
    def empty(cls) -> Self:
        """Return sealed lists without entries, for tools that work without a state folder. A gateway uses `open`."""
        return cls(None, Registry(), {}, ())

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the lists."""
        return tuple(entry.name for entry in self._registry.lists)

    @property
    def canaries(self) -> dict[str, str]:
        """A host for each list that only this list holds, for filter tests: asking for it must be refused. Not for people's eyes."""
        return {entry.name: entry.canary for entry in self._registry.lists if entry.canary}

    def deaf(self) -> list[str]:
        """Return the names of the lists that do not find their own canary: a list that is there and does not work."""
        return [name for name, host in self.canaries.items() if self._find_host(host) != name]

    @property
    def entries(self) -> tuple[SealedEntry, ...]:
        """The registered lists: name, number of entries, time of loading."""
        return self._registry.lists

    def find(self, url: CanonicalUrl, claimed_hosts: tuple[str, ...] = ()) -> str | None:
        """Return the name of a list that holds the URL, or one of the hosts that the request claims elsewhere.

        `claimed_hosts` are canonical. At most 30 digests for the URL and five for each other host.
        """
        hosts = expression_hosts(url)
        path, query = url.path, url.query
        folders = leading_folders(path)
        place = url.host + folders[-1]
        # Pages load dozens of parts from a few folders: a folder that is on no list, nor any above it, is asked for once.
        if place not in self._clear:
            name = self._first(hosts, folders)
            if name is not None:
                return name
            if len(self._clear) >= _REMEMBERED:
                self._clear.clear()
            if len(place) <= _SHORT:
                self._clear.add(place)
        if path != folders[-1] or query is not None:
            name = self._first(hosts, (path,) if query is None else (f"{path}?{query}", path))
            if name is not None:
                return name
        for host in claimed_hosts:
            if host != url.host:
                name = self._find_host(host)
                if name is not None:
                    return name
        return None

    def _first(self, hosts: Iterable[str], paths: Sequence[str]) -> str | None:
        """Return the list that holds one of the hosts with one of the paths."""
        digests, sha256 = self._digests, hashlib.sha256
        for host in hosts:
            for path in paths:
                name = digests.get(sha256((host + path).encode()).digest())
                if name is not None:
                    return name
        return None

    def check(self) -> None:
        """Look whether every registered list is still there with its size; raises `SealedListError`. Costs a few microseconds."""
        if self._folder is None:
            return
        stamp = _stamp(self._folder)
        if stamp != self._current_stamp:
            self._current, self._current_stamp = _read_registry(self._folder), stamp
            missing = set(self.names) - {entry.name for entry in self._current.lists}
            if missing:
                self._current_stamp = ()
                raise SealedListError(f"The sealed list {min(missing)} is no longer registered; load it again.")
        for entry in self._current.lists:
            try:
                size = (self._folder / entry.file).stat().st_size
            except OSError as error:
                raise _gone(entry) from error
            if size != entry.digests * DIGEST_BYTES:
                raise _damaged(entry)

    @property
    def outdated(self) -> bool:
        """True when the last `check` saw a registry that was written after these lists were opened: open them again."""
        return self._current_stamp != self._stamp

    def _find_host(self, host: str) -> str | None:
        try:
            suffixes = host_facts(host).suffixes
        except UrlError:
            return None
        for suffix in suffixes:
            if suffix is suffixes[0] or suffix.count(".") < 5:
                name = self._digests.get(hashlib.sha256(f"{suffix}/".encode()).digest())
                if name is not None:
                    return name
        return None


def digest_url(url: CanonicalUrl, key: bytes) -> str:
    """Return the keyed hash (BLAKE2b, 128 bits, hexadecimal) that stands for a sealed URL in events, logs and exports."""
    return hashlib.blake2b(url.text.encode(), key=key, digest_size=16).hexdigest()


def load_sealed(folder: Path, name: str, source: Path, format: SealedFormat = "plain") -> SealedReport:  # noqa: A002
    """Register a list from a file as `blocklists.sealedinput.read_sealed` reads it; raises `ListError`, the earlier list then stays."""
    found = read_sealed_file(source, name, format)
    register(folder, name, found.digests)
    return SealedReport(name, len(found.digests), found.refused, found.refused_lines)


def read_sealed_file(source: Path, name: str, format: SealedFormat) -> SealedInput:  # noqa: A002
    """Read a list that is to be registered under a name; raises `ListError`."""
    if NAME.fullmatch(name) is None:
        raise ListError(f"{name!r} can't name a list; use lower-case letters, digits, dots, hyphens and underscores, at most 64.")
    try:
        with source.open("rb") as stream:
            return read_sealed(stream, str(source), format)
    except OSError as error:
        raise ListError(f"{source} can't be read ({error.strerror}).") from error


def install_test_list(folder: Path) -> SealedReport:
    """Load the harmless test list that ships with the product, as the first run does."""
    with as_file(files("blocklists") / "data" / "sealed-test.txt") as path:
        return load_sealed(folder, TEST_LIST, path)


def old_lists(entries: Iterable[SealedEntry], now: float) -> list[tuple[str, float]]:
    """Return the lists that are older than `FRESH_SECONDS` and their age in seconds; the product's own test list never is."""
    ages = [(entry.name, now - datetime.fromisoformat(max(entry.loaded, entry.checked)).timestamp()) for entry in entries]
    return [(name, age) for name, age in ages if age > FRESH_SECONDS and name != TEST_LIST]


def registered(folder: Path, name: str) -> SealedEntry | None:
    """Return what is registered under a name; raises `SealedListError` where the register is damaged."""
    if not (folder / REGISTRY).exists():
        return None
    return next((entry for entry in _read_registry(folder).lists if entry.name == name), None)


def digests_of(folder: Path, entry: SealedEntry) -> frozenset[bytes]:
    """Return the digests of a registered list without that of its canary; raises `SealedListError`."""
    return frozenset(_read_digests(folder, entry)) - {hashlib.sha256(f"{entry.canary}/".encode()).digest()}


def confirm(folder: Path, name: str) -> None:
    """Write down that the publisher has nothing newer: the list is as fresh as if it had been loaded now. Raises `ListError`."""
    with locked(folder):
        lists = _read_registry(folder).lists
        _write_registry(folder, [msgspec.structs.replace(e, checked=_now()) if e.name == name else e for e in lists])


def register(folder: Path, name: str, digests: frozenset[bytes]) -> None:
    """Put a list in force, in the place of the one of that name; raises `ListError`, and the earlier list then stays."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with locked(folder):
        registry = _read_registry(folder) if (folder / REGISTRY).exists() else Registry()
        known = next((entry.canary for entry in registry.lists if entry.name == name), "")
        canary = known or secrets.token_hex(16) + CANARY_SUFFIX
        body = b"".join(sorted({*digests, hashlib.sha256(f"{canary}/".encode()).digest()}))
        digest = hashlib.sha256(body).hexdigest()
        entry = SealedEntry(name, f"{name}.{digest[:16]}.digests", len(body) // DIGEST_BYTES - 1, digest, _now(), canary=canary)
        replace_file(folder / entry.file, lambda beside: beside.write_bytes(body))
        try:
            _write_registry(folder, [*(e for e in registry.lists if e.name != name), entry])
        except BaseException:
            if entry.file not in {old.file for old in registry.lists}:
                (folder / entry.file).unlink(missing_ok=True)
            raise
        for old in registry.lists:
            if old.name == name and old.file != entry.file:
                (folder / old.file).unlink(missing_ok=True)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _write_registry(folder: Path, lists: Iterable[SealedEntry]) -> None:
    registry = Registry(tuple(sorted(lists, key=lambda entry: entry.name)))
    replace_file(folder / REGISTRY, lambda beside: beside.write_bytes(msgspec.json.encode(registry)))


def _read_registry(folder: Path) -> Registry:
    path = folder / REGISTRY
    try:
        return msgspec.json.decode(path.read_bytes(), type=Registry)
    except FileNotFoundError as error:
        raise SealedListError(f"{path}, the register of sealed lists, is missing; load the sealed lists again.") from error
    except (OSError, msgspec.MsgspecError) as error:
        sentence = f"{path}, the register of sealed lists, is damaged; delete it, then load every sealed list again."
        raise SealedListError(sentence) from error


def _read_digests(folder: Path, entry: SealedEntry) -> Iterator[bytes]:
    if Path(entry.file).name != entry.file:
        raise _damaged(entry)
    try:
        body = (folder / entry.file).read_bytes()
    except OSError as error:
        raise _gone(entry) from error
    if not body or hashlib.sha256(body).hexdigest() != entry.sha256 or len(body) != entry.digests * DIGEST_BYTES:
        raise _damaged(entry)
    return (body[start : start + DIGEST_BYTES] for start in range(0, len(body), DIGEST_BYTES))


def _stamp(folder: Path) -> tuple[int, ...]:
    try:
        status = os.stat(folder / REGISTRY)  # noqa: PTH116 - called every second
    except OSError as error:
        raise SealedListError(f"{folder / REGISTRY}, the register of sealed lists, is missing; load the sealed lists again.") from error
    return status.st_ino, status.st_size, status.st_mtime_ns


def _gone(entry: SealedEntry) -> SealedListError:
    return SealedListError(f"The sealed list {entry.name} is missing or can't be read; load it again.")


def _damaged(entry: SealedEntry) -> SealedListError:
    return SealedListError(f"The sealed list {entry.name} is damaged or empty; load it again.")
