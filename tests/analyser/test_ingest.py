import fcntl
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from analyser.ingest import Ingest
from analyser.query import EventQuery
from analyser.store import EventStore
from rules.event import encoder

KEY = bytes(range(32))
ROOT = Path(__file__).parents[2]


def ids(store):
    return Counter(row["id"] for row in store.query(EventQuery(parts=True, limit=10_000)))


def test_segments_are_stored_once_and_removed(tmp_path, store, make_event, write_segment):
    events = [make_event(n) for n in range(10)]
    kept = write_segment(events[:5])
    data = kept.read_bytes()
    write_segment(events[5:])
    ingest = Ingest(tmp_path / "spool", store)
    result = ingest.step()
    assert (result.batch, result.segments, result.events, result.waiting) == (1, 2, events, 0)
    assert ingest.step().batch == 0
    kept.write_bytes(data)  # as if the process had died between the commit and the removal
    Ingest(tmp_path / "spool", store).step()
    assert ids(store) == Counter(event.id for event in events)
    assert [path.name for path in (tmp_path / "spool").iterdir()] == ["aside"]


@pytest.mark.parametrize("tail", [b'{"id":"0123', b"\x00\xff\xfe", b'{"id":"x","time":1}', b'"text"', b"[]"])
def test_a_torn_line_is_counted_and_kept_aside(tmp_path, store, make_event, write_segment, tail):
    event = make_event()
    path = write_segment([event], tail=tail)
    result = Ingest(tmp_path / "spool", store).step()
    assert result.torn == [path.name]
    assert result.events == [event]
    assert (tmp_path / "spool" / "aside" / path.name).read_bytes() == tail + b"\n"
    assert store.stats().torn_lines == 1


def test_a_whole_last_line_without_its_line_feed_counts(tmp_path, store, make_event, write_segment):
    event = make_event()
    write_segment([], tail=encoder.encode(event))
    result = Ingest(tmp_path / "spool", store).step()
    assert (result.events, result.torn) == ([event], [])


def test_events_from_the_end_of_time_are_set_aside(tmp_path, store, make_event, write_segment):
    write_segment([make_event(1e15), make_event(), make_event(-1e15)])
    result = Ingest(tmp_path / "spool", store).step()
    assert (len(result.events), len(result.torn)) == (1, 1)
    assert store.stats().torn_lines == 2


def test_only_segments_whose_worker_is_gone_are_adopted(tmp_path, store, make_event, write_segment):
    held = write_segment([make_event()], ending=".ndjson.part")
    orphan = write_segment([make_event()], ending=".ndjson.part")
    empty = write_segment([], ending=".ndjson.part")
    ingest = Ingest(tmp_path / "spool", store)
    with held.open("rb") as worker:
        fcntl.flock(worker, fcntl.LOCK_EX)
        assert ingest.adopt() == 0, "all are fresh"
        assert ingest.adopt(now=time.time() + 2) == 1
    assert held.exists()
    assert not orphan.exists()
    assert not empty.exists()
    assert ingest.step().segments == 1
    assert ingest.adopt(now=time.time() + 2) == 1


def test_a_large_backlog_is_taken_in_pieces(tmp_path, store, make_event, write_segment):
    for _ in range(8):
        write_segment([make_event(path="/" + "x" * 3000) for _ in range(100)])
    ingest = Ingest(tmp_path / "spool", store)
    first = ingest.step()
    assert 0 < first.waiting < 8
    while ingest.step().segments:
        pass
    assert store.stats().events == 800


INGEST = """
import sys, time
from pathlib import Path
from analyser.ingest import Ingest
from analyser.store import EventStore
store = EventStore(Path(sys.argv[1]) / "events.duckdb", bytes(range(32)))
ingest = Ingest(Path(sys.argv[1]) / "spool", store)
print("up", flush=True)
while True:
    if not ingest.step().segments:
        time.sleep(0.005)
"""


@pytest.mark.slow
def test_kill_at_any_moment_loses_nothing_and_stores_nothing_twice(tmp_path, make_event, write_segment):
    chance = random.Random(20261122)
    written = []
    for _ in range(12):
        process = subprocess.Popen([sys.executable, "-c", INGEST, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        end = time.monotonic() + chance.uniform(0.01, 0.4)
        while time.monotonic() < end:
            events = [make_event(len(written) + n, search="planted-term") for n in range(chance.randint(1, 40))]
            write_segment(events)
            written += events
        process.kill()
        process.wait()
        process.stdout.close()
    assert not any(b"planted-term" in path.read_bytes() for path in tmp_path.glob("events.duckdb*"))
    store = EventStore(tmp_path / "events.duckdb", KEY)
    ingest = Ingest(tmp_path / "spool", store)
    while ingest.step().segments:
        pass
    found = Counter(event.id for batch in store.after_batch(0, limit=10**9) for event in batch[1])
    assert store.findings == []
    store.close()
    assert found == Counter(event.id for event in written)
    assert [path.name for path in (tmp_path / "spool").iterdir()] == ["aside"]
