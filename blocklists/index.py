"""The compiled lists, mapped: a request's host and path go in, the entries that speak of it come out.

The file is shared by all workers through the page cache. Keys are 64-bit hashes: with 5 million entries one URL in
10^11 meets a wrong entry, and whoever crafts a collision only blocks an address of his own. Allow lists are never
hashed (`blocklists.allow`).
"""

import hashlib
from pathlib import Path
from typing import Literal, NamedTuple, Self

from blocklists.host import HostFacts, networks_of
from blocklists.layout import BELOW, COMBINATION_MASK, DEPTH_SHIFT, Label, empty_file, hash64, hash_bytes
from blocklists.mapped import MappedTable
from blocklists.url import CanonicalUrl, expressions

_REMEMBERED_HOSTS = 8_192
"""A school asks for the same few thousand hosts all day."""

_DEPTHS = (1 << DEPTH_SHIFT) - 1
"""Values above say how deep a host's path entries reach."""

Kind = Literal["host", "domain", "path", "url", "network"]


class ListHit(NamedTuple):
    """One entry that speaks of a URL."""

    list: str
    category: str
    kind: Kind
    """`host`: this host alone; `domain`: with sub-domains; `path`: this path and below; `url`: this address alone;
    `network`: an address in it."""
    entry: str


_NOTHING: tuple[tuple[ListHit, ...], int] = ((), -1)
"""What is remembered of a host that no list speaks of: most of them."""
_new_hit = tuple.__new__
"""Half the time of `ListHit(…)`: this is made on the way of every request to a new host."""


