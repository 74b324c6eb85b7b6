"""How fast are events stored, what does it cost, and how long does a grave event take from the spool to the stream?

Run: `uv run python benchmarks/ingest.py [--seconds 20] [--rate 300] [--json FILE]`. Ends with code 1 below a threshold.
"""

import argparse
import asyncio
import json
import resource
import secrets
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from analyser.ingest import Ingest
from analyser.query import EventQuery
from analyser.service import Analyser, AnalyserSettings
from analyser.store import EventStore
from blocklists.sealedstore import install_test_list
from rules.build import build
from rules.event import Event, encoder

EVENTS_PER_SECOND = 5_000
ALERT_P99_SECONDS = 1.0


def event(number: int, **more: object) -> Event:
    """An ordinary allowed request."""
    fields: dict[str, object] = {
        "id": secrets.token_hex(16), "time": time.time(), "worker": "worker-1", "client_address": f"10.0.{number % 4}.{number % 250}",
        "group": "pupils", "identity_source": "proxy-auth", "action": "allow", "reason": "default", "user": f"pupil{number % 300}",
        "method": "GET", "scheme": "https", "host": f"www{number % 50}.example.org", "registrable_domain": "example.org", "port": 443,
        "path": f"/lessons/{number % 1000}/page.html", "page": number % 10 == 0, "status": 200, "media_type": "text/html",
        "bytes_out": 10_240, "milliseconds": 41.5,
    }  # fmt: skip
    return Event(**(fields | more))  # type: ignore[arg-type]


class Spool:
    """Closes a segment each time it is told to."""

    def __init__(self, folder: Path, worker: str) -> None:
        self.folder, self.worker, self.number = folder, worker, 0

    def write(self, events: list[Event]) -> None:
        """Write one segment and close it by renaming."""
        self.number += 1
        path = self.folder / f"{self.worker}-1-1-{self.number:08}.ndjson"
        draft = path.with_suffix(".ndjson.new")
        draft.write_bytes(b"".join(encoder.encode(one) + b"\n" for one in events))
        draft.rename(path)


def throughput(folder: Path, sizes: tuple[int, ...] = (30, 300, 2500)) -> dict[str, float]:
    """Events per second of ingest by segment size, and its CPU seconds per 1,000 events; a backlog of each size."""
    found: dict[str, float] = {}
    for size in sizes:
        work = folder / f"throughput-{size}"
        (work / "spool").mkdir(parents=True)
        store = EventStore(work / "events.duckdb", bytes(32))
        ingest, spool = Ingest(work / "spool", store), Spool(work / "spool", "w")
        for _ in range(max(1, 30_000 // size)):
            spool.write([event(n) for n in range(size)])
        wall, cpu, count = time.perf_counter(), time.process_time(), 0
        while (step := ingest.step()).segments:
            count += len(step.events)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        found[f"backlog of {size}-event segments: events per second"] = count / wall
        found[f"backlog of {size}-event segments: CPU s per 1,000 events"] = 1000 * cpu / count
        began = time.perf_counter()
        store.query(EventQuery(user="pupil7", limit=200))
        found[f"query of one user in {count} events: ms"] = 1000 * (time.perf_counter() - began)
        store.close()
    return found


def settings_in(folder: Path) -> AnalyserSettings:
    """Make a state folder with the starter policy."""
    for name in ("lists", "sealed", "rulesets", "spool", "run"):
        (folder / name).mkdir(parents=True)
    shutil.copy(Path(__file__).resolve().parents[1] / "rules" / "starter_policy.toml", folder / "policy.toml")
    install_test_list(folder / "sealed")
    build(folder / "policy.toml", folder / "lists", folder / "sealed", folder / "rulesets")
    return AnalyserSettings(
        policy_file=folder / "policy.toml", lists=folder / "lists", sealed=folder / "sealed", rulesets=folder / "rulesets",
        spool=folder / "spool", snapshot=folder / "snapshot.json", run=folder / "run", events=folder / "events.duckdb",
        events_key=bytes(32), casework=str(folder / "casework.db"), casework_key=bytes(32),
    )  # fmt: skip


async def latency(folder: Path, seconds: float, rate: int) -> dict[str, float]:
    """Seconds from a grave event's own time to its change on the stream, at `rate` events per second from two workers."""
    settings = settings_in(folder / "latency")
    analyser = Analyser(settings)
    await analyser.start()
    sent: dict[str, float] = {}
    stop = threading.Event()

    def work(name: str) -> None:
        spool, number, tick = Spool(settings.spool, name), 0, 0
        began = time.perf_counter()
        while not stop.is_set():
            tick += 1
            batch = [event(number + n) for n in range(rate // 20)]  # two workers, ten segments a second each
            number += len(batch)
            subject = f"{name}-{tick}"
            grave = event(number, user=subject, level=4, action="block", reason="typed-text", category="self-harm", search="x", page=True)
            sent[subject] = grave.time
            # The worker keeps a segment open for 100 ms: the grave event stands at its beginning.
            stop.wait(max(0.0, began + 0.1 * tick - time.perf_counter()))
            spool.write([grave, *batch])

    threads = [threading.Thread(target=work, args=(name,)) for name in ("w1", "w2")]
    usage = resource.getrusage(resource.RUSAGE_SELF)
    delays: list[float] = []
    async with analyser.subscribe() as feed:
        for thread in threads:
            thread.start()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            changes = await feed.wait(0.5)
            now = time.time()
            delays += [now - sent[change["subject"]] for change in changes if change["subject"] in sent]
        stop.set()
        for thread in threads:
            await asyncio.to_thread(thread.join)
    after = resource.getrusage(resource.RUSAGE_SELF)
    stored = analyser.store.stats().events
    await analyser.stop()
    delays.sort()
    busy = after.ru_utime + after.ru_stime - usage.ru_utime - usage.ru_stime
    return {
        f"alerts seen at {rate} events per second": float(len(delays)),
        "request to stream p50: s": delays[len(delays) // 2],
        "request to stream p99: s": delays[int(len(delays) * 0.99)],
        "request to stream longest: s": delays[-1],
        "events stored": float(stored),
        "cores used, writing of the spool included": busy / seconds,
    }


def main() -> int:
    """Print the table; 1 when a threshold is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--rate", type=int, default=300)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        found = throughput(Path(name)) | asyncio.run(latency(Path(name), options.seconds, options.rate))
    for label, value in found.items():
        print(f"{label:60} {value:14,.3f}")
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))
    slow = found["backlog of 300-event segments: events per second"] < EVENTS_PER_SECOND
    late = found["request to stream p99: s"] >= ALERT_P99_SECONDS
    if slow or late:
        print("below the threshold:", "events per second" if slow else "", "alert latency" if late else "")
    return int(slow or late)


if __name__ == "__main__":
    sys.exit(main())
