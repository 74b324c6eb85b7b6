import time
from pathlib import Path

import msgspec
import pytest

from analyser import schema
from analyser.ingest import Ingest
from analyser.query import EventQuery
from analyser.store import EventStore, SegmentRecord
from analyser.storefile import StoreError
from rules.event import Event

KEY = bytes(range(32))


def put(store, *events, name="s"):
    return store.add(msgspec.json.encode(events).decode(), [SegmentRecord(name, len(events), 0)])


def test_the_store_has_a_column_for_every_field_of_an_event():
    assert [name for name, _ in schema.EVENT_COLUMNS] == [field.name for field in msgspec.structs.fields(Event)]


def test_an_event_comes_back_as_it_went_in(store, make_event):
    event = make_event(
        0.25, site="Hill", device="d", room="r", method="GET", scheme="https", port=443, path="/a", search="ü ’", search_partial=True,
        page=True, category="c", categories=("c", "d"), level=4, list="l", rule="r", matches=("x", "y"), excerpt="e", grant="g", status=403,
        media_type="text/html", bytes_in=2**40, bytes_out=3, milliseconds=1.5, inspected=False, url_digest="u", fault="f",
    )  # fmt: skip
    plain = make_event(1)
    put(store, event, plain)
    assert store.event(event.id) == event
    assert store.event(plain.id) == plain
    assert [e for _, events in store.after_batch(0) for e in events] == [event, plain]


def test_filters_hold_together(store, make_event):
    wanted = make_event(5, user="Ben", action="block", host="a.bad.org", group="ks1", level=3, category="gambling", search="Poker odds")
    put(store, wanted, make_event(5), make_event(6, action="block", host="xbad.org"), make_event(9, host="bad.org", level=2))
    query = EventQuery(
        since=wanted.time, until=wanted.time + 1, user="ben", action="block", host="bad.org", group="ks1", level_min=3, category="gambling",
        search="poker",
    )  # fmt: skip
    found = store.query(query)
    assert [row["id"] for row in found] == [wanted.id]
    assert found[0]["time"].endswith("Z")
    assert len(store.query(EventQuery(host="bad.org"))) == 2
    assert [row["level"] for row in store.query(EventQuery(order="oldest"))][-1] == 2
    assert len(store.query(EventQuery(limit=2))) == 2
    assert store.query(EventQuery(since=1e18)) == []


def test_file_and_log_hold_nothing_readable(tmp_path, make_event):
    store = EventStore(tmp_path / "events.duckdb", KEY)
    for number in range(50):
        put(store, make_event(number, search="planted-needle", user="planted-name"), name=f"segment-{number}")
    files = [path.read_bytes() for path in tmp_path.iterdir()]
    store.close()
    files += [path.read_bytes() for path in tmp_path.iterdir()]
    assert any(len(data) > 1000 for data in files)
    assert not any(b"planted" in data or b"segment-" in data for data in files)


def test_a_wrong_key_is_refused_in_one_sentence(tmp_path, store, make_event):
    put(store, make_event())
    store.close()
    with pytest.raises(StoreError, match=r"^The key in keys/events.key does not open"):
        EventStore(tmp_path / "events.duckdb", bytes(32))
    assert EventStore(tmp_path / "events.duckdb", KEY).stats().events == 1


def test_a_damaged_log_is_kept_aside_and_reported(tmp_path, store, make_event):
    put(store, make_event())
    store.checkpoint()
    put(store, make_event(), name="t")
    log = tmp_path / "events.duckdb.wal"
    saved, copy = log.read_bytes(), tmp_path / "copy.duckdb"
    copy.write_bytes((tmp_path / "events.duckdb").read_bytes())
    copy.with_name("copy.duckdb.wal").write_bytes(saved[:60] + b"\x00" * 40 + saved[100:])
    copy.with_name("copy.duckdb.batch").write_bytes((tmp_path / "events.duckdb.batch").read_bytes())
    opened = EventStore(copy, KEY)
    assert opened.stats().events == 1
    assert len(opened.findings) == 1
    assert "log" in opened.findings[0]
    kept = list(tmp_path.glob("copy.duckdb.wal.damaged-*"))
    assert len(kept) == 1
    assert kept[0].read_bytes()[100:] == saved[100:]
    put(opened, make_event(), name="u")
    opened.close()


def test_six_autocomplete_calls_and_the_search_are_one_search(tmp_path, store, make_event, write_segment):
    ingest = Ingest(tmp_path / "spool", store)
    for number, term in enumerate(["c", "ca", "cat", "cat v", "ca", "cat videos"]):
        write_segment([make_event(number * 0.4, search=term, search_partial=True)], worker=f"worker-{number % 2}")
        ingest.step()
    write_segment([make_event(4, search="Cat videos", page=True)])
    ingest.step()
    assert [row["search"] for row in store.query(EventQuery(searches_only=True))] == ["Cat videos"]
    assert len(store.query(EventQuery(parts=True))) == 7
    assert [row["search"] for row in store.query(EventQuery(since=1_795_000_000.0, until=1_795_000_001.0))] == []


def test_other_people_other_words_and_late_searches_are_not_folded(store, make_event):
    put(
        store,
        make_event(0, search="do", search_partial=True),
        make_event(1, search="dogs", user="ben"),
        make_event(1, search="horses"),
        make_event(20, search="dogs"),
        make_event(2, search="do", search_partial=True, registrable_domain="bing.com"),
    )
    assert len(store.query(EventQuery())) == 5


def test_grave_words_taken_back_stay_an_event(store, make_event):
    put(
        store,
        make_event(0, search="how to hurt myself", search_partial=True, level=4),
        make_event(1, search="how to", search_partial=True),
        make_event(3, search="how to bake", page=True),
    )
    assert [row["search"] for row in store.query(EventQuery(order="oldest"))] == ["how to hurt myself", "how to bake"]


def test_batches_are_read_whole_and_in_order(store, make_event):
    for number in range(5):
        put(store, make_event(number), make_event(number + 0.5), name=str(number))
    first = store.after_batch(1, limit=3)
    assert [batch for batch, _ in first] == [2, 3]
    assert [batch for batch, _ in store.after_batch(3, limit=3)] == [4, 5]
    assert store.after_batch(5) == []


def test_the_ledger_forgets_old_segments_but_not_the_totals(store, make_event):
    put(store, make_event(), name="old")
    assert store.known_segments(["old", "new"]) == {"old"}
    store.forget_segments(time.time() + 10)
    assert store.known_segments(["old"]) == set()
    assert store.stats().segments == 1


def test_a_file_that_is_no_store_is_refused(tmp_path: Path):
    (tmp_path / "events.duckdb").write_bytes(b"junk" * 3000)
    with pytest.raises(StoreError, match="can't be read"):
        EventStore(tmp_path / "events.duckdb", KEY)
