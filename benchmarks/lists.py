"""How should millions of list entries be kept, and how do others do? Layouts, squidGuard and the `adblock` package side by side.

    uv run --with adblock --with marisa-trie --with lmdb python benchmarks/lists.py [--entries 1000000] [--compile 5000000] [--json]

Every layout answers the same question: which of a host's parents is listed? Half of the hosts asked are listed, all have
five labels, no host is asked twice. `marisa-trie`, `lmdb`, `adblock` and Debian's `squidguard` take part when they are
installed. All times are of the processor, so that other work on the machine counts little; a median is that of the means
of 100 look-ups. A look-up of ours is `ListIndex.lookup` of a URL that has just been canonicalised, as in the gateway; squidGuard
reads its lines from a pipe and answers each (its time is the difference between a long and a short input); `adblock`
checks a whole address. "text to answer" adds the canonicalising to ours.

Why the mapped table (open addressing, in order of the keys) was chosen: it is shared by all workers through the page
cache, opens without reading, keeps category and list with every key, and needs about two steps a look-up where bisection
needs twenty. A Python set answers faster, but each worker holds a copy of its own at about 100 bytes an entry. A trie
keeps the text and is smaller; building it takes several times as long and as much memory, and a hit needs a second table
for list, category and kind. LMDB keeps text and value too, at four times the size, and a look-up opens a transaction.
"""

import argparse
import bisect
import gc
import importlib
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from blocklists.batch import BatchLookup, UrlBatch
from blocklists.compiler import Compiler
from blocklists.host import HostFacts
from blocklists.index import ListIndex
from blocklists.layout import Label, hash_bytes
from blocklists.library import Library
from blocklists.url import canonicalise

ASKED = 100_000
RUN = 100


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


