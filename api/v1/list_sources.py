"""Where lists come from and what each run of a fetch did; no person but who wrote a source down."""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Query
from sqlalchemy.orm import Session

from analyser.lists import sources
from api.console import Console, console_of
from api.identity import Needs, Person
from api.permissions import Permission
from api.times import iso

router = APIRouter(prefix="/api/v1")

Desk = Annotated[Console, Depends(console_of)]
Decider = Annotated[Person, Depends(Needs(Permission.DECIDE_LISTS))]


@router.get("/list-sources")
def every_source(console: Desk, _: Decider) -> dict[str, Any]:
    """List where the lists come from, when they are fetched next, and what the last run did."""
    with console.casework.reading() as session:
        return {"list_sources": [_timed(view, "fetched", "next_fetch") for view in sources_view(session)]}


@router.get("/list-runs")
def every_run(
    console: Desk,
    _: Decider,
    name: Annotated[str | None, Query(max_length=64)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> dict[str, Any]:
    """List the reports of runs, the newest first."""
    with console.casework.reading() as session:
        return {"list_runs": [_timed(view, "started", "finished") for view in runs_view(session, name, limit)]}


def sources_view(session: Session) -> list[dict[str, Any]]:
    """Return the sources with their last run; moments in seconds since the epoch."""
    found = []
    for row in sources.every(session):
        last = next(iter(runs_view(session, row.name, 1)), None)
        found.append(
            msgspec.to_builtins(sources.settings_of(row))
            | {"fetched": row.fetched, "next_fetch": row.next_fetch, "failures": row.failures, "by": row.created_by, "last_run": last}
        )
    return found


def runs_view(session: Session, name: str | None, limit: int) -> list[dict[str, Any]]:
    """Return reports of runs, the newest first."""
    return [
        {
            "name": run.name, "started": run.started, "finished": run.finished, "by": run.started_by, "result": run.result,
            "sentence": run.sentence, "bytes": run.bytes, "sha256": run.sha256,
        }
        for run in sources.runs(session, name, limit)
    ]  # fmt: skip


def _timed(view: dict[str, Any], *names: str) -> dict[str, Any]:
    last = view.get("last_run")
    more = {"last_run": _timed(last, "started", "finished")} if last is not None else {}
    return view | {name: iso(view[name]) for name in names if view[name] is not None} | more
