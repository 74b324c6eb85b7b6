"""The folder of the sealed lists: a registry (`sealed.json`) and one file of sorted 32-byte digests per list.

What is read back is compared with the registry in every byte. No function returns, prints or logs an entry, and none removes
a list.
"""

import hashlib
import os
import secrets
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from importlib.resources import as_file, files
from pathlib import Path

import msgspec

from blocklists.errors import ListError, SealedListError
from blocklists.library import NAME
from blocklists.sealedinput import DIGEST_BYTES, SealedFormat, SealedInput, read_sealed
from blocklists.stored import locked, replace_file

REGISTRY = "sealed.json"
TEST_LIST = "sealed-test"
FRESH_SECONDS = 36 * 3600
"""Publishers send these lists every day; one that is older than a day and a half has missed its turn."""
CANARY_SUFFIX = ".canary.test"
"""Nothing answers under .test (RFC 2606)."""


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
    return next((entry for entry in read_registry(folder).lists if entry.name == name), None)


def digests_of(folder: Path, entry: SealedEntry) -> frozenset[bytes]:
    """Return the digests of a registered list without that of its canary; raises `SealedListError`."""
    return frozenset(read_digests(folder, entry)) - {hashlib.sha256(f"{entry.canary}/".encode()).digest()}


def confirm(folder: Path, name: str) -> None:
    """Write down that the publisher has nothing newer: the list is as fresh as if it had been loaded now. Raises `ListError`."""
    with locked(folder):
        lists = read_registry(folder).lists
        _write_registry(folder, [msgspec.structs.replace(e, checked=_now()) if e.name == name else e for e in lists])


def register(folder: Path, name: str, digests: frozenset[bytes]) -> None:
    """Put a list in force, in the place of the one of that name; raises `ListError`, and the earlier list then stays."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with locked(folder):
        registry = read_registry(folder) if (folder / REGISTRY).exists() else Registry()
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


def read_registry(folder: Path) -> Registry:
    """Return the register; raises `SealedListError` with what to do where it is missing or damaged."""
    path = folder / REGISTRY
    try:
        return msgspec.json.decode(path.read_bytes(), type=Registry)
    except FileNotFoundError as error:
        raise SealedListError(f"{path}, the register of sealed lists, is missing; load the sealed lists again.") from error
    except (OSError, msgspec.MsgspecError) as error:
        sentence = f"{path}, the register of sealed lists, is damaged; delete it, then load every sealed list again."
        raise SealedListError(sentence) from error


def read_digests(folder: Path, entry: SealedEntry) -> Iterator[bytes]:
    """Return the digests of a registered list, its canary's too; raises `SealedListError` for a file that is not what was registered."""
    if Path(entry.file).name != entry.file:
        raise damaged(entry)
    try:
        body = (folder / entry.file).read_bytes()
    except OSError as error:
        raise gone(entry) from error
    if not body or hashlib.sha256(body).hexdigest() != entry.sha256 or len(body) != entry.digests * DIGEST_BYTES:
        raise damaged(entry)
    return (body[start : start + DIGEST_BYTES] for start in range(0, len(body), DIGEST_BYTES))


def stamp_of(folder: Path) -> tuple[int, ...]:
    """Return what changes when the register is written; raises `SealedListError` where there is none."""
    try:
        status = os.stat(folder / REGISTRY)  # noqa: PTH116 - called every second
    except OSError as error:
        raise SealedListError(f"{folder / REGISTRY}, the register of sealed lists, is missing; load the sealed lists again.") from error
    return status.st_ino, status.st_size, status.st_mtime_ns


def gone(entry: SealedEntry) -> SealedListError:
    """Return the error for a list whose file can't be read."""
    return SealedListError(f"The sealed list {entry.name} is missing or can't be read; load it again.")


def damaged(entry: SealedEntry) -> SealedListError:
    """Return the error for a list whose file is not what was registered."""
    return SealedListError(f"The sealed list {entry.name} is damaged or empty; load it again.")
