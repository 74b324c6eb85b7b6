"""The record of what was decided: whoever looks at it is written down, with whom they looked at and why."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query

from analyser.casework import audit
from analyser.query import EventQuery
from api.console import Console, console_of
from api.errors import RefusedError
from api.identity import Needs, Person
from api.looks import Reason, ReasonHeader, why
from api.permissions import Permission
from api.times import iso, moment
from rules.matched import of_event

router = APIRouter(prefix="/api/v1")


@router.get("/events")
def events(
    console: Annotated[Console, Depends(console_of)],
    person: Annotated[Person, Depends(Needs(Permission.READ_EVENTS))],
    since: Annotated[str | None, Query(max_length=40)] = None,
    until: Annotated[str | None, Query(max_length=40)] = None,
    user: Annotated[str | None, Query(max_length=100)] = None,
    address: Annotated[str | None, Query(max_length=45)] = None,
    action: Literal["allow", "log", "warn", "block", "error"] | None = None,
    host: Annotated[str | None, Query(max_length=253)] = None,
    group: Annotated[str | None, Query(max_length=50)] = None,
    category: Annotated[str | None, Query(max_length=50)] = None,
    level: Annotated[int | None, Query(ge=0, le=5)] = None,
    search: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 200,
    order: Literal["newest", "oldest"] = "newest",
    reason: Reason = None,
    x_reason: ReasonHeader = None,
) -> dict[str, Any]:
    """List events; `level` is the lowest one wanted, `host` holds for its sub-domains too.

    `matched` tells of each phrase its category, level and weight as they are now, and its place where the record has the text.
    """
    query = EventQuery(
        since=_time(since, "since"), until=_time(until, "until"), user=user, client_address=address, action=action, host=host, group=group,
        category=category, level_min=level, search=search, limit=limit, order=order,
    )  # fmt: skip
    filters = {"action": action, "host": host, "group": group, "category": category, "level": level, "search": search}
    detail = {
        "whom": user or address or "everybody", "reason": why(person, reason, x_reason), "limit": limit,
        "since": iso(query.since) if query.since is not None else None, "until": iso(query.until) if query.until is not None else None,
    } | {name: value for name, value in filters.items() if value is not None}  # fmt: skip
    # Written before the look: a look that is cut off half-way was a look all the same.
    with console.casework.session() as session:
        audit.append(session, person.actor, "events.read", "events", detail)
    ruleset = console.ruleset()
    return {"events": [row | {"matched": of_event(row, ruleset)} for row in console.analyser.store.query(query)]}


def _time(text: str | None, name: str) -> float | None:
    if text is None:
        return None
    try:
        return moment(text, name)
    except ValueError as error:
        raise RefusedError(422, str(error)) from error
