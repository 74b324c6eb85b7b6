"""How long does `lists preview` take to say what last week's traffic would have met?

Run: `uv run python benchmarks/preview.py [--events 10000000] [--json FILE]`. Makes a store of synthetic events over seven days
(about 60,000 hosts, one page request in four, Zipf-like), loads two lists, and compares the present with a version that has
2,000 more and 500 fewer of the hosts that were visited, some of them by path. Ends with code 1 above the threshold.
"""

import argparse
import json
import random
import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from analyser import schema
from analyser.lists.preview import preview
from analyser.lists.traffic import candidate_of, compare
from analyser.lists.trial import Proposal, trial
from analyser.store import EventStore
from blocklists.library import Library
from blocklists.sealed import SealedLists
from blocklists.sealedstore import install_test_list
from rules.policy import parse_policy
from rules.ruleset import Ruleset

SECONDS = 5.0
HOSTS = 60_000
NOW = 1_795_000_000.0


def fill(store: EventStore, events: int, hosts: int) -> None:
    """Put synthetic events into a store, by SQL: they need not pass the spool for this question."""
    values = {
        "id": "md5(CAST(n AS VARCHAR))", "time": f"make_timestamp(CAST(({NOW} - 604000 + n * 604000.0 / {events}) * 1e6 AS BIGINT))",
        "worker": "'worker-1'", "client_address": "'10.0.' || (n % 4) || '.' || (n % 250)",
        "group": "CASE WHEN n % 10 = 0 THEN 'staff' ELSE 'pupils' END", "identity_source": "'proxy-auth'",
        "action": "CASE WHEN hash(n) % 50 = 0 THEN 'block' ELSE 'allow' END",
        "reason": "CASE WHEN hash(n) % 50 = 0 THEN 'list' ELSE 'default' END",
        "user": "'user' || (hash(n) % 1200)", "method": "'GET'", "scheme": "'https'", "port": "443",
        "host": f"'www.site' || CAST(floor({hosts} * pow(random(), 3)) AS BIGINT) || '.example.org'", "registrable_domain": "'example.org'",
        "path": "'/lessons/' || (hash(n) % 5000) || '/page.html'", "page": "n % 4 = 0", "status": "200", "media_type": "'text/html'",
        "bytes_out": "10240", "milliseconds": "41.5", "inspected": "true",
    }  # fmt: skip
    empty = {"VARCHAR": "''", "VARCHAR[]": "[]", "BOOLEAN": "false", "INTEGER": "0", "BIGINT": "0", "DOUBLE": "0"}
    columns = ", ".join(f'{values.get(name, empty.get(kind))} AS "{name}"' for name, kind in schema.EVENT_COLUMNS)
    step = 500_000
    for begin in range(0, events, step):
        end = min(begin + step, events)
        store._write(lambda c, b=begin, e=end: c.execute(f"INSERT INTO store.events SELECT 1, {columns} FROM range({b}, {e}) AS r(n)"))
    store.checkpoint()


def lists(folder: Path, hosts: int) -> tuple[Library, Path]:
    """Load a list of 300,000 hosts, some of them visited, and write its next version."""
    chosen = random.Random(7)
    numbers = chosen.sample(range(hosts), 5_000)
    unseen = [f"unseen{n}.example.net" for n in range(300_000)]
    present, new = folder / "present.txt", folder / "new.txt"
    present.write_text("\n".join([*unseen, *(f"site{n}.example.org" for n in numbers[:2500])]) + "\n")
    new.write_text("\n".join([*unseen, *(f"site{n}.example.org" for n in numbers[500:4500])]) + "\n")
    paths = folder / "paths.txt"
    paths.write_text("\n".join(f"http://site{n}.example.org/lessons/{n % 5000}/" for n in numbers[4000:]) + "\n")
    library = Library(folder / "lists")
    library.load("big", present, "domains", "gambling")
    library.load("paths", paths, "urls", "gambling")
    library.compile()
    return library, new


def main() -> int:
    """Measure, print and judge."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        library, new = lists(folder, HOSTS)
        store = EventStore(folder / "events.duckdb", bytes(32))
        began = time.perf_counter()
        fill(store, given.events, HOSTS)
        print(f"{given.events:,} events stored in {time.perf_counter() - began:.1f} s, {store.stats().file_bytes / 1e6:.0f} MB")
        (folder / "sealed").mkdir()
        install_test_list(folder / "sealed")
        text = '[categories.gambling]\ntitle = "Gambling"\nlevel = 2\n[groups.pupils]\ndefault = "allow"\n[groups.pupils.actions]\n'
        text += 'gambling = "block"\n[groups.staff]\ndefault = "allow"\n[groups.staff.actions]\ngambling = "warn"\n'
        present = Ruleset.of(
            parse_policy(text, "policy.toml"), SealedLists.open(folder / "sealed"), lists=library.open_index(), allowed=library.open_allow()
        )
        times, cpu = [], []
        for _ in range(3):
            began, busy = time.perf_counter(), time.process_time()
            with trial(library, Proposal("big", str(new), "domains", "gambling")) as tried:
                tried.compile()
                read = time.perf_counter() - began
                traffic = compare(store, present, candidate_of(present, library, tried.candidate), now=NOW)
                found = preview(tried, present.policy, traffic, second_person=True)
            times.append(time.perf_counter() - began)
            cpu.append(time.process_time() - busy)
            parts = f"list read and compiled in {read:.2f} s, traffic in {traffic.seconds:.2f} s"
            print(f"preview {times[-1]:.2f} s ({cpu[-1]:.2f} s of processor): {parts}")
        print(
            f"{traffic.pages:,} pages; newly blocked {traffic.blocked.requests:,} of {traffic.blocked.users:,} users on "
            f"{traffic.blocked.hosts:,} hosts; opened {traffic.opened.requests:,}; "
            f"entries +{found.change.added:,} -{found.change.removed:,}"
        )
        store.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    worst = max(times)
    print(f"worst of three {worst:.2f} s (threshold {SECONDS} s), peak memory {peak:.0f} MB")
    if given.json is not None:
        given.json.write_text(json.dumps({"events": given.events, "seconds": times, "cpu_seconds": cpu, "peak_mb": peak}) + "\n")
    return 0 if worst < SECONDS or given.events < 10_000_000 else 1


if __name__ == "__main__":
    sys.exit(main())
