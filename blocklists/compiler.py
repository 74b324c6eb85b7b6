"""The compiler: entries of many lists to one file that workers map (`blocklists.layout`)."""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import xxhash
from numpy.typing import NDArray

from blocklists.errors import ListError
from blocklists.layout import BELOW, COMBINATION_MASK, DEPTH_SHIFT, FREE, MAX_DEPTH, Label, Meta, front, hash_bytes
from blocklists.spans import distinct, host_keys

LOAD = 0.76
"""Share of home slots that entries use: 12 bytes / 0.76 = 15.8 bytes an entry."""
MOST_LOAD = 0.9
"""Share that marks of parents may fill it to; beyond, every look-up would step over too many neighbours."""
SMALL = 1_000_000
"""A table of as many keys is made larger rather than left without marks: 16 MB are no burden."""
MAX_EXCEPTIONS = 200_000

type Keys = NDArray[np.uint64]


class Compiler:
    """Collects hashed entries, then lays them out; about 60 bytes of memory an entry while it does."""

    def __init__(self) -> None:
        self._labels: dict[Label, int] = {}
        self._keys: list[Keys] = []
        self._label_runs: list[tuple[int, int]] = []
        self._depths: dict[int, int] = {}
        self._parents: list[Keys] = []
        self._prefixes: set[int] = set()
        self._exceptions: dict[tuple[str, str, str], None] = {}

    def add(self, label: Label, entries: Iterable[bytes]) -> None:
        """Add canonical entries of one label in ASCII: hosts, "host/path" without a final "/", "host/", or "host/path?query"."""
        self.add_lines(label, _lines(entries))

    def add_lines(self, label: Label, data: bytes) -> None:
        """Add canonical entries as `add` does, each a line that ends with a newline; hosts by the million go quickly."""
        if label.kind in ("host", "domain"):
            keys, parents = host_keys(data)
            self._append(label, keys)
            self._parents.append(parents)
            return
        entries = data.split(b"\n")[:-1]
        if label.kind == "network":
            for entry in entries:
                self._prefixes.add(int(entry.rpartition(b"/")[2]) + 100 * (b":" in entry))
        elif label.kind in ("path", "url"):
            for entry in entries:
                self._mark(entry)
            self._parents.append(host_keys(_lines(dict.fromkeys(entry.partition(b"/")[0] for entry in entries)))[1])
        self._append(label, np.fromiter(map(hash_bytes, entries), np.uint64, len(entries)))

    def add_exceptions(self, name: str, kind: str, entries: Iterable[bytes]) -> None:
        """Add what a list excepts from itself; raises `ListError` for more than can be kept as texts."""
        texts = list(entries)
        for entry in texts:
            self._exceptions[name, kind, entry.decode()] = None
        if len(self._exceptions) > MAX_EXCEPTIONS:
            raise ListError(f"The lists hold more than {MAX_EXCEPTIONS:,} exceptions; the list {name} is not one that blocks.")
        if kind != "network":
            # Look-ups of many addresses at once meet exceptions by their key, so these must be reached too.
            self._parents.append(host_keys(_lines(texts))[1])

    def add_hashes(self, label: Label, digests: Iterable[bytes]) -> None:
        """Add SHA-256 digests of Safe Browsing expressions, or the first 8 bytes and more of them."""
        self._append(label, np.fromiter((int.from_bytes(digest[:8]) for digest in digests), np.uint64))

    def write(self, path: Path, sources: dict[str, str] | None = None) -> int:
        """Write the file and return its number of entries; the caller renames it into place."""
        with path.open("wb") as file:
            count, parts = self._parts(sources or {})
            for part in parts:
                file.write(part)
        return count

    def to_bytes(self) -> bytes:
        """Return the file's content."""
        return b"".join(bytes(part) for part in self._parts({})[1])

    def _append(self, label: Label, keys: Keys) -> None:
        number = self._labels.setdefault(label, len(self._labels))
        self._keys.append(keys)
        self._label_runs.append((number, len(keys)))

    def _mark(self, entry: bytes) -> None:
        """Note on the host how deep its path entries reach, so that other hosts' paths are never looked up."""
        host, _, rest = entry.partition(b"/")
        path = rest.partition(b"?")[0]
        depth = path.count(b"/") + 1 if path else 0
        if depth > MAX_DEPTH:
            raise ListError(f"An entry has more than {MAX_DEPTH} folders in its path.")
        key = hash_bytes(host)
        self._depths[key] = max(self._depths.get(key, 0), depth + 1)

    def _parts(self, sources: dict[str, str]) -> tuple[int, list[bytes | memoryview]]:
        keys, values, combinations = self._merged()
        count = len(keys)
        keys, values, marked = self._with_parents(keys, values)
        homes = max(8, int((len(keys) if len(keys) < SMALL else count) / LOAD) + 1)
        wanted = ((keys >> np.uint64(32)) * np.uint64(homes) >> np.uint64(32)).astype(np.int64)
        order = np.arange(len(keys), dtype=np.int64)
        # Each key's slot: its home, or the one behind its predecessor where that is taken.
        places = np.maximum.accumulate(wanted - order) + order
        slots = max(homes, int(places[-1]) + 1 if len(places) else 0) + 1
        slots += slots % 2
        key_table = np.full(slots, FREE, dtype="<u8")
        key_table[places] = keys
        value_table = np.zeros(slots, dtype="<u4")
        value_table[places] = values
        body = xxhash.xxh3_128(key_table.data)
        body.update(value_table.data)
        written = datetime.now(UTC).isoformat(timespec="seconds")
        meta = Meta(tuple(self._labels), combinations, sources, written, tuple(self._exceptions), tuple(sorted(self._prefixes)), marked)
        header = front(meta, homes, slots, count, body.digest())
        return count, [header, key_table.data.cast("B"), value_table.data.cast("B")]

    def _with_parents(self, keys: Keys, values: NDArray[np.uint32]) -> tuple[Keys, NDArray[np.uint32], bool]:
        """Set `BELOW` on the parents of all hosts, and add those that are no entries; as it was where that takes too much room."""
        parents = distinct(np.concatenate([np.zeros(0, np.uint64), *self._parents]))
        places = np.searchsorted(keys, parents)
        listed = np.zeros(len(parents), bool)
        inside = places < len(keys)
        listed[inside] = keys[places[inside]] == parents[inside]
        fresh = parents[~listed]
        total = len(keys) + len(fresh)
        if total >= SMALL and total > MOST_LOAD / LOAD * len(keys):
            return keys, values, False
        values[places[listed]] |= np.uint32(BELOW)
        keys = np.insert(keys, places[~listed], fresh)
        values = np.insert(values, places[~listed], np.full(len(fresh), BELOW, np.uint32))
        return keys, values, True

    def _merged(self) -> tuple[Keys, NDArray[np.uint32], tuple[tuple[int, ...], ...]]:
        """Return distinct keys in order, their values, and the combinations of labels that occur."""
        combinations: dict[tuple[int, ...], int] = {(): 0}
        for number in range(len(self._labels)):
            combinations[(number,)] = number + 1
        marks = np.fromiter(self._depths, np.uint64, len(self._depths))
        keys = np.concatenate([*self._keys, marks])
        if not len(keys):
            return keys, np.zeros(0, np.uint32), tuple(combinations)
        runs = [np.full(count, number, np.int32) for number, count in self._label_runs]
        labels = np.concatenate([*runs, np.full(len(marks), -1, np.int32)])
        order = np.argsort(keys, kind="stable")
        keys, labels = keys[order], labels[order]
        starts = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1])))
        sizes = np.diff(np.append(starts, len(keys)))
        keys = keys[starts]
        values = np.zeros(len(keys), np.uint32)
        for size in np.unique(sizes):
            rows = np.flatnonzero(sizes == size)
            groups = labels[starts[rows][:, None] + np.arange(size)]
            if size == 1:
                values[rows] = groups[:, 0] + 1
                continue
            distinct, inverse = np.unique(groups, axis=0, return_inverse=True)
            numbers = [combinations.setdefault(tuple(sorted({int(n) for n in group if n >= 0})), len(combinations)) for group in distinct]
            values[rows] = np.array(numbers, np.uint32)[inverse.reshape(-1)]
        if len(combinations) > COMBINATION_MASK:
            raise ListError("The lists overlap in more than 8 million different ways; remove some lists.")
        if len(marks):
            depths = np.fromiter(self._depths.values(), np.uint32, len(marks))
            values[np.searchsorted(keys, marks)] |= depths << np.uint32(DEPTH_SHIFT)
        return keys, values, tuple(combinations)


def _lines(entries: Iterable[bytes]) -> bytes:
    return b"".join([entry + b"\n" for entry in entries])
