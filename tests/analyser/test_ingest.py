import errno
import fcntl
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import duckdb
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyser.ingest import Ingest, read_segment
from analyser.query import EventQuery
from analyser.store import EventStore
from rules.event import Event, encoder

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


GOOD = Event(
    id="0" * 32, time=1.0, worker="w", client_address="10.0.0.1", group="g", identity_source="subnet", action="allow", reason="default"
)  # fmt: skip
LINES = st.lists(
    st.one_of(
        st.builds(
            lambda text, level: encoder.encode(msgspec.structs.replace(GOOD, search=text, level=level)), st.text(), st.integers(0, 5)
        ),
        st.binary(max_size=60).map(lambda data: data.replace(b"\n", b"")),
        st.builds(lambda cut: encoder.encode(GOOD)[:cut], st.integers(0, 150)),
        st.sampled_from([b"null", b"{}", b"[1]", encoder.encode(msgspec.structs.replace(GOOD, time=-1.0)), b" \t"]),
    ),
    max_size=8,
)


@given(LINES, st.booleans())
def test_every_line_of_a_segment_is_an_event_or_kept_as_it_was(lines, ends):
    segment = read_segment(Path("x"), b"\n".join(lines) + (b"\n" if ends else b""))
    written = [line for line in lines if line.strip()]
    assert len(segment.events) + len(segment.torn) == len(written)
    assert Counter(segment.torn) <= Counter(written)
    encoder.encode(segment.events)


def test_a_row_that_the_store_refuses_goes_aside_and_the_rest_goes_on(tmp_path, store, make_event, write_segment, monkeypatch):
    events = [make_event(n, search="poison" if n == 3 else "fine") for n in range(6)]
    write_segment(events[:2])
    bad = write_segment(events[2:5])
    write_segment(events[5:])
    add = store.add

    def refusing(rows, segments):
        if "poison" in rows:
            raise duckdb.ConversionException("no such number")
        return add(rows, segments)

    monkeypatch.setattr(store, "add", refusing)
    monkeypatch.setattr(store, "can_hold", lambda rows: "poison" not in rows)
    result = Ingest(tmp_path / "spool", store).step()
    assert (result.segments, result.torn, len(result.events)) == (3, [bad.name], 5)
    assert b"poison" in (tmp_path / "spool" / "aside" / bad.name).read_bytes()
    assert len(ids(store)) == 5
    assert store.stats().torn_lines == 1


def test_while_the_disk_is_full_events_wait_and_are_stored_once_afterwards(tmp_path, store, make_event, write_segment, monkeypatch):
    events = [make_event(n) for n in range(4)]
    write_segment(events)
    ingest = Ingest(tmp_path / "spool", store)

    def full(rows, segments):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(store, "add", full)
        for _ in range(2):
            with pytest.raises(OSError, match="No space"):
                ingest.step()
        assert ingest.worth_a_step()
    assert len(list((tmp_path / "spool").glob("*.ndjson"))) == 1
    assert ingest.step().segments == 1
    assert ids(store) == Counter(event.id for event in events)


def test_plain_requests_wait_for_company_and_what_matters_does_not(tmp_path, store, make_event, write_segment):
    ingest = Ingest(tmp_path / "spool", store, hold=60)
    write_segment([make_event(0)])
    assert ingest.step().segments == 0
    write_segment([make_event(1, action="block")])
    assert ingest.worth_a_step()
    assert ingest.step().segments == 2
    write_segment([make_event(2)])
    ingest.step()
    ingest.hold = 0
    assert ingest.step().segments == 1


def test_a_backlog_is_taken_in_piece_by_piece(tmp_path, store, make_event, write_segment):
    for number in range(30):
        write_segment([make_event(number + n / 1000, excerpt="x" * 180) for n in range(200)])
    ingest, sizes = Ingest(tmp_path / "spool", store), []
    while (result := ingest.step()).segments:
        sizes.append(len(result.events))
    assert sum(sizes) == 6000
    assert max(sizes) <= 2800
    assert len(sizes) > 2
