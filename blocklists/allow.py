"""Allow lists: exact strings in memory, never hashes, so that nobody can craft an address that counts as allowed."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, Self

import xxhash

from blocklists.errors import IndexDamagedError
from blocklists.host import networks_of
from blocklists.index import Kind, ListHit
from blocklists.url import CanonicalUrl

_MAGIC = "schoolgate-allow 1"


class AllowEntry(NamedTuple):
    """One entry of an allow list; `kind` as in `ListHit`."""

    list: str
    category: str
    kind: str
    entry: str


class AllowIndex:
    """All allow lists, by host."""

    def __init__(self, entries: Iterable[AllowEntry] = ()) -> None:
        self.count = 0
        self._hosts: dict[str, ListHit] = {}
        self._domains: dict[str, ListHit] = {}
        self._networks: dict[str, ListHit] = {}
        self._prefixes: set[int] = set()
        self._paths: dict[str, dict[str, ListHit]] = {}
        """Bare host to the rest of an entry to the entry."""
        for item in entries:
            self.count += 1
            kind: Kind = item.kind  # type: ignore[assignment]
            hit = ListHit(item.list, item.category, kind, item.entry)
            if kind == "host":
                self._hosts.setdefault(item.entry, hit)
            elif kind == "domain":
                self._domains.setdefault(item.entry, hit)
            elif kind == "network":
                self._networks.setdefault(item.entry, hit)
                self._prefixes.add(int(item.entry.rpartition("/")[2]) + 100 * (":" in item.entry))
            else:
                host, slash, rest = item.entry.partition("/")
                self._paths.setdefault(host, {}).setdefault(slash + rest, hit)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Read the compiled allow lists; raises `IndexDamagedError` for a file that is missing, cut short or changed."""
        try:
            head, _, body = path.read_text(encoding="utf-8").partition("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise IndexDamagedError(f"{path} can't be read ({error}); compile the lists again.") from error
        if head != f"{_MAGIC} {_checksum(body)}":
            raise IndexDamagedError(f"{path} is damaged: its text does not match its checksum; compile the lists again.")
        return cls(AllowEntry(*line.split("\t")) for line in body.removesuffix("\n").split("\n") if line)

    @classmethod
    def empty(cls) -> Self:
        """Return an index without entries."""
        return cls()

    def find(self, url: CanonicalUrl) -> ListHit | None:
        """Return the first entry that allows the URL, or None: exact host, parents, then path prefixes and the exact address."""
        if not self.count:
            return None
        hit = self._hosts.get(url.host)
        if hit is not None:
            return hit
        for suffix in url.host_suffixes:
            hit = self._domains.get(suffix)
            if hit is not None:
                return hit
        if self._prefixes and url.is_address:
            for network in networks_of(url.host, self._prefixes):
                if network in self._networks:
                    return self._networks[network]
        entries = self._paths.get(url.host_facts.bare)
        return _path_hit(entries, url) if entries is not None else None


def write_allow(path: Path, entries: Iterable[AllowEntry]) -> None:
    """Write the file that `AllowIndex.open` reads; the caller renames it into place."""
    body = "".join("\t".join(entry) + "\n" for entry in entries)
    path.write_text(f"{_MAGIC} {_checksum(body)}\n{body}", encoding="utf-8")


def _checksum(body: str) -> str:
    return xxhash.xxh3_128_hexdigest(body.encode())


def _path_hit(entries: dict[str, ListHit], url: CanonicalUrl) -> ListHit | None:
    hit = entries.get(url.path_and_query) if url.query is not None else None
    path = url.path.rstrip("/")
    while hit is None and path:
        hit = entries.get(path)
        path = path.rpartition("/")[0]
    return hit or entries.get("/")
