import os
import time
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import msgspec
import pytest

from analyser.casework import audit
from analyser.query import EventQuery
from analyser.retention import expire, first_kept
from analyser.store import SegmentRecord

LONDON = ZoneInfo("Europe/London")
DAY = 86_400.0


def put(store, *events):
    store.add(msgspec.json.encode(events).decode(), [SegmentRecord(events[0].id, len(events), 0)])


@pytest.mark.parametrize("now", ["2026-03-29T12:00:00", "2026-10-25T12:00:00", "2026-06-01T23:30:00"])
def test_a_day_begins_at_midnight_in_school_time_also_when_the_clocks_change(now):
    kept = first_kept(datetime.fromisoformat(now).replace(tzinfo=UTC).timestamp(), 1, LONDON)
    local = datetime.fromtimestamp(kept, LONDON)
    assert (local.hour, local.minute) == (0, 0)


def test_whole_days_that_are_too_old_are_deleted_and_that_is_audited(tmp_path, store, database, make_event):
    put(store, make_event(0), make_event(-100 * DAY), make_event(-89 * DAY), make_event(-91.5 * DAY))
    aside = tmp_path / "aside"
    aside.mkdir()
    (aside / "old.ndjson").write_bytes(b"torn")
    (aside / "new.ndjson").write_bytes(b"torn")
    os.utime(aside / "old.ndjson", (1, 1))
    os.utime(aside / "new.ndjson", (1_795_000_000, 1_795_000_000))
    for _ in range(2):
        expire(store, database, aside, 90, LONDON, now=1_795_000_000.0 + 60)
    assert len(store.query(EventQuery())) == 2
    assert [path.name for path in aside.iterdir()] == ["new.ndjson"]
    with database.reading() as session:
        entries = [entry for entry in audit.entries(session) if entry["action"] == "events.expire"]
    assert [entry["detail"]["events"] for entry in entries] == [2]


def test_a_clock_far_ahead_deletes_nothing(tmp_path, store, database, make_event):
    put(store, make_event(0), make_event(-10 * DAY))
    assert expire(store, database, tmp_path, 90, LONDON, now=time.time() + 3650 * DAY) == 0
