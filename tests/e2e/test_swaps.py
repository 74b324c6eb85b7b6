"""Lists come and go a hundred times while pupils browse: nothing fails, nothing passes that must not, nothing grows."""

import asyncio
import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from blocklists.library import Library
from blocklists.url import canonicalise
from schoolgate import wiring
from schoolgate.paths import StatePaths

from .harness import Gateway, processes, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(900)]

SWAPS = int(os.environ.get("SCHOOLGATE_SWAPS", "12"))
"""A hundred takes four minutes: `SCHOOLGATE_SWAPS=100 uv run pytest -n0 -s tests/e2e/test_swaps.py`."""
SETTLED = min(20, SWAPS // 3)
"""Swaps before memory counts: caches and pools fill in the first ones."""
PER_SECOND = 300
CONNECTIONS = 12
UNSEEN = 50_000
"""Entries that nobody asks for, so that there is something to compile, map and let go."""
LISTED, TOGGLED, DENIED, OPEN = "stream.test", "allowed2.test", "denied.test", "allowed.test"


class Browsing(threading.Thread):
    """Asks for four hosts in turns, at a steady rate, over connections that stay open."""

    def __init__(self, gateway: Gateway) -> None:
        super().__init__(daemon=True)
        self.proxy, self.port = gateway.proxy.rpartition("/")[2].split(":"), gateway.origin.http_port
        self.answers: Counter[tuple[str, int]] = Counter()
        self.faults: list[str] = []
        self.opened: list[float] = []
        """Seconds after the start at which something came through that must not."""
        self.began = time.monotonic()
        self.ended = threading.Event()
        self.seconds = 0.0

    def run(self) -> None:
        self.began = time.monotonic()
        asyncio.run(self._all())
        self.seconds = time.monotonic() - self.began

    async def _all(self) -> None:
        await asyncio.gather(*(self._connection(number) for number in range(CONNECTIONS)))

    async def _connection(self, number: int) -> None:
        hosts = [OPEN, LISTED, TOGGLED, DENIED]
        asked = number
        due = time.monotonic()
        reader, writer = await asyncio.open_connection(*self.proxy)
        while not self.ended.is_set():
            due = max(due + CONNECTIONS / PER_SECOND, time.monotonic() - 1)  # a late one is made up for, by a second at most
            await asyncio.sleep(due - time.monotonic())
            host, asked = hosts[asked % 4], asked + 1
            try:
                status, stays = await asyncio.wait_for(self._ask(reader, writer, host), 20)
            except (OSError, EOFError, TimeoutError, ValueError) as error:
                self.faults.append(f"{host}: {type(error).__name__} {error}")
                status, stays = 0, False
            self.answers[host, status] += 1
            if status == 200 and host in (LISTED, DENIED):
                self.opened.append(time.monotonic() - self.began)
            if not stays:
                writer.close()
                reader, writer = await asyncio.open_connection(*self.proxy)
        writer.close()

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str) -> tuple[int, bool]:
        writer.write(f"GET http://{host}:{self.port}/page HTTP/1.1\r\nHost: {host}:{self.port}\r\nAccept: text/html\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        if "content-length:" not in head:
            raise ValueError(head[:200])
        await reader.readexactly(int(head.partition("content-length:")[2].split()[0]))
        return int(head.split()[1]), "connection: close" not in head


def memory(pids: list[int]) -> int:
    """The processes' own memory in kB: pages of mapped files are everybody's."""
    texts = [Path(f"/proc/{pid}/status").read_text() for pid in pids]
    return sum(int(text.partition("RssAnon:")[2].split()[0]) for text in texts)


def list_maps(pid: int) -> int:
    """How many compiled lists a process has mapped, replaced ones among them."""
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return len({line.split()[4] for line in lines if "lists.idx" in line})


def in_force(gateway: Gateway) -> set[int]:
    """Numbers of the rulesets that the workers report."""
    return {json.loads(path.read_text())["ruleset"] for path in (gateway.state / "run").glob("worker-*.json")}


def keywords_of(paths: StatePaths) -> str:
    """The digest of the keyword sets in force."""
    manifest = json.loads((paths.rulesets / "current" / "manifest.json").read_text())
    return str(manifest["files"]["keywords.json"]["sha256"])


def test_swaps_under_load_fail_nothing_pass_nothing_and_leave_nothing(fresh: Callable[..., Gateway], tmp_path: Path) -> None:
    gateway = fresh("--workers", "2")
    paths = StatePaths(gateway.state)
    library = Library(paths.lists)
    unseen = [f"unseen{number}.example" for number in range(UNSEEN)]

    def write(name: str, hosts: list[str]) -> Path:
        path = tmp_path / name
        path.write_text("\n".join([*unseen, *hosts]) + "\n")
        return path

    # The first ones by the command line, as a technician would; the others by the functions that it calls.
    gateway.cli("lists", "load", "swapped", str(write("plain.txt", [LISTED])), "--format", "domains", "--category", "gambling")
    workers = processes(gateway, "worker")
    assert len(workers) == 2
    loaded = int((paths.rulesets / "current").readlink().name)
    # Of every worker: one that still has the ruleset from before the list would let its hosts through, rightly.
    wait_for("every worker to have the list", lambda: min(in_force(gateway)) >= loaded, 30)
    assert gateway.curl(gateway.url(LISTED, secure=False)).status == 403
    browsing = Browsing(gateway)
    browsing.start()
    settled = 0
    keyword_sets = {keywords_of(paths)}
    try:
        for number in range(SWAPS):
            before = int((paths.rulesets / "current").readlink().name)
            adds, by_command = number % 2 == 0, number in (0, 1, SWAPS - 1)
            path = write("next.txt", [LISTED, f"new{number}.example", *([TOGGLED] if adds else [])])
            if number % 4 == 1:
                if by_command:
                    gateway.cli("lists", "rollback", "swapped")
                else:
                    library.rollback("swapped")
            elif by_command:
                gateway.cli("lists", "load", "swapped", str(path), "--format", "domains", "--category", "gambling")
            else:
                library.load("swapped", path, "domains", "gambling")
            if not by_command:
                library.compile()
                wiring.build_ruleset(paths, paths.policy)
            now = int((paths.rulesets / "current").readlink().name)
            assert now > before
            wait_for("every worker to take the ruleset over", lambda now=now: min(in_force(gateway)) >= now, 30)
            index = library.open_index()
            assert bool(index.lookup(canonicalise(f"http://{TOGGLED}/"))) == adds
            index.close()
            keyword_sets.add(keywords_of(paths))
            if number == SETTLED:
                settled = memory(workers)
            if number % 10 == 0:
                print(f"swap {number}: {time.monotonic() - browsing.began:.0f} s, {memory(workers) / 1024:.0f} MB")
        status = gateway.curl(gateway.url(TOGGLED, secure=False)).status
    finally:
        browsing.ended.set()
        browsing.join(60)
    grown = memory(workers) / settled
    requests = browsing.answers.total()
    print(f"{requests:,} requests, {requests / browsing.seconds:.0f} a second; own memory {settled / 1024:.0f} MB, then x {grown:.3f}; "
          f"{dict(browsing.answers)}")  # fmt: skip
    assert browsing.faults == []
    assert browsing.opened == []
    assert {host: {code for name, code in browsing.answers if name == host} for host in (OPEN, LISTED, DENIED)} == {
        OPEN: {200}, LISTED: {403}, DENIED: {403},
    }  # fmt: skip
    # The swaps did something: the host that comes and goes was met both ways, and the last one holds.
    assert {code for name, code in browsing.answers if name == TOGGLED} == {200, 403}
    assert status == 200
    assert processes(gateway, "worker") == workers, "a worker died"
    # Other keyword sets are another automaton, and for a moment both: then memory says nothing about lists.
    assert len(keyword_sets) == 1, "the program's keyword sets were edited while the test ran; run it again"
    assert grown < 1.15
    assert max(list_maps(pid) for pid in workers) <= 2


CHANGES = int(os.environ.get("SCHOOLGATE_KEYWORD_CHANGES", "9"))


def test_changes_of_the_phrases_one_after_the_other_leave_nothing_behind(fresh: Callable[..., Gateway]) -> None:
    gateway = fresh("--workers", "2")
    workers, [console] = processes(gateway, "worker"), processes(gateway, "console")
    good = gateway.policy_file.read_text()
    settled: dict[str, int] = {}
    for number in range(CHANGES):
        before = max(in_force(gateway))
        words = f'\n[[keyword_sets]]\ncategory = "bullying"\nlevel = 3\nweight = 60\nwords = ["nobody likes number {number}"]\n'
        beside = gateway.policy_file.with_suffix(".new")
        beside.write_text(good + words)
        beside.replace(gateway.policy_file)
        wait_for("every worker to take the phrases over", lambda before=before: min(in_force(gateway)) > before, 90)
        time.sleep(1.5)  # the console swaps in its own time
        now = {"workers": memory(workers), "console": memory([console])}
        if number == CHANGES // 3:
            settled = now
        print(f"change {number}: {now}")
    assert now["workers"] < 1.1 * settled["workers"]
    # The console builds in threads: what it keeps free goes up and down by some tens of megabytes.
    assert now["console"] < 1.5 * settled["console"]
    assert processes(gateway, "worker") == workers, "a worker died"
