"""Lists before they are live: what last week's traffic would have met, held changes, and the second person's word. Numbers, no names."""

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Depends, Query
from pydantic import Field

from analyser.lists import changes, fetch
from analyser.lists.errors import ChangeError
from analyser.lists.preview import preview
from analyser.lists.traffic import Traffic, candidate_of, compare, hits_by_list
from analyser.lists.trial import Proposal, trial, trials_folder
from api.console import Console, console_of
from api.errors import RefusedError
from api.identity import Needs, Person
from api.permissions import Permission
from api.times import iso
from api.v1.bodies import Body, RefusalBody
from blocklists.errors import ListError
from blocklists.library import Library

router = APIRouter(prefix="/api/v1")

CHANGE_STATUS = {"invalid": 422, "not-found": 404, "decided": 409, "same-person": 403, "stale": 409}

Desk = Annotated[Console, Depends(console_of)]
Looker = Annotated[Person, Depends(Needs(Permission.PREVIEW_LISTS))]
Decider = Annotated[Person, Depends(Needs(Permission.DECIDE_LISTS))]


class PreviewBody(Body):
    """What to look at: the file that was fetched for a source, or, for the command line alone, a folder with a tried library."""

    name: str = Field(min_length=1, max_length=64)
    folder: str | None = Field(default=None, max_length=4096)


class ActBody(Body):
    """What to do with a list that is there."""

    name: str = Field(min_length=1, max_length=64)
    act: Literal["rollback", "pause", "resume", "remove"]
    version: int | None = Field(default=None, ge=1)
    """For `rollback`: which one; none is the one before the present."""


@router.post("/list-preview")
def look(console: Desk, person: Looker, body: PreviewBody) -> dict[str, Any]:
    """Show what a fetched list would change, and what last week's page requests would have met under it."""
    settings = console.analyser.settings
    library = Library(settings.lists)
    with refusing():
        if body.folder is not None:
            if person.via != "operator":
                raise RefusedError(403, "Only the command line of this machine may name a folder; leave it out for the fetched list.")
            folder = Path(body.folder).resolve()
            if folder.parent != trials_folder(settings.lists).resolve() or not folder.is_dir():
                raise RefusedError(422, "This folder is not a list on trial.")
            return {"traffic": msgspec.to_builtins(_traffic(console, library, Library(folder)))}
        source, path = fetch.fetched_file(console.casework, body.name)
        with console.casework.reading() as session:
            second = changes.enough_approvers(session)
        with trial(library, fetch.proposal_of(source, path)) as tried:
            tried.compile()
            traffic = _traffic(console, library, tried.candidate)
            found = preview(tried, console.policy(), traffic, second_person=second)
        view: dict[str, Any] = msgspec.to_builtins(found)
        return view


@router.get("/list-hits")
def hits(console: Desk, _: Looker, days: Annotated[int, Query(ge=1, le=366)] = 30) -> dict[str, Any]:
    """Show how many requests each list decided in the last days."""
    return {"days": days, "hits": hits_by_list(console.analyser.store, days=days)}


@router.get("/list-changes")
def held(
    console: Desk,
    _: Decider,
    status: Literal["pending", "approved", "refused"] | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> dict[str, Any]:
    """List the changes that a guard held back, the newest first, each with its preview."""
    with console.casework.reading() as session:
        return {"list_changes": [_view(changes.view(row)) for row in changes.changes(session, status=status, limit=limit)]}


@router.post("/list-changes")
def propose(console: Desk, person: Decider, body: ActBody) -> dict[str, Any]:
    """Put an earlier version of a list back, pause it, ask it again or remove it; what opens something waits for a second person."""
    if body.version is not None and body.act != "rollback":
        raise RefusedError(422, "Only `rollback` has a version; leave it out.")
    library = Library(console.analyser.settings.lists)
    with refusing():
        with console.casework.reading() as session:
            second = changes.enough_approvers(session)
        with trial(library, Proposal(body.name, act=body.act, version=body.version)) as tried:
            tried.compile()
            found = preview(tried, console.policy(), _traffic(console, library, tried.candidate), second_person=second)
            outcome = changes.offer(console.casework, tried, found, person.who.written)
    return {
        "id": outcome.change,
        "status": "done" if outcome.change is None else "pending",
        "objections": msgspec.to_builtins(found.objections),
    }


@router.post("/list-changes/{number}/approve")
def approve(console: Desk, person: Decider, number: int, body: RefusalBody | None = None) -> dict[str, Any]:
    """Make a held list live; never by the one who loaded it."""
    note = body.note if body is not None else ""
    with refusing():
        settings = console.analyser.settings
        report = changes.approve(console.casework, Library(settings.lists), settings.sealed, number, person.who, note=note)
    return {"id": number, "status": "approved", "report": msgspec.to_builtins(report)}


@router.post("/list-changes/{number}/refuse")
def refuse(console: Desk, person: Decider, number: int, body: RefusalBody | None = None) -> dict[str, Any]:
    """Throw a held list away."""
    note = body.note if body is not None else ""
    with refusing():
        changes.refuse(console.casework, Library(console.analyser.settings.lists), number, person.who, note=note)
    return {"id": number, "status": "refused"}


class refusing:  # noqa: N801  (reads as a statement: `with refusing():`)
    """Turn a list's sentence into an answer with the right status."""

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """Translate."""
        if isinstance(error, ChangeError):
            raise RefusedError(CHANGE_STATUS[error.code], str(error)) from error
        if isinstance(error, ListError):
            raise RefusedError(422, str(error)) from error


def _traffic(console: Console, library: Library, tried: Library) -> Traffic:
    present = console.ruleset()
    candidate = candidate_of(present, library, tried)
    try:
        return compare(console.analyser.store, present, candidate)
    finally:
        candidate.ruleset.lists.close()


def _view(change: dict[str, Any]) -> dict[str, Any]:
    return change | {name: iso(change[name]) for name in ("proposed", "decided") if change[name] is not None}
