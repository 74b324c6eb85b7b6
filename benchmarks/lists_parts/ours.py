"""The mapped table: as the gateway asks it, without marks, compiled from a file, and with ten million entries."""

import json
import random
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from blocklists import compiler as compiling
from blocklists.batch import BatchLookup, UrlBatch
from blocklists.compiler import Compiler
from blocklists.index import ListIndex
from blocklists.layout import Label
from blocklists.library import Library
from blocklists.url import canonicalise
from lists_parts.layouts import ASKED, RUN, Layout, asked_hosts, figures, measure

LABEL = Label("bench", "games", "domain")
_WORKER = """
import json, random, sys
from pathlib import Path
from blocklists.index import ListIndex
from blocklists.url import canonicalise

def memory():
    lines = Path("/proc/self/status").read_text().splitlines()
    return {line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines if line.startswith(("VmRSS", "RssAnon", "RssFile"))}

chance = random.Random(5)
texts = [f"http://www.{chance.randrange(20_000_000):x}.site{number % 50_000}.example/a" for number in range(20_000)]
for text in texts:
    canonicalise(text)  # what reading addresses remembers is no part of the lists
before = memory()
index = ListIndex.open(Path(sys.argv[1]))
opened = memory()
for text in texts:
    index.lookup(canonicalise(text))
asked = memory()
print(json.dumps([before, opened, asked]), flush=True)
sys.stdin.read()
"""


def table(hosts: list[str], folder: Path) -> Layout:
    """The whole of `ListIndex.lookup`, with a path, and with no host asked twice."""
    return _table("mapped table (ours)", hosts, folder / "lists.idx")


def unmarked(hosts: list[str], folder: Path) -> Layout:
    """The same without marks of parents, as for lists whose entries have too many different parents."""
    kept = compiling.SMALL, compiling.MOST_LOAD
    compiling.SMALL, compiling.MOST_LOAD = 0, 0.0  # type: ignore[assignment, misc]
    try:
        return _table("ours without marks", hosts, folder / "unmarked.idx")
    finally:
        compiling.SMALL, compiling.MOST_LOAD = kept  # type: ignore[misc]


def _table(name: str, hosts: list[str], path: Path) -> Layout:
    start = time.perf_counter()
    compiler = Compiler()
    compiler.add(LABEL, (host.encode() for host in hosts))
    compiler.write(path)
    built = time.perf_counter() - start
    start = time.perf_counter()
    index = ListIndex.open(path, verify=False)
    opened = time.perf_counter() - start
    index.verify()
    texts = [f"https://{host}/some/page.html?x=1" for host in asked_hosts(hosts)]
    batch = UrlBatch.of([text.removeprefix("https://") for text in texts] * 10)
    again = [canonicalise(text) for text in texts[:2000]] * 10
    lookup = BatchLookup(index)

    def ask() -> dict[str, float]:
        index._seen.clear()
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
        row = figures(asking)
        row["text to answer/s"] = len(asking) / ((sum(asking) + sum(reading)) / 1e9)
        row["look-ups/s, same hosts again"] = measure(index.lookup, again)["look-ups/s"]
        start = time.process_time()
        found = lookup.find(batch)
        row["batch URLs/s"] = len(texts) * 10 / (time.process_time() - start)
        assert int(found.any(len(texts) * 10).sum()) == ASKED // 2 * 10
        return row

    return Layout(name, path.stat().st_size / len(hosts), built, opened * 1000, True, True, ask)


def compiled(count: int, folder: Path) -> dict[str, Any]:
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


def big(count: int, folder: Path) -> dict[str, Any]:
    """A file of many entries: its size, how long it takes to open, and what two processes that use it have in memory."""
    compiler = Compiler()
    step = 250_000
    for begin in range(0, count, step):
        lines = "".join(f"{number * 2:x}.site{number % 50_000}.example\n" for number in range(begin, min(count, begin + step)))
        compiler.add_lines(LABEL, lines.encode())
    path = folder / "big.idx"
    entries = compiler.write(path)
    del compiler
    start = time.perf_counter()
    index = ListIndex.open(path, verify=False)
    mapped = time.perf_counter() - start
    index.close()
    start = time.perf_counter()
    ListIndex.open(path).close()
    verified = time.perf_counter() - start
    row: dict[str, Any] = {"entries": entries, "bytes an entry": path.stat().st_size / entries}
    return row | {"open ms": mapped * 1000, "open and verify ms": verified * 1000, "workers MB": _workers(path)}


def _workers(path: Path) -> list[dict[str, float]]:
    """Start two processes that open the file and ask it; return by how many MB each grew."""
    command = [sys.executable, "-c", _WORKER, str(path)]
    running = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    rows = []
    for process in running:
        assert process.stdout is not None
        before, opened, asked = json.loads(process.stdout.readline())
        rows.append(
            {
                "opening, all": opened["VmRSS"] - before["VmRSS"],
                "20,000 look-ups, its own": asked["RssAnon"] - opened["RssAnon"],
                "20,000 look-ups, shared": asked["RssFile"] - opened["RssFile"],
            }
        )
    for process in running:
        process.communicate()
    return rows
