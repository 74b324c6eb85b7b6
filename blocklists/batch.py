"""Many look-ups at once, for previews and replays: what do the lists say of last week's ten million requests?

The answers are those of `ListIndex.lookup`; the work is done in numpy over one buffer of canonical texts. What it does
not do is canonicalise: events hold canonical hosts and paths already, and `UrlBatch.of` takes them as they are.
"""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from blocklists.host import bare_host
from blocklists.index import ListIndex
from blocklists.layout import BELOW, COMBINATION_MASK, DEPTH_SHIFT, Label, hash_bytes
from blocklists.spans import Bytes, Keys, Places, padded, span_keys
from blocklists.url import canonicalise

ROWS_AT_ONCE = 1 << 17
"""Rows of one pass: about 60 MB of arrays."""
_DOT, _SLASH, _QUESTION, _BRACKET = b"./?["
_IPV4 = re.compile(rb"[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+")

type Numbers = NDArray[np.int32]


class UrlBatch(NamedTuple):
    """Canonical addresses without scheme and port, "host/path?query", one behind the other in a buffer."""

    data: Bytes
    """From `padded`."""
    offsets: Places
    """Where each text begins, and where the last one ends: one more than there are texts."""

    @classmethod
    def of(cls, texts: Iterable[str]) -> Self:
        """Join canonical texts such as `url.host + url.path_and_query`; each holds a "/" after its host."""
        encoded = [text.encode() for text in texts]
        lengths = np.fromiter(map(len, encoded), np.int64, len(encoded))
        return cls(padded(b"".join(encoded)), np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths))))

    def __getitem__(self, row: int) -> str:  # type: ignore[override]
        return bytes(self.data[self.offsets[row] : self.offsets[row + 1]]).decode()


class BatchHits(NamedTuple):
    """Which label speaks of which row, one pair a place; in no order, and a pair may occur twice."""

    rows: Places
    labels: Numbers
    """Numbers of `ListIndex.meta.labels`."""

    def any(self, count: int) -> NDArray[np.bool_]:
        """Return for each of `count` rows whether a list speaks of it."""
        result = np.zeros(count, bool)
        result[self.rows] = True
        return result


class _Table:
    """The labels of each combination that have one of some kinds, flat."""

    def __init__(self, labels: Sequence[Label], combinations: Sequence[Sequence[int]], kinds: tuple[str, ...]) -> None:
        kept = [[number for number in numbers if labels[number].kind in kinds] for numbers in combinations]
        self.counts = np.fromiter(map(len, kept), np.int64, len(kept))
        self.starts = np.cumsum(self.counts) - self.counts
        self.flat = np.fromiter((number for numbers in kept for number in numbers), np.int32)

    def pairs(self, rows: Places, combinations: Places) -> BatchHits:
        counts = self.counts[combinations]
        repeated = np.repeat(rows, counts)
        within = np.arange(len(repeated)) - np.repeat(np.cumsum(counts) - counts, counts)
        return BatchHits(repeated, self.flat[np.repeat(self.starts[combinations], counts) + within])


