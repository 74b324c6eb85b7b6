"""A question to the event store: filters, order and size, turned into SQL with parameters."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from analyser import schema

_FIRST, _LAST = datetime(1970, 1, 1), datetime(2200, 1, 1)  # noqa: DTZ001  (the store's timestamps are UTC without a zone)
MOST = 10_000


@dataclass(frozen=True, slots=True)
class EventQuery:
    """Which events; every filter that is given must hold.

    Times are seconds since the epoch, `since` included and `until` excluded. `host` holds for its sub-domains too.
    `search` is a part of the term, whatever its case. Autocomplete calls that belong to another search are left out
    unless `parts` is set.
    """

    since: float | None = None
    until: float | None = None
    user: str | None = None
    client_address: str | None = None
    action: str | None = None
    host: str | None = None
    group: str | None = None
    category: str | None = None
    reason: str | None = None
    level_min: int | None = None
    search: str | None = None
    searches_only: bool = False
    """True for search events only."""
    parts: bool = False
    limit: int = 200
    order: Literal["newest", "oldest"] = "newest"

    def sql(self) -> tuple[str, list[Any]]:
        """Return the statement and its parameters; columns are the fields of `Event` in order."""
        since, until = _at(self.since, _FIRST), _at(self.until, _LAST)
        where = ["e.time >= ?", "e.time < ?"]
        parameters: list[Any] = [since, until]

        def filtered(condition: str, value: Any, times: int = 1) -> None:
            if value is not None:
                where.append(condition)
                parameters.extend([value] * times)

        filtered("""lower(e."user") = lower(?)""", self.user)
        filtered("e.client_address = ?", self.client_address)
        filtered("e.action = ?", self.action)
        filtered("(e.host = ? OR ends_with(e.host, '.' || ?))", self.host.lower() if self.host is not None else None, 2)
        filtered("""e."group" = ?""", self.group)
        filtered("(e.category = ? OR list_contains(e.categories, ?))", self.category, 2)
        filtered("e.reason = ?", self.reason)
        filtered("e.level >= ?", self.level_min)
        filtered("contains(lower(e.search), lower(?))", self.search)
        if self.searches_only:
            where.append("e.search <> ''")
        if not self.parts:
            margin = timedelta(seconds=schema.FOLD_SECONDS + 1)
            where.append(f"NOT (e.search_partial AND e.id IN ({schema.FOLDED}))")
            parameters += [since - margin if since > _FIRST else since, until + margin]
        direction = "DESC" if self.order == "newest" else "ASC"
        parameters.append(max(0, min(self.limit, MOST)))
        return (
            f"SELECT {schema.SELECTED} FROM store.events AS e WHERE {' AND '.join(where)} "  # noqa: S608  (parts are constants of this module)
            f"ORDER BY e.time {direction}, e.id {direction} LIMIT ?"
        ), parameters


def _at(seconds: float | None, otherwise: datetime) -> datetime:
    if seconds is None:
        return otherwise
    try:
        return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
    except (OverflowError, ValueError, OSError):
        return _FIRST if seconds < 0 else _LAST
