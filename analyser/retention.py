"""Retention: events of whole days that are older than the policy says are deleted, and what was kept aside of them."""

from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

from analyser.casework import audit
from analyser.casework.database import CaseworkDatabase
from analyser.store import EventStore, iso


def first_kept(now: float, days: int, zone: tzinfo) -> float:
    """Return the moment from which events stay: the beginning, in school time, of the day `days` days before today."""
    day = datetime.fromtimestamp(now, UTC).astimezone(zone).date() - timedelta(days=days)
    return datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()


def expire(store: EventStore, database: CaseworkDatabase, aside: Path, days: int, zone: tzinfo, now: float) -> int:
    """Delete what is too old and note it in the audit; return how many events that were.

    The age is counted from the newest event, so that a clock that is far ahead deletes nothing while it is quiet.
    """
    newest = store.stats().newest
    if newest is None:
        return 0
    before = first_kept(min(now, newest), days, zone)
    for path in aside.glob("*.ndjson"):
        if path.stat().st_mtime < before:
            path.unlink(missing_ok=True)
    deleted = store.delete_before(before)
    if deleted:
        with database.session() as session:
            audit.append(session, "gateway", "events.expire", "events", {"before": iso(before), "events": deleted, "days": days})
    return deleted