def measure[Q](look_up: Callable[[Q], object], questions: Iterable[Q]) -> tuple[float, float]:
    """Return the median in microseconds and look-ups per second of processor time, over runs of 100."""
    asked = list(questions)
    times: list[int] = []
    clock = time.process_time_ns
    for begin in range(0, len(asked), RUN):
        run = asked[begin : begin + RUN]
        start = clock()
        for question in run:
            look_up(question)
        times.append((clock() - start) // len(run))
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
    texts = [f"https://{host}/some/page.html?x=1" for host in asked_hosts(hosts)]
    random.Random(3).shuffle(texts)
    reading: list[int] = []
    asking: list[int] = []
    clock = time.process_time_ns
    for begin in range(0, len(texts), RUN):
        begun = clock()
        urls = [canonicalise(text) for text in texts[begin : begin + RUN]]
        read = clock()
        for url in urls:
            index.lookup(url)
        asking.append((clock() - read) // RUN)
        reading.append((read - begun) // RUN)
    row = {"layout": "mapped table (ours)", "bytes an entry": path.stat().st_size / len(hosts), "build s": built, "open ms": opened * 1000}
    row |= {"verify ms": verified * 1000, "shared": True, "category": True}
    row |= {"median us": sorted(asking)[len(asking) // 2] / 1000, "look-ups/s": len(asking) / (sum(asking) / 1e9)}
    row |= {"text to answer/s": len(asking) / ((sum(asking) + sum(reading)) / 1e9)}
    again = [canonicalise(text) for text in texts[:2000]] * 10
    row["median us, same hosts again"], row["look-ups/s, same hosts again"] = measure(index.lookup, again)
    batch = UrlBatch.of([text.removeprefix("https://") for text in texts] * 10)
    lookup = BatchLookup(index)
    best = 0.0
    for _ in range(3):
        start = time.process_time()
        found = lookup.find(batch)
        best = max(best, len(texts) * 10 / (time.process_time() - start))
        assert int(found.any(len(texts) * 10).sum()) == len(texts) * 5
    return row | {"batch URLs/s": best}


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


def lmdb(hosts: list[str], folder: Path) -> dict[str, Any] | None:
    """LMDB with the host as key and a label as value, mapped."""
    try:
        lib = importlib.import_module("lmdb")
    except ImportError:
        return None
    start = time.perf_counter()
    path = str(folder / "lmdb")
    with lib.open(path, map_size=1 << 32, sync=False) as environment, environment.begin(write=True) as writing:
        for host in sorted(hosts):
            writing.put(host.encode(), b"\0\0\0\1", append=True)
    built = time.perf_counter() - start
    start = time.perf_counter()
    environment = lib.open(path, readonly=True, lock=False)
    opened = time.perf_counter() - start

    def look_up(question: tuple[str, ...]) -> bool:
        with environment.begin() as reading:
            return any(reading.get(name.encode()) is not None for name in question)

    median, rate = measure(look_up, map(suffixes, asked_hosts(hosts)))
    size = (folder / "lmdb" / "data.mdb").stat().st_size
    row = {"layout": "LMDB", "bytes an entry": size / len(hosts), "build s": built, "open ms": opened * 1000}
    return row | {"median us": median, "look-ups/s": rate, "shared": True, "category": True}


def squidguard(hosts: list[str], folder: Path) -> dict[str, Any] | None:
    """squidGuard with a compiled Berkeley DB, as Squid asks it: a line in, a line out."""
    program = shutil.which("squidGuard") or shutil.which("squidGuard", path="/usr/sbin:/usr/bin")
    if program is None:
        return None
    database = folder / "db" / "bench"
    database.mkdir(parents=True)
    (database / "domains").write_text("\n".join(hosts) + "\n")
    configuration = folder / "squidguard.conf"
    configuration.write_text(
        f"dbhome {folder}/db\nlogdir {folder}\ndest bench {{\n domainlist bench/domains\n}}\n"
        "acl {\n default {\n pass !bench all\n redirect http://block.test/\n }\n}\n"
    )
    start = time.perf_counter()
    subprocess.run([program, "-c", configuration, "-C", "all"], check=True, capture_output=True)
    built = time.perf_counter() - start
    asked = asked_hosts(hosts)
    random.Random(3).shuffle(asked)
    once = "".join(f"https://{host}/some/page.html?x=1 10.0.0.1/- - GET\n" for host in asked).encode()
    seconds = []
    for times in (1, 6):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([program, "-c", configuration], input=once * times, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        assert done.stdout.count(b"block.test") == times * ASKED // 2
    rate = 5 * len(asked) / (seconds[1] - seconds[0])
    size = (database / "domains.db").stat().st_size
    row = {"layout": "squidGuard (Debian)", "bytes an entry": size / len(hosts), "build s": built, "open ms": seconds[0] * 1000}
    return row | {"median us": 1e6 / rate, "look-ups/s": rate, "shared": True, "category": True}


def adblock(hosts: list[str], folder: Path) -> dict[str, Any] | None:  # noqa: ARG001
    """Brave's engine through the `adblock` package, a rule `||host^` each."""
    try:
        lib = importlib.import_module("adblock")
    except ImportError:
        return None
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    rules = lib.FilterSet()
    rules.add_filters([f"||{host}^" for host in hosts])
    engine = lib.Engine(rules)
    built = time.perf_counter() - start
    size = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    asked = [f"https://{host}/some/page.html?x=1" for host in asked_hosts(hosts)[::5]]
    median, rate = measure(lambda text: engine.check_network_urls(text, text, "document"), asked)
    row = {"layout": "adblock package (peak RSS)", "bytes an entry": size / len(hosts), "build s": built, "open ms": built * 1000}
    return row | {"median us": median, "look-ups/s": rate, "shared": False, "category": False}


def compiling(count: int, folder: Path) -> dict[str, Any]:
    """Parse and compile plain domains with `Library`, from a file to a verified index."""
    chance = random.Random(4)
    path = folder / "many.txt"
    with path.open("w") as file:
        for number in range(count):
            file.write(
                f"{chance.getrandbits(36):x}.site{number % 5000}.example.com\n" if number % 3 else f"{chance.getrandbits(40):x}.net\n"
            )
    library = Library(folder / "lists")
    start, cpu = time.perf_counter(), time.process_time()
    library.load("many", path, "domains", "games")
    loaded = time.perf_counter()
    library.compile()
    ended = time.perf_counter()
    return {
        "domains": count, "load s": loaded - start, "compile s": ended - loaded, "cpu s": time.process_time() - cpu,
        "bytes an entry": library.index_path.stat().st_size / count, "peak MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--compile", type=int, default=0, help="parse and compile this many domains first")
    parser.add_argument("--json", action="store_true", help="print JSON only")
    arguments = parser.parse_args()
    hosts = names(arguments.entries)
    gc.freeze()  # the million names are the benchmark's own: the collector need not walk them again and again
    gc.set_threshold(50_000, 20, 50)  # as in the gateway's workers
    result: dict[str, Any] = {"entries": len(hosts), "asked": ASKED}
    if arguments.compile:
        with tempfile.TemporaryDirectory() as folder:
            result["compiling"] = compiling(arguments.compile, Path(folder))
    layouts = (table, squidguard, adblock, bisected, python_set, trie, lmdb)
    with tempfile.TemporaryDirectory() as folder:
        rows = [row for layout in layouts if (row := layout(hosts, Path(folder))) is not None]
    result["layouts"] = rows
    if not arguments.json:
        print(f"{'layout':28}{'B/entry':>9}{'build s':>9}{'open ms':>9}{'median us':>11}{'look-ups/s':>12}  shared  category")
        for row in rows:
            figures = (
                f"{row['bytes an entry']:9.1f}{row['build s']:9.2f}{row['open ms']:9.2f}{row['median us']:11.2f}{row['look-ups/s']:12,.0f}"
            )
            print(f"{row['layout']:28}{figures}  {row['shared']!s:6}  {row['category']}")
    print(json.dumps(result, indent=None if arguments.json else 2))


if __name__ == "__main__":
    main()