class BatchLookup:
    """Look-ups of many addresses in one open index, which must stay open."""

    def __init__(self, index: ListIndex) -> None:
        self._index = index
        self._keys: Keys = np.frombuffer(index.key_view, np.uint64)
        self._values = np.frombuffer(index.value_view, np.uint32)
        self._homes = np.uint64(index.homes)
        labels, combinations = index.meta.labels, index.meta.combinations
        tables = {"exact": ("host", "domain"), "below": ("domain",), "path": ("path",), "url": ("url",)}
        self._tables = {name: _Table(labels, combinations, kinds) for name, kinds in tables.items()}
        self._numbers = {label: number for number, label in enumerate(labels)}
        self._one_by_one = index.needs_text
        exceptions = {entry.encode() for _, _, entry in index.meta.exceptions}
        self._exceptions = np.unique(np.fromiter(map(hash_bytes, exceptions), np.uint64, len(exceptions)))
        self._networks = bool(index.meta.prefixes)
        self._marked = index.meta.marked

    def find(self, urls: UrlBatch) -> BatchHits:
        """Return what the lists say of each address. Two million addresses a second and core; with hash lists far fewer."""
        found: list[BatchHits] = []
        for begin in range(0, len(urls.offsets) - 1, ROWS_AT_ONCE):
            part = urls.offsets[begin : begin + ROWS_AT_ONCE + 1]
            base = int(part[0])
            rows = UrlBatch(urls.data[base : int(part[-1]) + 16], part - base)
            hits = self._each(rows, range(len(part) - 1)) if self._one_by_one else self._part(rows)
            found += [BatchHits(hit.rows + begin, hit.labels) for hit in hits if len(hit.rows)]
        if not found:
            return BatchHits(np.zeros(0, np.int64), np.zeros(0, np.int32))
        return BatchHits(np.concatenate([hit.rows for hit in found]), np.concatenate([hit.labels for hit in found]))

    def _part(self, urls: UrlBatch) -> list[BatchHits]:
        data, hosts = urls.data, _hosts(urls)
        special = [hosts.addresses] if self._networks else []
        hits: list[BatchHits] = []
        depths = np.zeros(len(hosts.ends), np.int64)
        rows = np.arange(len(hosts.ends))
        # From the shortest parent to the host itself, and no further than where something is listed below.
        levels = np.maximum(hosts.labels - 1, 0)
        while len(rows):
            begins = hosts.begins(rows, levels)
            keys = span_keys(data, begins, hosts.ends[rows] - begins)
            values = self._probe(keys)
            if len(self._exceptions):
                special.append(rows[np.isin(keys, self._exceptions)])
            self._spoken(hits, rows, levels, values)
            deep = np.flatnonzero(values >> DEPTH_SHIFT)
            deep = deep[hosts.bare[rows[deep]] == levels[deep]]
            depths[rows[deep]] = values[deep] >> DEPTH_SHIFT
            on = np.flatnonzero((levels > 0) & ((values & np.uint32(BELOW)) != 0) if self._marked else levels > 0)
            rows, levels = rows[on], levels[on] - 1
        rows = np.flatnonzero(depths)
        if len(rows):
            hits += self._paths(urls, rows, hosts.begins(rows, hosts.bare[rows]), hosts.ends[rows], depths[rows] - 1, hosts.slashes)
        apart = np.unique(np.concatenate(special)) if special else np.zeros(0, np.int64)
        if len(apart):
            # Networks and exceptions are rare; what they touch is asked one by one.
            hits = [BatchHits(hit.rows[kept], hit.labels[kept]) for hit in hits for kept in [~np.isin(hit.rows, apart)]]
            hits += self._each(urls, apart.tolist())
        return hits

    def _spoken(self, hits: list[BatchHits], rows: Places, levels: Places, values: NDArray[np.uint32]) -> None:
        """Add what is said of each row's suffix at its level; 0 is the host itself."""
        combinations = (values & np.uint32(COMBINATION_MASK)).astype(np.int64)
        for table, wanted in (("exact", levels == 0), ("below", levels > 0)):
            listed = np.flatnonzero((combinations > 0) & wanted)
            if len(listed):
                hits.append(self._tables[table].pairs(rows[listed], combinations[listed]))

    def _paths(
        self, urls: UrlBatch, rows: Places, bares: Places, ends: Places, depths: Places, slashes: Places
    ) -> list[BatchHits]:  # fmt: skip
        """Look up path prefixes at "/" edges and whole addresses, of rows whose host has such entries."""
        data, stops = urls.data, urls.offsets[rows + 1]
        questions = np.append(np.flatnonzero(data[: int(urls.offsets[-1])] == _QUESTION), len(data))
        queries = np.minimum(questions[np.searchsorted(questions, ends)], stops)
        hits = [self._pairs("path", data, rows, bares, ends + 1)]
        asking = np.flatnonzero(queries < stops)
        hits.append(self._pairs("url", data, rows[asking], bares[asking], stops[asking]))
        first = np.searchsorted(slashes, ends)
        active = np.arange(len(rows))
        for level in range(1, int(depths.max()) + 1):
            active = active[depths[active] >= level]
            edges = np.minimum(slashes[np.minimum(first[active] + level, len(slashes) - 1)], queries[active])
            begun = edges > slashes[first[active] + level - 1] + 1
            active, edges = active[begun], edges[begun]
            hits.append(self._pairs("path", data, rows[active], bares[active], edges))
            active = active[edges < queries[active]]
        return hits

    def _pairs(self, table: str, data: Bytes, rows: Places, begins: Places, ends: Places) -> BatchHits:
        values = self._probe(span_keys(data, begins, ends - begins))
        listed = np.flatnonzero(values & np.uint32(COMBINATION_MASK))
        return self._tables[table].pairs(rows[listed], values[listed].astype(np.int64) & COMBINATION_MASK)

    def _probe(self, keys: Keys) -> NDArray[np.uint32]:
        """Return the value of each key, 0 for an absent one."""
        slots = (((keys >> np.uint64(32)) * self._homes) >> np.uint64(32)).astype(np.int64)
        found = self._keys[slots]
        behind = np.flatnonzero(found < keys)
        while len(behind):
            slots[behind] += 1
            found[behind] = nearer = self._keys[slots[behind]]
            behind = behind[nearer < keys[behind]]
        values = np.zeros(len(keys), np.uint32)
        hits = np.flatnonzero(found == keys)
        values[hits] = self._values[slots[hits]]
        return values

    def _each(self, urls: UrlBatch, wanted: Iterable[int]) -> list[BatchHits]:
        """Ask one by one: digests of publishers need every expression of an address."""
        rows: list[int] = []
        numbers: list[int] = []
        for row in wanted:
            for number in self._index.label_numbers(canonicalise(f"http://{urls[row]}")):
                rows.append(row)
                numbers.append(number)
        return [BatchHits(np.array(rows, np.int64), np.array(numbers, np.int32))]


