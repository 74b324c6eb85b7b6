"""How should millions of list entries be kept? Compares layouts by size, time to build and to open, and look-ups.

    uv run python benchmarks/lists.py [--entries 1000000] [--json]

Every layout answers the same question: which of a host's parents is listed? Half of the hosts asked are listed, all have
five labels. `marisa-trie` takes part when it is installed.

Why the mapped table (open addressing, in order of the keys) was chosen: it is shared by all workers through the page
cache, opens without reading, keeps category and list with every key, and needs about two steps a look-up where bisection
needs twenty. A Python set answers faster, but each worker holds a copy of its own at about 100 bytes an entry. A trie
keeps the text and is smaller; building it takes several times as long and as much memory, and a hit needs a second table
for list, category and kind.
"""

import argparse
import bisect
import importlib
import json
import os
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from blocklists.compiler import Compiler
from blocklists.host import HostFacts
from blocklists.index import ListIndex
from blocklists.layout import Label, hash_bytes
from blocklists.url import canonicalise

ASKED = 100_000


def names(count: int) -> list[str]:
    """Made-up hosts of the shape of real ones."""
    chance = random.Random(1)
    return [f"{chance.getrandbits(36):x}.site{number % 5000}.example" for number in range(count)]


def asked_hosts(hosts: list[str]) -> list[str]:
    chance = random.Random(2)
    listed = chance.sample(hosts, ASKED // 2)
    return [f"a.b.{host}" for host in listed] + [f"a.b.{chance.getrandbits(36):x}.other.example" for _ in range(ASKED // 2)]


def suffixes(host: str) -> tuple[str, ...]:
    return HostFacts(host).suffixes


def measure(look_up: Callable[[tuple[str, ...]], object], questions: Iterable[tuple[str, ...]]) -> tuple[float, float]:
    """Return the median in microseconds and look-ups per second."""
    times: list[int] = []
    clock = time.perf_counter_ns
    for question in questions:
        start = clock()
        look_up(question)
        times.append(clock() - start)
    times.sort()
    return times[len(times) // 2] / 1000, len(times) / (sum(times) / 1e9)


def table(hosts: list[str], folder: Path) -> dict[str, Any]:
    """Ours: the mapped file, the whole of `ListIndex.lookup`, with a path and with no host asked twice."""
    start = time.perf_counter()
    compiler = Compiler()
    compiler.add(Label("bench", "games", "domain"), (host.encode() for host in hosts))
    path = folder / "lists.idx"
    compiler.write(path)
    built = time.perf_counter() - start
    start = time.perf_counter()
    index = ListIndex.open(path, verify=False)
    opened = time.perf_counter() - start
    start = time.perf_counter()
    index.verify()
    verified = time.perf_counter() - start
    urls = [canonicalise(f"https://{host}/some/page.html?x=1") for host in asked_hosts(hosts)]
    median, rate = measure(index.lookup, urls)  # type: ignore[arg-type]
    row = {"layout": "mapped table (ours)", "bytes an entry": path.stat().st_size / len(hosts), "build s": built, "open ms": opened * 1000}
    row |= {"verify ms": verified * 1000, "median us": median, "look-ups/s": rate, "shared": True, "category": True}
    again, rate_again = measure(index.lookup, urls[:2000] * 10)  # type: ignore[arg-type]
    return row | {"median us, same hosts again": again, "look-ups/s, same hosts again": rate_again}


def bisected(hosts: list[str], folder: Path) -> dict[str, Any]:
    """Sorted 64-bit hashes in a mapped file, found by bisection; no category."""
    start = time.perf_counter()
    keys = np.unique(np.fromiter((hash_bytes(host.encode()) for host in hosts), np.uint64))
    path = folder / "sorted"
    keys.tofile(path)
    built = time.perf_counter() - start
    start = time.perf_counter()
    view = np.memmap(path, np.uint64, "r").data
    opened = time.perf_counter() - start

    def look_up(question: tuple[str, ...]) -> bool:
        for name in question:
            key = hash_bytes(name.encode())
            place = bisect.bisect_left(view, key)
            if place < len(view) and view[place] == key:
                return True
        return False

    median, rate = measure(look_up, map(suffixes, asked_hosts(hosts)))
    row = {
        "layout": "sorted hashes, bisect",
        "bytes an entry": path.stat().st_size / len(hosts),
        "build s": built,
        "open ms": opened * 1000,
    }
    return row | {"median us": median, "look-ups/s": rate, "shared": True, "category": False}


def python_set(hosts: list[str], folder: Path) -> dict[str, Any]:  # noqa: ARG001
    """A frozenset of strings in each process; no category."""
    start = time.perf_counter()
    kept = frozenset(hosts)
    built = time.perf_counter() - start
    size = sys.getsizeof(kept) + sum(map(sys.getsizeof, hosts))
    median, rate = measure(lambda question: any(name in kept for name in question), map(suffixes, asked_hosts(hosts)))
    row = {"layout": "Python set of strings", "bytes an entry": size / len(hosts), "build s": built, "open ms": built * 1000}
    return row | {"median us": median, "look-ups/s": rate, "shared": False, "category": False}


def trie(hosts: list[str], folder: Path) -> dict[str, Any] | None:
    """marisa-trie over the strings, mapped; no category."""
    try:
        marisa = importlib.import_module("marisa_trie")
    except ImportError:
        return None
    start = time.perf_counter()
    path = str(folder / "trie")
    marisa.Trie(hosts).save(path)
    built = time.perf_counter() - start
    start = time.perf_counter()
    mapped = marisa.Trie().mmap(path)
    opened = time.perf_counter() - start
    median, rate = measure(lambda question: any(name in mapped for name in question), map(suffixes, asked_hosts(hosts)))
    row = {"layout": "marisa-trie", "bytes an entry": os.stat(path).st_size / len(hosts), "build s": built, "open ms": opened * 1000}  # noqa: PTH116
    return row | {"median us": median, "look-ups/s": rate, "shared": True, "category": False}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--json", action="store_true", help="print JSON only")
    arguments = parser.parse_args()
    hosts = names(arguments.entries)
    with tempfile.TemporaryDirectory() as folder:
        rows = [row for layout in (table, bisected, python_set, trie) if (row := layout(hosts, Path(folder))) is not None]
    result = {"entries": len(hosts), "asked": ASKED, "peak MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "layouts": rows}
    if not arguments.json:
        print(f"{'layout':24}{'B/entry':>9}{'build s':>9}{'open ms':>9}{'median us':>11}{'look-ups/s':>12}  shared  category")
        for row in rows:
            figures = (
                f"{row['bytes an entry']:9.1f}{row['build s']:9.2f}{row['open ms']:9.2f}{row['median us']:11.2f}{row['look-ups/s']:12,.0f}"
            )
            print(f"{row['layout']:24}{figures}  {row['shared']!s:6}  {row['category']}")
    print(json.dumps(result, indent=None if arguments.json else 2))


if __name__ == "__main__":
    main()
