"""The compiled lists, mapped: a request's host and path go in, the entries that speak of it come out.

The file is shared by all workers through the page cache. Keys are 64-bit hashes: with 5 million entries one URL in
10^11 meets a wrong entry, and whoever crafts a collision only blocks an address of his own. Allow lists are never
hashed (`blocklists.allow`).
"""

import hashlib
import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple, Self

import msgspec
import xxhash

from blocklists.compiler import Compiler
from blocklists.errors import IndexDamagedError
from blocklists.host import HostFacts, networks_of
from blocklists.layout import COMBINATION_MASK, DEPTH_SHIFT, HEADER, MAGIC, VERSION, Label, Meta, body_offset, hash64
from blocklists.url import CanonicalUrl, expressions

_REMEMBERED_HOSTS = 8_192
"""A school asks for the same few thousand hosts all day."""

Kind = Literal["host", "domain", "path", "url", "network"]


class ListHit(NamedTuple):
    """One entry that speaks of a URL."""

    list: str
    category: str
    kind: Kind
    """`host`: this host alone; `domain`: with sub-domains; `path`: this path and below; `url`: this address alone;
    `network`: an address in it."""
    entry: str


_new_hit = tuple.__new__
"""Half the time of `ListHit(…)`: this is made on the way of every request to a new host."""


class ListIndex:
    """An open compiled file; look-ups are safe from several threads."""

    def __init__(self, buffer: mmap.mmap | bytes, name: str) -> None:
        self._buffer = buffer
        self._name = name
        try:
            magic, version, meta_bytes, homes, slots, self.count, self._body_hash, header_hash = HEADER.unpack_from(buffer)
            if magic != MAGIC or version != VERSION:
                raise IndexDamagedError(f"{name} is not a compiled list of this version; compile the lists again.")
            meta_text = bytes(buffer[HEADER.size : HEADER.size + meta_bytes])
            fixed = bytes(buffer[: HEADER.size - 8])
            if xxhash.xxh3_64_intdigest(fixed + meta_text) != header_hash:
                raise IndexDamagedError(f"{name} is damaged: its header does not match its checksum; compile the lists again.")
            self.meta = msgspec.json.decode(meta_text, type=Meta)
        except (ValueError, msgspec.MsgspecError, BufferError) as error:
            raise IndexDamagedError(f"{name} is damaged: its header can't be read; compile the lists again.") from error
        except Exception as error:
            if isinstance(error, IndexDamagedError):
                raise
            raise IndexDamagedError(f"{name} is too short for a compiled list; compile the lists again.") from error
        self._body = body_offset(meta_bytes)
        if len(buffer) != self._body + slots * 12:
            raise IndexDamagedError(f"{name} is cut short or too long; compile the lists again.")
        view = memoryview(buffer)
        self._views = [view]
        self._keys = view[self._body : self._body + slots * 8].cast("Q")
        self._values = view[self._body + slots * 8 :].cast("I")
        self._views += [self._keys, self._values]
        self.homes = homes
        labels = self.meta.labels
        self._combinations = tuple(tuple(labels[number] for number in numbers) for numbers in self.meta.combinations)
        self._seen: dict[str, tuple[list[ListHit], int]] = {}
        self._hashes = any(label.kind == "hash" for label in labels)
        self._exceptions: dict[str, list[tuple[str, str]]] = {}
        for list_, kind, entry in self.meta.exceptions:
            self._exceptions.setdefault(entry, []).append((list_, kind))

    @classmethod
    def open(cls, path: Path, *, verify: bool = True) -> Self:
        """Map a compiled file. Raises `IndexDamagedError` for any file that `compile` did not write as it is.

        With `verify` false the body's checksum is left to a later `verify()`: the header and the size are always checked.
        """
        try:
            with path.open("rb") as file:
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise IndexDamagedError(f"{path} can't be opened ({error}); compile the lists again.") from error
        index = cls(mapped, str(path))
        if verify:
            index.verify()
        return index

    @classmethod
    def empty(cls) -> Self:
        """Return an index without entries."""
        return cls(Compiler().to_bytes(), "the empty list")

    def verify(self) -> None:
        """Compare the body with its checksum; raises `IndexDamagedError`. About 0.1 s for 160 MB."""
        digest = xxhash.xxh3_128()
        for chunk in self._body_chunks():
            digest.update(chunk)
        if digest.digest() != self._body_hash:
            raise IndexDamagedError(f"{self._name} is damaged: its entries do not match their checksum; compile the lists again.")

    def lookup(self, url: CanonicalUrl) -> list[ListHit]:
        """Return every entry that speaks of the URL: its host, parents of it, path prefixes at "/" edges, the exact address."""
        facts = url._facts  # noqa: SLF001 - a property call less on every request
        known = self._seen.get(facts.host)
        if known is None:
            known = self._host_answer(facts)
        host_hits, depth = known
        hits = host_hits.copy()
        if depth >= 0:
            self._add_paths(hits, url, facts.bare, depth)
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
        found = {(hit.list, hit.category, kind) for hit in self.lookup(url) for kind in (hit.kind, "hash")}
        return {number for number, label in enumerate(self.meta.labels) if (label.list, label.category, label.kind) in found}

    def close(self) -> None:
        """Unmap the file; look-ups fail afterwards."""
        for view in reversed(self._views):
            view.release()
        if isinstance(self._buffer, mmap.mmap):
            self._buffer.close()

    def _host_answer(self, facts: HostFacts) -> tuple[list[ListHit], int]:
        """Return the hits of a host and its parents, and how deep its path entries reach (-1: it has none)."""
        hits: list[ListHit] = []
        depth = -1
        keys, homes, host, bare = self._keys, self.homes, facts.host, facts.bare
        for key in facts.keys:
            slot = (key >> 32) * homes >> 32
            found = keys[slot]
            while found < key:
                slot += 1
                found = keys[slot]
            if found != key:
                continue
            value = self._values[slot]
            name = facts.suffixes[facts.keys.index(key)]
            for label in self._combinations[value & COMBINATION_MASK]:
                if label.kind == "domain" or (name is host and label.kind == "host"):
                    hits.append(_new_hit(ListHit, (label.list, label.category, label.kind, name)))  # noqa: PERF401 - filters
            if name == bare:
                depth = (value >> DEPTH_SHIFT) - 1
        if facts.is_address and self.meta.prefixes:
            for network in networks_of(host, self.meta.prefixes):
                self._add(hits, network, "network")
        if hits and self._exceptions:
            hits = self._without_exceptions(hits, facts)
        if len(self._seen) >= _REMEMBERED_HOSTS:
            self._seen.clear()
        self._seen[host] = hits, depth
        return hits, depth

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

    def _body_chunks(self) -> Iterator[bytes]:
        # Read, not mapped: pages touched through the map would count as this worker's memory.
        if isinstance(self._buffer, bytes):
            yield self._buffer[self._body :]
            return
        try:
            with Path(self._name).open("rb") as file:
                file.seek(self._body)
                while chunk := file.read(1 << 20):
                    yield chunk
        except OSError as error:
            raise IndexDamagedError(f"{self._name} can't be read ({error}); compile the lists again.") from error
