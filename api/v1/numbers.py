"""Numbers for governors: counts of whole days, no names, small counts left out."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends
from sqlalchemy import select

from analyser.casework.models import Alert, Outcome
from api.console import Console, console_of
from api.identity import Needs, Person
from api.permissions import Permission
from api.times import iso

router = APIRouter(prefix="/api/v1")

SMALLEST = 5
"""A smaller count could point at a person (requirement SEED-11)."""
PERIODS = {"week": 7, "month": 30, "year": 365}
type Period = Literal["week", "month", "year"]


@router.get("/numbers")
def numbers(
    console: Annotated[Console, Depends(console_of)],
    _: Annotated[Person, Depends(Needs(Permission.READ_NUMBERS))],
    period: Period = "month",
) -> dict[str, Any]:
    """Count alerts by theme, level, state and triage; `null` stands for 1 to 4."""
    counted = counts(console, period)
    return counted | {"since": iso(counted["since"]), "until": iso(counted["until"])}


def counts(console: Console, period: Period, now: datetime | None = None) -> dict[str, Any]:
    """Count the alerts of whole days up to last midnight, school time.

    Periods are few and fixed: with free ones, the difference of two could give away a single case.
    """
    zone = console.timezone()
    local = (now or datetime.now(UTC)).astimezone(zone)
    until = datetime(local.year, local.month, local.day, tzinfo=zone)
    since = until - timedelta(days=PERIODS[period])
    with console.casework.reading() as session:
        span = (Alert.created >= since.timestamp(), Alert.created < until.timestamp())
        rows = session.execute(select(Alert.theme, Alert.level, Alert.status).where(*span)).all()
        triages = session.scalars(select(Outcome.triage).join(Alert).where(*span)).all()
    tables = {
        "theme": Counter(theme for theme, _, _ in rows),
        "level": Counter(str(level) for _, level, _ in rows),
        "state": Counter(status for _, _, status in rows),
        "triage": Counter(triages),
    }
    return {
        "period": period, "since": since.timestamp(), "until": until.timestamp(), "smallest_shown": SMALLEST,
        "alerts": {name: suppressed(table) for name, table in tables.items()},
    }  # fmt: skip


def suppressed(table: Counter[str]) -> dict[str, int | None]:
    """Leave out every count under five, and the next smallest one where a single gap could be worked out from another table's sum."""
    cells: dict[str, int | None] = {name: count if count >= SMALLEST else None for name, count in sorted(table.items())}
    gaps = [name for name, count in cells.items() if count is None]
    if len(gaps) == 1 and len(cells) > 1:
        shown = {name: count for name, count in cells.items() if count is not None}
        cells[min(shown, key=lambda name: shown[name])] = None
    return cells