class _Hosts(NamedTuple):
    """Where the hosts of a batch begin and end, and their dots."""

    starts: Places
    ends: Places
    edges: Places
    """Places of all dots and slashes, and the end of the texts."""
    first: Places
    """The first edge of each host; its dots follow each other from there."""
    labels: Places
    """Dots of each host, 0 for addresses: as many suffixes as it has, at least one."""
    bare: Places
    """1 for hosts that begin with `www.`, `webN.` or `ftp.`, otherwise 0: the level whose path entries count."""
    addresses: Places
    """Rows whose host is an address."""
    slashes: Places
    """Places of all slashes, and the end of the texts."""

    def begins(self, rows: Places, levels: Places) -> Places:
        """Return where the suffixes of some rows begin, so many labels from the left."""
        return np.where(levels > 0, self.edges[np.maximum(self.first[rows] + levels - 1, 0)] + 1, self.starts[rows])


def _hosts(urls: UrlBatch) -> _Hosts:
    data, starts, stops = urls.data, urls.offsets[:-1], urls.offsets[1:]
    used = data[: int(urls.offsets[-1])]
    edges = np.append(np.flatnonzero((used == _DOT) | (used == _SLASH)), len(used))
    folder = np.append(used[edges[:-1]] == _SLASH, True)
    first = np.searchsorted(edges, starts)
    # The next slash of each edge, found from behind: what lies between a host's start and its slash are dots.
    slash = np.minimum.accumulate(np.where(folder, np.arange(len(edges)), len(edges) - 1)[::-1])[::-1][first]
    ends, labels = edges[slash], slash - first
    unended = np.flatnonzero(ends > stops)
    ends[unended] = stops[unended]
    labels[unended] = np.searchsorted(edges, stops[unended]) - first[unended]
    addresses = _addresses(data, starts, ends, edges, first, labels)
    labels[addresses] = 0
    bare = _bare_levels(data, starts, edges, first, labels)
    return _Hosts(starts, ends, edges, first, labels, bare, addresses, edges[folder])


def _addresses(data: Bytes, starts: Places, ends: Places, dots: Places, first: Places, labels: Places) -> Places:
    """Return the rows whose host is an IPv4 or IPv6 address: those have no parents."""
    last = np.where(labels > 0, dots[np.maximum(first + labels - 1, 0)] + 1, starts)
    digit = (data[last] - ord("0") < 10) & (labels == 3)
    rows = np.flatnonzero(digit)
    if len(rows):
        spans = zip(starts[rows].tolist(), ends[rows].tolist(), strict=True)
        rows = rows[[_IPV4.fullmatch(data[begin:end].tobytes()) is not None for begin, end in spans]]
    return np.concatenate((rows, np.flatnonzero(data[starts] == _BRACKET)))


def _bare_levels(data: Bytes, starts: Places, dots: Places, first: Places, labels: Places) -> Places:
    """Return 1 for rows whose host begins with `www.`, `webN.` or `ftp.` and two labels more, otherwise 0."""
    result = np.zeros(len(starts), np.int64)
    # Both letters that such names may begin with, then the usual name, before anything dearer.
    rows = np.flatnonzero(((data[starts] == ord("w")) | (data[starts] == ord("f"))) & (labels >= 2))
    usual = (data[starts[rows, None] + np.arange(4)] == np.frombuffer(b"www.", np.uint8)).all(axis=1)
    result[rows[usual]] = 1
    rows = rows[~usual]
    if len(rows):
        spans = zip(starts[rows].tolist(), dots[first[rows]].tolist(), strict=True)
        known: dict[bytes, bool] = {}
        for row, (begin, end) in zip(rows.tolist(), spans, strict=True):
            name = data[begin:end].tobytes() if end - begin <= 32 else b"w-"
            if name not in known:
                known[name] = bare_host(f"{name.decode()}.a.b") == "a.b"
            result[row] = known[name]
    return result
