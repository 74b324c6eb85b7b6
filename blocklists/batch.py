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
from blocklists.layout import COMBINATION_MASK, DEPTH_SHIFT, Label, hash_bytes
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
        data, starts, stops = urls.data, urls.offsets[:-1], urls.offsets[1:]
        used = data[: int(urls.offsets[-1])]
        slashes = np.append(np.flatnonzero(used == _SLASH), len(used))
        ends = np.minimum(slashes[np.searchsorted(slashes, starts)], stops)
        dots = np.append(np.flatnonzero(used == _DOT), len(used))
        first = np.searchsorted(dots, starts)
        labels = np.searchsorted(dots, ends) - first
        """Dots of the host: as many suffixes as it has, at least one."""
        addresses = _addresses(data, starts, ends, dots, first, labels)
        labels[addresses] = 0
        special = [addresses] if self._networks else []
        bare = _bare_levels(data, starts, dots, first, labels)
        hits: list[BatchHits] = []
        depths = np.zeros(len(starts), np.int64)
        bares = np.where(bare == 1, dots[np.minimum(first, len(dots) - 1)] + 1, starts)
        rows = np.arange(len(starts))
        level = 0
        while len(rows):
            begins = dots[first[rows] + level - 1] + 1 if level else starts[rows]
            keys = span_keys(data, begins, ends[rows] - begins)
            values = self._probe(keys)
            if len(self._exceptions):
                special.append(rows[np.isin(keys, self._exceptions)])
            listed = np.flatnonzero(values)
            if len(listed):
                spoken = values[listed].astype(np.int64)
                hits.append(self._tables["below" if level else "exact"].pairs(rows[listed], spoken & COMBINATION_MASK))
                marked = rows[listed]
                own = bare[marked] == level
                depths[marked[own]] = spoken[own] >> DEPTH_SHIFT
            level += 1
            rows = rows[labels[rows] > level]
        rows = np.flatnonzero(depths)
        if len(rows):
            hits += self._paths(urls, rows, bares[rows], ends[rows], depths[rows] - 1, slashes)
        apart = np.unique(np.concatenate(special)) if special else np.zeros(0, np.int64)
        if len(apart):
            # Networks and exceptions are rare; what they touch is asked one by one.
            hits = [BatchHits(hit.rows[kept], hit.labels[kept]) for hit in hits for kept in [~np.isin(hit.rows, apart)]]
            hits += self._each(urls, apart.tolist())
        return hits

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
    # Both letters that such names may begin with, before anything dearer.
    rows = np.flatnonzero(((data[starts] == ord("w")) | (data[starts] == ord("f"))) & (labels >= 2))
    if len(rows):
        spans = zip(starts[rows].tolist(), dots[first[rows]].tolist(), strict=True)
        known: dict[bytes, bool] = {}
        for row, (begin, end) in zip(rows.tolist(), spans, strict=True):
            name = data[begin:end].tobytes() if end - begin <= 32 else b"w-"
            if name not in known:
                known[name] = bare_host(f"{name.decode()}.a.b") == "a.b"
            result[row] = known[name]
    return result
