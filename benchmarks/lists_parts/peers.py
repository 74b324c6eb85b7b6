"""Other layouts, squidGuard and the `adblock` package, asked the same questions."""

import bisect
import importlib
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from blocklists.host import HostFacts
from blocklists.layout import hash_bytes
from lists_parts.layouts import ASKED, Layout, asked_hosts, measure


def suffixes(hosts: list[str]) -> list[tuple[str, ...]]:
    """The hosts to ask, each with its parents."""
    return [HostFacts(host).suffixes for host in asked_hosts(hosts)]


def bisected(hosts: list[str], folder: Path) -> Layout:
    """Sorted 64-bit hashes in a mapped file, found by bisection; no category."""
    start = time.perf_counter()
    keys = np.unique(np.fromiter((hash_bytes(host.encode()) for host in hosts), np.uint64))
    path = folder / "sorted"
    keys.tofile(path)
    built = time.perf_counter() - start
    start = time.perf_counter()
    view = np.memmap(path, np.uint64, "r").data
    opened = time.perf_counter() - start
    asked = suffixes(hosts)

    def look_up(question: tuple[str, ...]) -> bool:
        for name in question:
            key = hash_bytes(name.encode())
            place = bisect.bisect_left(view, key)
            if place < len(view) and view[place] == key:
                return True
        return False

    size = path.stat().st_size / len(hosts)
    return Layout("sorted hashes, bisect", size, built, opened * 1000, True, False, lambda: measure(look_up, asked))


def python_set(hosts: list[str], folder: Path) -> Layout:  # noqa: ARG001
    """A frozenset of strings in each process; no category."""
    start = time.perf_counter()
    kept = frozenset(hosts)
    built = time.perf_counter() - start
    size = (sys.getsizeof(kept) + sum(map(sys.getsizeof, hosts))) / len(hosts)
    asked = suffixes(hosts)
    ask = lambda: measure(lambda question: any(name in kept for name in question), asked)  # noqa: E731
    return Layout("Python set of strings", size, built, built * 1000, False, False, ask)


def trie(hosts: list[str], folder: Path) -> Layout | None:
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
    asked = suffixes(hosts)
    ask = lambda: measure(lambda question: any(name in mapped for name in question), asked)  # noqa: E731
    return Layout("marisa-trie", os.stat(path).st_size / len(hosts), built, opened * 1000, True, False, ask)  # noqa: PTH116


def lmdb(hosts: list[str], folder: Path) -> Layout | None:
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
    asked = suffixes(hosts)

    def look_up(question: tuple[str, ...]) -> bool:
        with environment.begin() as reading:
            return any(reading.get(name.encode()) is not None for name in question)

    size = (folder / "lmdb" / "data.mdb").stat().st_size / len(hosts)
    return Layout("LMDB", size, built, opened * 1000, True, True, lambda: measure(look_up, asked))


def squidguard(hosts: list[str], folder: Path) -> Layout | None:
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
    once = "".join(f"https://{host}/some/page.html?x=1 10.0.0.1/- - GET\n" for host in asked_hosts(hosts)).encode()

    def run(times: int) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([program, "-c", configuration], input=once * times, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert done.stdout.count(b"block.test") == times * ASKED // 2
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    def ask() -> dict[str, float]:
        """The difference between a long and a short input: without the start."""
        rate = 5 * ASKED / (run(6) - run(1))
        return {"median us": 1e6 / rate, "look-ups/s": rate}

    size = (database / "domains.db").stat().st_size / len(hosts)
    return Layout("squidGuard (Debian)", size, built, run(1) * 1000, True, True, ask)


def adblock(hosts: list[str], folder: Path) -> Layout | None:  # noqa: ARG001
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
    size = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / len(hosts)
    asked = [f"https://{host}/some/page.html?x=1" for host in asked_hosts(hosts)[::5]]
    ask = lambda: measure(lambda text: engine.check_network_urls(text, text, "document"), asked)  # noqa: E731
    return Layout("adblock package (peak RSS)", size, built, built * 1000, False, False, ask)