class ListIndex:
    """An open compiled file; look-ups are safe from several threads."""

    def __init__(self, table: MappedTable) -> None:
        self._table = table
        self._keys, self._values = table.keys, table.values
        self.homes = table.homes
        self.meta = table.meta
        self.count = table.count
        labels = self.meta.labels
        self._combinations = tuple(tuple(labels[number] for number in numbers) for numbers in self.meta.combinations)
        self._exact = tuple(_said(own, ("host", "domain")) for own in self._combinations)
        self._below = tuple(_said(own, ("domain",)) for own in self._combinations)
        self._numbers = {(label.list, label.category, label.kind): number for number, label in enumerate(labels)}
        self._marked = self.meta.marked
        self._seen: dict[str, tuple[tuple[ListHit, ...], int]] = {}
        self._hashes = any(label.kind == "hash" for label in labels)
        self._exceptions: dict[str, list[tuple[str, str]]] = {}
        for list_, kind, entry in self.meta.exceptions:
            self._exceptions.setdefault(entry, []).append((list_, kind))

    @classmethod
    def open(cls, path: Path, *, verify: bool = True) -> Self:
        """Map a compiled file. Raises `IndexDamagedError` for any file that `compile` did not write as it is.

        With `verify` false the body's checksum is left to a later `verify()`: the header and the size are always checked.
        """
        index = cls(MappedTable.open(path))
        if verify:
            index.verify()
        return index

    @classmethod
    def of(cls, data: bytes, name: str) -> Self:
        """Take a compiled file's content; `name` stands in messages. Raises `IndexDamagedError`."""
        return cls(MappedTable(data, name))

    @classmethod
    def empty(cls) -> Self:
        """Return an index without entries."""
        return cls.of(empty_file(), "the empty list")

    def verify(self) -> None:
        """Compare the entries with their checksum; raises `IndexDamagedError`. About 0.05 s for 160 MB."""
        self._table.verify()

    def check(self) -> None:
        """Raise `IndexDamagedError` when the file was cut short or written over in place since it was opened."""
        self._table.check()

    def lookup(self, url: CanonicalUrl) -> list[ListHit]:
        """Return every entry that speaks of the URL: its host, parents of it, path prefixes at "/" edges, the exact address."""
        facts = url._facts  # noqa: SLF001 - a property call less on every request
        known = self._seen.get(facts.host)
        if known is None:
            known = self._host_answer(facts)
        if known is _NOTHING and not self._hashes:
            return []
        hits = list(known[0])
        if known[1] >= 0:
            self._add_paths(hits, url, facts.bare, known[1])
        if self._hashes:
            self._add_hashes(hits, url)
        return hits

    def exceptions(self, url: CanonicalUrl) -> list[ListHit]:
        """Return what lists except from themselves and speaks of the URL's host; without category."""
        return self._exceptions_of(url.host_facts) if self._exceptions else []

    @property
    def key_view(self) -> memoryview:
        """The mapped keys, for `blocklists.batch`."""
        return self._keys

    @property
    def value_view(self) -> memoryview:
        """The mapped values, for `blocklists.batch`."""
        return self._values

    @property
    def needs_text(self) -> bool:
        """True when look-ups need more than hashes of the text: for digests that publishers made."""
        return self._hashes

    def label_numbers(self, url: CanonicalUrl) -> set[int]:
        """Return the numbers in `meta.labels` of everything that speaks of the URL."""
        found = {self._numbers.get((hit.list, hit.category, kind)) for hit in self.lookup(url) for kind in (hit.kind, "hash")}
        return {number for number in found if number is not None}

    def close(self) -> None:
        """Unmap the file; look-ups fail afterwards."""
        self._table.close()

    def _host_answer(self, facts: HostFacts) -> tuple[tuple[ListHit, ...], int]:
        """Return the hits of a host and its parents, and how deep its path entries reach (-1: it has none)."""
        spoken: list[tuple[str, int]] | None = None
        depth = -1
        keys, homes, marked = self._keys, self.homes, self._marked
        for name in facts.suffixes[::-1]:
            key = hash_bytes(name.encode())
            slot = (key >> 32) * homes >> 32
            while (found := keys[slot]) < key:
                slot += 1
            if found == key:
                value = self._values[slot]
                if value & COMBINATION_MASK:
                    spoken = [(name, value & COMBINATION_MASK), *(spoken or ())]
                if value > _DEPTHS and name == facts.bare:
                    depth = (value >> DEPTH_SHIFT) - 1
                if marked and not value & BELOW:
                    break
            elif marked:
                break
        answer = _NOTHING
        if spoken is not None or depth >= 0 or (facts.is_address and self.meta.prefixes):
            answer = tuple(self._host_hits(facts, spoken or [])), depth
        if len(self._seen) >= _REMEMBERED_HOSTS:
            self._seen.clear()
        self._seen[facts.host] = answer
        return answer

    def _host_hits(self, facts: HostFacts, spoken: list[tuple[str, int]]) -> list[ListHit]:
        """Return what the combinations say of a host and its parents, the nearest first."""
        hits = [
            _new_hit(ListHit, (*said, name))
            for name, number in spoken
            for said in (self._exact if name is facts.host else self._below)[number]
        ]
        if facts.is_address and self.meta.prefixes:
            for network in networks_of(facts.host, self.meta.prefixes):
                self._add(hits, network, "network")
        return self._without_exceptions(hits, facts) if hits and self._exceptions else hits

    def _without_exceptions(self, hits: list[ListHit], facts: HostFacts) -> list[ListHit]:
        """Drop the hits of lists that except this host or a parent as near to it as the hit's entry, or nearer."""
        spared: dict[str, int] = {}
        for hit in self._exceptions_of(facts):
            spared[hit.list] = max(spared.get(hit.list, 0), len(hit.entry) if hit.kind != "network" else 0)
        return [hit for hit in hits if len(hit.entry) > spared.get(hit.list, -1) and not (hit.kind == "network" and hit.list in spared)]

    def _exceptions_of(self, facts: HostFacts) -> list[ListHit]:
        names: list[tuple[str, str]] = [(suffix, "domain") for suffix in facts.suffixes]
        names.append((facts.host, "host"))
        if facts.is_address:
            names += [(network, "network") for network in networks_of(facts.host, self.meta.prefixes)]
        return [
            ListHit(list_, "", kind, name)  # type: ignore[arg-type]
            for name, wanted in names
            for list_, kind in self._exceptions.get(name, ())
            if kind == wanted
        ]

    def _add_paths(self, hits: list[ListHit], url: CanonicalUrl, bare: str, depth: int) -> None:
        """Add path entries, from the root to `depth` segments, and the exact address."""
        path = url.path
        self._add(hits, bare + "/", "path")
        edge = 0
        for _ in range(depth):
            start = edge + 1
            edge = path.find("/", start)
            if edge < 0:
                if start < len(path):
                    self._add(hits, bare + path, "path")
                break
            self._add(hits, bare + path[:edge], "path")
        if url.query is not None:
            self._add(hits, f"{bare}{path}?{url.query}", "url")

    def _add_hashes(self, hits: list[ListHit], url: CanonicalUrl) -> None:
        """Add entries that a publisher gave as SHA-256 of Safe Browsing expressions; the first 64 bits are compared."""
        for expression in expressions(url):
            key = int.from_bytes(hashlib.sha256(expression.encode()).digest()[:8])
            for label in self._labels(key):
                if label.kind == "hash":
                    kind: Kind = "url" if not expression.endswith("/") else "domain" if expression.count("/") == 1 else "path"
                    hits.append(ListHit(label.list, label.category, kind, expression))

    def _add(self, hits: list[ListHit], entry: str, kind: Kind) -> None:
        hits += [ListHit(label.list, label.category, kind, entry) for label in self._labels(hash64(entry)) if label.kind == kind]

    def _labels(self, key: int) -> tuple[Label, ...]:
        keys = self._keys
        slot = (key >> 32) * self.homes >> 32
        while keys[slot] < key:
            slot += 1
        return self._combinations[self._values[slot] & COMBINATION_MASK] if keys[slot] == key else ()


def _said(labels: tuple[Label, ...], kinds: tuple[str, ...]) -> tuple[tuple[str, str, str], ...]:
    return tuple((label.list, label.category, label.kind) for label in labels if label.kind in kinds)
