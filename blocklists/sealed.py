"""Looking addresses up in the sealed lists: unlawful content, as full SHA-256 digests of Safe Browsing expressions and nothing else.

Whatever is registered must be there, whole and not empty: otherwise opening fails, and the gateway fails closed. No function
returns, prints or logs an entry; there is none to remove a list.
"""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

from blocklists.errors import SealedListError
from blocklists.host import host_facts
from blocklists.sealedinput import DIGEST_BYTES
from blocklists.sealedstore import REGISTRY, Registry, SealedEntry, damaged, gone, read_digests, read_registry, stamp_of
from blocklists.url import CanonicalUrl, UrlError, expression_hosts, leading_folders

_REMEMBERED = 16_384
"""Folders of hosts, and paths, that are remembered as being on no list, at most; all are forgotten then."""
_SHORT = 256
"""Characters of a host with its folder or path that are remembered."""


class SealedLists:
    """All sealed lists of an installation, in memory."""

    def __init__(self, folder: Path | None, registry: Registry, digests: dict[bytes, str], stamp: tuple[int, ...]) -> None:
        self._folder = folder
        self._registry = registry
        self._digests = digests
        self._clear: set[str] = set()
        self._clear_paths: set[str] = set()
        self._stamp = stamp
        self._current = registry
        self._current_stamp = stamp

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Read every registered list. Raises `SealedListError` when one, or the registry, is missing, damaged or empty."""
        stamp = stamp_of(folder)
        registry = read_registry(folder)
        if not registry.lists:
            raise SealedListError(f"{folder / REGISTRY} names no sealed list; load one, at least the test list.")
        digests: dict[bytes, str] = {}
        for entry in registry.lists:
            for digest in read_digests(folder, entry):
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
        # Pages load dozens of parts from a few folders, and searches and scripts ask one path again with other queries: what is on
        # no list is looked for once.
        if place not in self._clear:
            name = self._first(hosts, folders)
            if name is not None:
                return name
            _remember(self._clear, place)
        if query is not None:
            endpoint = url.host + path
            paths = (f"{path}?{query}",) if endpoint in self._clear_paths else (f"{path}?{query}", path)
            name = self._first(hosts, paths)
            if name is not None:
                return name
            _remember(self._clear_paths, endpoint)
        elif path != folders[-1]:
            name = self._first(hosts, (path,))
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
        stamp = stamp_of(self._folder)
        if stamp != self._current_stamp:
            self._current, self._current_stamp = read_registry(self._folder), stamp
            missing = set(self.names) - {entry.name for entry in self._current.lists}
            if missing:
                self._current_stamp = ()
                raise SealedListError(f"The sealed list {min(missing)} is no longer registered; load it again.")
        for entry in self._current.lists:
            try:
                size = (self._folder / entry.file).stat().st_size
            except OSError as error:
                raise gone(entry) from error
            if size != entry.digests * DIGEST_BYTES:
                raise damaged(entry)

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


def _remember(clear: set[str], place: str) -> None:
    """Add a place where nothing was found; one too many makes room for all."""
    if len(clear) >= _REMEMBERED:
        clear.clear()
    if len(place) <= _SHORT:
        clear.add(place)


def digest_url(url: CanonicalUrl, key: bytes) -> str:
    """Return the keyed hash (BLAKE2b, 128 bits, hexadecimal) that stands for a sealed URL in events, logs and exports."""
    return hashlib.blake2b(url.text.encode(), key=key, digest_size=16).hexdigest()
